import {
  type BoundType,
  DatabaseError,
  type Field,
  isKeyturnError,
  type SqlState,
  type Standing,
  type Stored,
  standingOf,
} from '@keyturn/core'
import { quoted } from '../../outside/postgres.ts'

/** A column as the catalogue has it. */
interface Column {
  readonly type: string
  readonly base: string
  readonly notNull: boolean
}

/** The table in which the fields stand; `problem` says why nothing can be written there. */
export interface Shape {
  readonly columns: ReadonlyMap<string, Column>
  readonly problem: string | null
}

/** A value of the row: which field, what stands there, and what it is bound to. */
export interface Cell {
  readonly name: string
  readonly field: Field
  readonly standing: Standing
  readonly bound: readonly Uint8Array[]
  readonly keyId: string | null
}

/** The row as one statement read it. */
export interface Row {
  readonly cells: readonly Cell[]
  /** What the columns hold that a write changes, and what must not have changed meanwhile. */
  readonly held: ReadonlyMap<string, Stored | null>
  readonly bound: ReadonlyMap<string, { readonly type: BoundType; readonly value: unknown }>
}

export type RowKey = Readonly<Record<string, string | number | boolean>>

/** One row of one table, and some fields in it. Values travel as parameters, and only sealed. */
export class FieldRow {
  readonly #state: SqlState
  readonly #fields: ReadonlyMap<string, Field>
  readonly #key: RowKey
  readonly #table: string

  /** @param fields - by the names of the store; all of one table */
  constructor(state: SqlState, fields: ReadonlyMap<string, Field>, key: RowKey) {
    const [first] = fields.values()
    this.#state = state
    this.#fields = fields
    this.#key = key
    this.#table = [first?.location.schema ?? null, first?.location.table ?? '']
      .flatMap((part) => (part === null ? [] : [quoted(part)]))
      .join('.')
  }

