import type { BoundType } from '../../field/bound.ts'
import type { Stored } from '../../field/codec.ts'
import { isDocument } from '../../field/document.ts'
import type { ColumnShape, Holds, Row, TableShape, Walk, WalkColumn } from '../../rotation/database.ts'
import { DatabaseError } from '../../rotation/database-error.ts'

/** What one column holds in one row. */
export type MemoryValue = string | number | bigint | boolean | Uint8Array | null
/** A row by its column names. Never changed: a write puts another one in its place. */
export type MemoryRow = { readonly [column: string]: MemoryValue }

/** A column of a table in memory. */
export interface MemoryColumn {
  readonly name: string
  /** A json or jsonb column holds the text of a document, exactly as it was given. */
  readonly type: BoundType | 'json' | 'jsonb'
  /** Columns may be NULL unless told; those of the key never are. */
  readonly nullable?: boolean
  /** Characters at most; a longer text is refused. */
  readonly maxLength?: number
  /** Whether it counts as given by the database at insert. Nothing is given in fact. */
  readonly assigned?: boolean
}

/** A table in memory. */
export interface MemoryTable {
  /** `public` unless given; a table there is also found without it. */
  readonly schema?: string
  readonly name: string
  /** At least one column. Text is ordered by its bytes. */
  readonly key: readonly MemoryColumn[]
  readonly columns: readonly MemoryColumn[]
  readonly rows?: readonly MemoryRow[]
  /** A constraint of the application: rows for which it is false are refused. */
  readonly check?: (row: MemoryRow) => boolean
  /** What `inspect` says instead of what the table is: a view, a missing privilege. */
  readonly facts?: Partial<TableShape>
}

/** The words in which columns print their types. */
const typeNames: Record<MemoryColumn['type'], string> = {
  text: 'text',
  int: 'bigint',
  uuid: 'uuid',
  bytes: 'bytea',
  bool: 'boolean',
  json: 'json',
  jsonb: 'jsonb',
}
const holds: Partial<Record<MemoryColumn['type'], Holds>> = { text: 'text', bytes: 'bytes', json: 'json', jsonb: 'jsonb' }

/** `schema.table`. */
export function fullName({ schema = 'public', name }: Pick<MemoryTable, 'schema' | 'name'>): string {
  return `${schema}.${name}`
}

/** The text form of a key column. */
function textOf(value: MemoryValue | undefined): string {
  if (value instanceof Uint8Array) return `\\x${Buffer.from(value).toString('hex')}`
  return String(value)
}

/** The key of a row as text, in the order of the key. */
export function keyOf({ key }: MemoryTable, row: MemoryRow): string[] {
  return key.map(({ name }) => textOf(row[name]))
}

function compareKeys({ key }: MemoryTable, a: readonly string[], b: readonly string[]): number {
  for (const [index, { type }] of key.entries()) {
    const [left, right] = [a[index] ?? '', b[index] ?? '']
    if (left === right) continue
    if (type === 'int') return BigInt(left) < BigInt(right) ? -1 : 1
    return Buffer.compare(Buffer.from(left), Buffer.from(right))
  }
  return 0
}

/** What the plan sees of a table. */
export function shapeOf(table: MemoryTable, rows: Iterable<MemoryRow>, fieldColumns: readonly string[]): TableShape {
  const all = [...rows]
  const key = table.key.map(({ name }) => name)
  return {
    schema: table.schema ?? 'public',
    table: table.name,
    kind: 'table',
    columns: [...table.key.map((column) => columnShape({ ...column, nullable: false })), ...table.columns.map(columnShape)],
    key: key.some((name) => fieldColumns.includes(name)) ? [] : key,
    rows: all.length,
    bytes: all.reduce((sum, row) => sum + Object.values(row).reduce<number>((size, value) => size + sizeOf(value), 0), 0),
    missingPrivileges: [],
    owned: true,
    lockable: true,
    notes: [],
    ...table.facts,
  }
}

