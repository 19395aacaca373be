import { fail } from '../../errors.ts'
import type { ColumnsOf } from '../../field/by-table.ts'
import type { Field } from '../../field/field.ts'

/** What a generated client knows of its models when it runs. */
export interface RuntimeDataModel {
  readonly models: { readonly [name: string]: RuntimeModel }
}
interface RuntimeModel {
  readonly dbName?: string | null
  readonly schema?: string | null
  readonly fields: readonly { readonly name: string; readonly kind: string; readonly type: string; readonly dbName?: string | null }[]
}

/** A field of a model that is encrypted. */
export interface EncryptedField {
  readonly field: Field
  /** Whether the model has bytes there, and not text. */
  readonly bytes: boolean
  /** The bound columns, and what the model calls them. */
  readonly bound: readonly { readonly column: string; readonly name: string }[]
}

/** A model as the adapter sees it. */
export interface Model {
  readonly name: string
  readonly scalars: ReadonlySet<string>
  /** Fields that the client leaves out of every result, unless a query says otherwise. */
  readonly omitted: ReadonlySet<string>
  readonly encrypted: ReadonlyMap<string, EncryptedField>
  /** Fields that lead to another model, by their name. */
  readonly relations: ReadonlyMap<string, string>
}
export type Models = ReadonlyMap<string, Model>

/** The `omit` of a client: fields by model, whose name begins in lower case there. */
export type GlobalOmit = { readonly [model: string]: { readonly [field: string]: unknown } | undefined }

/** Brings models and fields together by table and column. @throws `ERR_UNKNOWN_COLUMN` where a model lacks a column of a field */
export function modelsOf({ models }: RuntimeDataModel, columnsOf: ColumnsOf, omit: GlobalOmit = {}): Models {
  const omittedOf = (name: string) =>
    Object.entries(omit[name.charAt(0).toLowerCase() + name.slice(1)] ?? {}).flatMap(([field, left]) => (left === true ? [field] : []))
  return new Map(
    Object.entries(models).map(([name, model]) => [name, { ...modelOf(name, model, columnsOf), omitted: new Set(omittedOf(name)) }]),
  )
}

function modelOf(name: string, { dbName, schema, fields }: RuntimeModel, columnsOf: ColumnsOf): Omit<Model, 'omitted'> {
  const table = dbName ?? name
  const scalars = fields.filter(({ kind }) => kind !== 'object')
  const byColumn = (field: Field, column: string) => {
    const found = scalars.find((each) => (each.dbName ?? each.name) === column)
    if (found === undefined) throw fail('ERR_UNKNOWN_COLUMN', field.name, `${table} (model ${name})`, column, '')
    return found
  }
  const encrypted = columnsOf(schema, table).map(({ column, field }): [string, EncryptedField] => {
    const own = byColumn(field, column)
    const bound = field.bind.map(({ column }) => ({ column, name: byColumn(field, column).name }))
    return [own.name, { field, bytes: own.type === 'Bytes', bound }]
  })
  return {
    name,
    scalars: new Set(scalars.map((each) => each.name)),
    encrypted: new Map(encrypted),
    relations: new Map(fields.filter(({ kind }) => kind === 'object').map((each) => [each.name, each.type])),
  }
}

/** A query's arguments, or a part of them. */
export type Args = Readonly<Record<string, unknown>>

/** Whether it is an object written by hand: no date, decimal, bytes or marker of Prisma. */
export function isPlain(value: unknown): value is Args {
  return typeof value === 'object' && value !== null && [Object.prototype, null].includes(Object.getPrototypeOf(value))
}

export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : value === undefined ? [] : [value])