  async shape(): Promise<Shape> {
    const { rows } = await this.#state.query(
      `SELECT c.relkind::text AS kind, has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'UPDATE') AS allowed,
              a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, t.typname AS base, a.attnotnull AS not_null
         FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped JOIN pg_type t ON t.oid = a.atttypid
        WHERE c.oid = to_regclass($1::text) ORDER BY a.attnum`,
      [this.#table],
    )
    const columns = new Map(
      rows.map((each) => [String(each.name), { type: String(each.type), base: String(each.base), notNull: each.not_null === true }]),
    )
    const [row] = rows
    if (row === undefined) return { columns, problem: 'there is no such table' }
    if (row.kind !== 'r' && row.kind !== 'p') return { columns, problem: 'it stands in a view or another thing that is no table' }
    if (row.allowed !== true) return { columns, problem: 'this user may not both read and change the table' }
    return { columns, problem: this.#problemOf(columns) }
  }

  #problemOf(columns: Shape['columns']): string | null {
    for (const column of Object.keys(this.#key)) {
      if (!columns.has(column)) return `the row is named by a column "${column}", which the table does not have`
      if ([...this.#fields.values()].some(({ location, keyId }) => location.column === column || keyId === column))
        return `the row is named by column "${column}", which a rotation changes`
    }
    for (const { location, keyId, bind } of this.#fields.values()) {
      const needed = [location.column, ...(keyId === null ? [] : [keyId]), ...bind.map(({ column }) => column)]
      const missing = needed.find((column) => !columns.has(column))
      if (missing !== undefined) return `the table has no column "${missing}"`
      const { base = '' } = columns.get(location.column) ?? {}
      if (!holds.includes(base)) return `column "${location.column}" is of a type in which no value stands`
      if (location.path !== undefined && base === 'bytea') return `column "${location.column}" holds bytes, in which no document stands`
    }
    return null
  }

  /** @returns the row; null where there is none or more than one. @throws DatabaseError */
  async read({ columns }: Shape): Promise<{ readonly row: Row } | { readonly rows: 0 | 2 }> {
    const held = new Set([...this.#fields.values()].flatMap(({ location, keyId }) => [location.column, ...(keyId === null ? [] : [keyId])]))
    const bound = new Map([...this.#fields.values()].flatMap(({ bind }) => bind).map((each) => [each.column, each.type]))
    const selected = [
      ...[...held].map((column, at) => `${read(column, columns)} AS v${at}`),
      // As text, because drivers disagree about int8; bytes and booleans come alike from all of them.
      ...[...bound].map(([column, type], at) => `t.${quoted(column)}${type === 'bytes' || type === 'bool' ? '' : '::text'} AS b${at}`),
    ]
    const values: unknown[] = []
    const { rows } = await this.#state.query(
      `SELECT ${selected.join(', ')} FROM ${this.#table} t WHERE ${this.#named(columns, values)} LIMIT 2`,
      values,
    )
    const [found, more] = rows
    if (found === undefined || more !== undefined) return { rows: found === undefined ? 0 : 2 }
    const texts = new Map([...held].map((column, at) => [column, (found[`v${at}`] ?? null) as Stored | null]))
    const bounds = new Map([...bound].map(([column, type], at) => [column, { type, value: found[`b${at}`] }]))
    const cells = [...this.#fields].map(([name, field]): Cell => {
      const { location, keyId, bind } = field
      return {
        name,
        field,
        standing: standingOf(field, texts.get(location.column) ?? null, inDocument(field, columns)),
        bound: field.canonicalBound(bind.map(({ column }) => bounds.get(column)?.value)),
        keyId: keyId === null ? null : ((texts.get(keyId) ?? null) as string | null),
      }
    })
    return { row: { cells, held: texts, bound: bounds } }
  }

  /**
   * Replaces what the columns hold, where nobody has changed them, or what their values are bound to, since they were read; and where one row only is
   * named so.
   *
   * @param also - what is written in the same transaction
   * @returns false where somebody has
   * @throws DatabaseError, also where a trigger stored something else: then nothing is
   */
  async swap(
    { columns }: Shape,
    row: Row,
    to: ReadonlyMap<string, Stored | null>,
    also: (sql: Pick<SqlState, 'query'>) => Promise<void>,
  ): Promise<boolean> {
    const values: unknown[] = []
    const parameter = (value: unknown, type: string) => `$${values.push(value)}::${type}`
    const named = this.#named(columns, values)
    const plainType = (column: string) => (columns.get(column)?.base === 'bytea' ? 'bytea' : 'text')
    const same = (column: string, value: Stored | null) => {
      const isText = plainType(column) === 'text'
      return `${read(column, columns)}${isText ? ' COLLATE "C"' : ''} IS NOT DISTINCT FROM ${parameter(value, plainType(column))}`
    }
    const unchanged = [...row.held].map(([column, value]) => same(column, value))
    const kept = [...row.bound].map(([column, { type, value }]) => {
      if (type === 'bytes') return `t.${quoted(column)} = ${parameter(value, 'bytea')}`
      return `t.${quoted(column)}::text COLLATE "C" = ${parameter(String(value), 'text')}`
    })
    const set = [...to].map(([column, value]) => `${quoted(column)} = ${written(column, columns, parameter(value, plainType(column)))}`)
    // jsonb is printed in its own way, whatever was given: there the documents are compared and not their texts.
    const stored = [...to].map(([column, value]) =>
      columns.get(column)?.base === 'jsonb'
        ? `t.${quoted(column)} IS NOT DISTINCT FROM ${parameter(value, 'text')}::jsonb`
        : same(column, value),
    )
    const one = `(SELECT count(*) FROM (SELECT FROM ${this.#table} t WHERE ${named} LIMIT 2) n) = 1`
    const text = `UPDATE ${this.#table} t SET ${set.join(', ')} WHERE ${[named, ...unchanged, ...kept, one].join(' AND ')} RETURNING (${stored.join(' AND ')}) AS stored`
    return await this.#state.transaction(async (sql) => {
      await sql.exec(`SET LOCAL lock_timeout = '5s'`)
      const { rows } = await sql.query(text, values)
      const [changed] = rows
      if (changed === undefined) return false
      if (changed.stored !== true) throw new DatabaseError('data', 'a trigger stored another value', 'replacing values')
      await also(sql)
      return true
    })
  }

  #named(columns: Shape['columns'], values: unknown[]): string {
    return Object.entries(this.#key)
      .map(([column, value]) => `t.${quoted(column)} = $${values.push(String(value))}::text::${columns.get(column)?.type ?? 'text'}`)
      .join(' AND ')
  }
}

const holds = ['text', 'varchar', 'bytea', 'json', 'jsonb']
const isJson = (base: string | undefined): boolean => base === 'json' || base === 'jsonb'
/** Whether a field stands in documents: by the type of its column, or because it has a path. */
export const inDocument = ({ location: { column, path } }: Field, columns: Shape['columns']): boolean =>
  path !== undefined || isJson(columns.get(column)?.base)

/** Documents are read as the text that they are, and never as what a driver makes of them. */
const read = (column: string, columns: Shape['columns']): string =>
  `t.${quoted(column)}${columns.get(column)?.base === 'bytea' ? '' : '::text'}`
const written = (column: string, columns: Shape['columns'], parameter: string): string => {
  const { base } = columns.get(column) ?? {}
  return isJson(base) ? `${parameter}::${base}` : parameter
}

/** Opens what stands there. Loads the keyrings again, once, for a key that this process has not seen. @throws as `Field.open` */
export async function openCell({ field, bound, keyId }: Cell, stored: Stored): Promise<Uint8Array> {
  const open = () => field.open(stored, bound, field.keyId === null ? undefined : keyId).plaintext
  try {
    return open()
  } catch (error) {
    if (!isKeyturnError(error, 'ERR_KEY_NOT_LOADED')) throw error
  }
  await field.reload(stored, keyId)
  return open()
}