function columnShape({ name, type, nullable = true, maxLength, assigned = false }: MemoryColumn): ColumnShape {
  return {
    name,
    type: maxLength === undefined ? typeNames[type] : `character varying(${maxLength})`,
    holds: holds[type] ?? null,
    maxLength: maxLength ?? null,
    nullable,
    boundType: type === 'json' || type === 'jsonb' ? null : type,
    assigned,
  }
}

const sizeOf = (value: MemoryValue): number => (value === null ? 0 : Buffer.byteLength(value instanceof Uint8Array ? value : String(value)))

/** The next rows in key order: see `Database.scan`. */
export function scanRows(
  table: MemoryTable,
  rows: Iterable<MemoryRow>,
  walk: Walk,
  from: { after: readonly string[] | null; limit: number },
): Row[] {
  const { after, limit } = from
  return sorted(table, rows, walk)
    .filter(
      ({ key, values }) =>
        (after === null || compareKeys(table, key, after) > 0) && walk.columns.some((column, at) => remains(walk, column, values, at)),
    )
    .slice(0, limit)
}

/** Rows with a value in one column, from both ends of the key, and the longest: see `Database.sample`. */
export function sampleRows(table: MemoryTable, rows: Iterable<MemoryRow>, walk: Walk, of: { column: number; limit: number }): Row[] {
  const found = sorted(table, rows, walk).filter(({ values }) => (values[of.column] ?? null) !== null)
  const half = Math.ceil(of.limit / 2)
  const length = ({ values }: Row) => sizeOf(values[of.column] ?? null)
  const longest = found.reduce<Row | null>((best, row) => (best === null || length(row) > length(best) ? row : best), null)
  return [...new Set([...found.slice(0, half), ...found.slice(-half), ...(longest === null ? [] : [longest])])]
}

function sorted(table: MemoryTable, rows: Iterable<MemoryRow>, walk: Walk): Row[] {
  const read = [...rows].map((row) => ({
    key: keyOf(table, row),
    values: walk.columns.map(({ column }) => (row[column] ?? null) as Stored | null),
    bound: walk.bound.map(({ column }) => row[column]),
  }))
  return read.sort((a, b) => compareKeys(table, a.key, b.key))
}

function remains({ columns }: Walk, { currentPrefix, currentKeyId, isKeyId }: WalkColumn, values: Row['values'], at: number): boolean {
  const value = values[at] ?? null
  if (value === null || isKeyId) return false
  if (currentKeyId !== undefined) return values[columns.findIndex(({ column }) => column === currentKeyId.column)] !== currentKeyId.id
  return currentPrefix === null || !same(value.slice(0, currentPrefix.length), currentPrefix)
}

/** Whether two values are the same bytes; NULL is the same as NULL. */
export function same(a: Stored | null, b: Stored | null): boolean {
  if (a === null || b === null || typeof a === 'string' || typeof b === 'string') return a === b
  return Buffer.compare(a, b) === 0
}

/** @throws DatabaseError of kind `data`, with the SQLSTATE that Postgres has for it, for a row that the table refuses */
export function assertFits(table: MemoryTable, row: MemoryRow): void {
  const refused = (sqlstate: string) => new DatabaseError('data', sqlstate, 'running a statement')
  for (const { name, type, nullable = true, maxLength = Number.POSITIVE_INFINITY } of [
    ...table.key.map((column) => ({ ...column, nullable: false })),
    ...table.columns,
  ]) {
    const value = row[name] ?? null
    if (value === null && !nullable) throw refused('23502')
    if (typeof value === 'string' && value.length > maxLength) throw refused('22001')
    if (typeof value === 'string' && (type === 'json' || type === 'jsonb') && !isDocument(value)) throw refused('22P02')
  }
  if (table.check !== undefined && !table.check(row)) throw refused('23514')
}
