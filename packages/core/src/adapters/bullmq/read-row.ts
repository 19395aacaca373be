import { fail } from '../../errors.ts'
import type { Stored } from '../../field/codec.ts'
import type { BoundValues } from '../../field/definition.ts'
import { findValues, isDocument, printPointer } from '../../field/document.ts'
import type { Field } from '../../field/field.ts'
import type { JobReference } from './part.ts'

/** A `pg` Pool or client, or a PGlite database: anything of this shape. */
export interface Queryable {
  query(text: string, values: unknown[]): Promise<{ readonly rows: readonly object[] }>
}

/** A value as it stands in its row now. */
export interface Found {
  readonly value: Stored
  readonly keyId: string | null
  readonly bound: BoundValues
}

/**
 * Reads one value and what it is bound to, in one statement. Names of columns come from Redis, so they stand in quotes.
 *
 * @throws `ERR_JOB_ROW` when there is no such row, or no value in it
 * @throws `ERR_USAGE` when the reference names several rows, or several values of a document
 */
export async function readRow(db: Queryable, field: Field, { row, at }: JobReference): Promise<Found> {
  const { location } = field
  if (location.store !== undefined) throw fail('ERR_USAGE', `field "${field.name}" stands in Redis: read it there, by its own key`)
  const table = location.schema === null ? quote(location.table) : `${quote(location.schema)}.${quote(location.table)}`
  const names = Object.keys(row)
  if (names.length === 0) throw fail('ERR_USAGE', `field "${field.name}": a reference names a row, by its key`)
  const columns = [
    `${quote(location.column)}${location.path === undefined ? '' : '::text'} AS value`,
    `${field.keyId === null ? 'NULL' : quote(field.keyId)} AS "keyId"`,
    ...field.bind.map(({ column }, n) => `${quote(column)} AS b${n}`),
  ]
  const conditions = names.map((name, n) => `${quote(name)} = $${n + 1}`)
  const text = `SELECT ${columns.join(', ')} FROM ${table} WHERE ${conditions.join(' AND ')} LIMIT 2`
  const { rows } = await db.query(text, Object.values(row)).catch((error: unknown) => {
    // A message of the database may quote what the job holds.
    const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : ''
    throw fail('ERR_DATABASE', /^[A-Z0-9_]{1,40}$/.test(code) ? code : 'no code', 'reading the row that a job refers to')
  })
  if (rows.length > 1) throw fail('ERR_USAGE', `field "${field.name}": the reference names more than one row. Name it by its key`)
  const found = rows[0] as ({ readonly value: Stored | null; readonly keyId: string | null } & Record<string, unknown>) | undefined
  if (found === undefined || found.value === null) throw fail('ERR_JOB_ROW', field.name)
  const bound = Object.fromEntries(field.bind.map(({ column }, n) => [column, found[`b${n}`]]))
  return { value: location.path === undefined ? found.value : inDocument(field, String(found.value), at), keyId: found.keyId, bound }
}

function inDocument(field: Field, document: string, at: string | undefined): string {
  if (!isDocument(document)) throw fail('ERR_DOCUMENT', field.name)
  const values = findValues(document, field.location.path ?? [], field.where)
  const [value, ...others] = at === undefined ? values : values.filter(({ path }) => printPointer(path) === at)
  if (value === undefined) throw fail('ERR_JOB_ROW', field.name)
  if (others.length > 0) throw fail('ERR_USAGE', `field "${field.name}": the document has several values. Name one by "at", a JSON pointer`)
  if (value.value === null) throw fail('ERR_DOCUMENT', field.name)
  return value.value
}

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`
