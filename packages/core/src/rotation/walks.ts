import { createHmac } from 'node:crypto'
import { currentMark } from '../field/current-mark.ts'
import type { Field } from '../field/field.ts'
import type { PathStep } from '../field/location.ts'
import { checkColumn, checkTable, columnOf } from './check-walk.ts'
import type { Database, TableShape, Walk, WalkColumn } from './database.ts'

/** Where the values of a field stand in the rows of a walk. */
export interface Place {
  /** Index of its column in `walk.columns`. */
  readonly column: number
  /** Index of the column with its key ids; null where it has none. */
  readonly keyId: number | null
  /** Where its bound columns stand in `walk.bound`. */
  readonly bound: readonly number[]
  /** Where inside the document; null: the whole column is the value. */
  readonly path: readonly PathStep[] | null
}

/** A table on the way of a rotation: its walk, and the fields that stand in its columns. */
export interface TableWalk {
  readonly walk: Walk
  readonly fields: readonly Field[]
  /** For each field, where its values stand. */
  readonly places: readonly Place[]
  readonly shape: TableShape
  /** `schema.table`, for people and for counting. */
  readonly name: string
  /** The key columns of a row with their values, as lists and errors name it; those that are credentials as keyed hashes. */
  readonly rowName: (key: readonly string[]) => { readonly [column: string]: string }
}

/**
 * The way through all tables of some fields: sorted by name, so that every rotation takes locks in the same order.
 *
 * @param rotating - whether rows that begin as current ones may be passed over, and what names rows may be kept; false to read
 *   every value and change nothing
 * @throws UsageError for every field that cannot be walked: unknown table or column, wrong type, no unique key, missing privilege,
 *   a bound column that cannot be bound
 */
export async function tableWalks(database: Database, fields: readonly Field[], rotating: boolean): Promise<TableWalk[]> {
  // Columns of key ids are written too: no key to walk by, and privileges are needed for them.
  const keyIds = fields.flatMap(({ location, keyId }) => (keyId === null ? [] : [{ ...location, column: keyId }]))
  const shapes = await database.inspect([...fields.map(({ location }) => location), ...keyIds])
  const byTable = new Map<string, { shape: TableShape; fields: Field[] }>()
  for (const [index, field] of fields.entries()) {
    const shape = await checkTable(database, field, shapes[index] ?? null)
    const name = tableName(shape)
    const entry = byTable.get(name) ?? { shape, fields: [] }
    checkColumn(field, shape, entry.fields)
    entry.fields.push(field)
    byTable.set(name, entry)
  }
  const walks: TableWalk[] = []
  for (const [name, { shape, fields }] of [...byTable].sort(([a], [b]) => (a < b ? -1 : 1))) {
    walks.push({ ...(await walkOf(database, shape, fields, rotating)), shape, name })
  }
  return walks
}

const tableName = ({ store, schema, table }: TableShape): string => (store === undefined ? `${schema}.${table}` : `${store}:${table}`)

async function walkOf(database: Database, shape: TableShape, fields: readonly Field[], rotating: boolean) {
  const bound = new Map<string, Walk['bound'][number]>()
  for (const field of fields) {
    for (const { column, type } of field.bind) {
      // The same column may be bound under two types by two fields: each reads its own.
      bound.set(`${type} ${column}`, { column, type })
    }
  }
  const boundKeys = [...bound.keys()]
  const columns = new Map<string, WalkColumn>()
  for (const field of fields) {
    const { column } = field.location
    const found = columns.get(column)
    const more = valueColumn(shape, field, rotating)
    columns.set(column, found === undefined ? more : inCommon(found, more))
  }
  for (const { name, keyId } of fields) {
    if (keyId !== null) columns.set(keyId, { field: name, column: keyId, holds: 'text', currentPrefix: null, isKeyId: true })
  }
  const names = [...columns.keys()]
  const walk = await database.walk(shape, [...columns.values()], [...bound.values()])
  return {
    walk: rotating ? walk : { ...walk, once: true as const },
    fields,
    places: fields.map((field) => ({
      column: names.indexOf(field.location.column),
      keyId: field.keyId === null ? null : names.indexOf(field.keyId),
      bound: field.bind.map(({ column, type }) => boundKeys.indexOf(`${type} ${column}`)),
      path: pathOf(shape, field),
    })),
    rowName: await rowNaming(database, walk, fields, rotating),
  }
}

function valueColumn(shape: TableShape, field: Field, rotating: boolean): WalkColumn {
  const { column } = field.location
  const plain = pathOf(shape, field) === null
  const mark = plain || field.keyId !== null ? null : currentMark(field)
  return {
    field: field.name,
    column,
    holds: columnOf(shape, column)?.holds ?? 'text',
    currentPrefix: rotating && plain && field.keyId === null ? field.currentPrefix() : null,
    ...(plain ? undefined : { isDocument: true as const }),
    ...(rotating && mark !== null ? { currentMark: mark } : undefined),
    ...(rotating && plain && field.keyId !== null
      ? { currentKeyId: { column: field.keyId, id: field.keyring.snapshot.active.id } }
      : undefined),
  }
}

/** Several fields in one document: it is current where it is for each of them. */
function inCommon({ currentMark: mark, ...column }: WalkColumn, { currentMark: other }: WalkColumn): WalkColumn {
  return mark !== undefined && mark.current === other?.current ? { ...column, currentMark: mark } : column
}

/** A json or jsonb column without a path is a document that is one string. */
function pathOf(shape: TableShape, { location: { column, path } }: Field): readonly PathStep[] | null {
  const holds = columnOf(shape, column)?.holds
  return path ?? (holds === 'json' || holds === 'jsonb' ? [] : null)
}

/** Name of the kept key under which sensitive keys of rows are hashed. */
const rowHash = 'row-hash'

async function rowNaming(database: Database, { key }: Walk, fields: readonly Field[], make: boolean): Promise<TableWalk['rowName']> {
  const sensitive = key.map(({ name }) => fields.some((field) => field.sensitive.includes(name)))
  const secret = sensitive.includes(true) ? await database.keptKey(rowHash, make) : null
  const hashed = (value: string) =>
    `hmac:${createHmac('sha256', secret as Uint8Array)
      .update(value)
      .digest('hex')
      .slice(0, 16)}`
  return (values) =>
    Object.fromEntries(key.map(({ name }, index) => [name, sensitive[index] ? hashed(values[index] ?? '') : (values[index] ?? '')]))
}
