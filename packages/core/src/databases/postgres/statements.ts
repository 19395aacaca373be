import type { Change, Row, Walk, WalkColumn } from '../../rotation/database.ts'
import { quote, quoteTable } from './identifiers.ts'

/**
 * The statements of a walk. Identifiers are quoted, values are always parameters, and keys travel in the database's own text form,
 * so that keys of every type are walked by the same code.
 */

/** Settings of every transaction that reads or writes keys as text: one spelling of dates and numbers, whatever the user's session says. */
export const plainSettings =
  "SET LOCAL datestyle = 'ISO'; SET LOCAL intervalstyle = 'postgres'; SET LOCAL timezone = 'UTC'; SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex'"

export interface Statement {
  readonly text: string
  readonly values: readonly unknown[]
}

/** The next rows in key order. Rows without a value, and rows in which every value begins as a current one, are left out. */
export function scanStatement(walk: Walk, after: readonly string[] | null, limit: number): Statement {
  const values: unknown[] = [limit]
  const parameter = (value: unknown) => `$${values.push(value)}`
  const conditions = [anyRemaining(walk, parameter)]
  if (after !== null) {
    const bounds = walk.key.map(({ type }, index) => `${parameter(after[index])}::text::${type}`)
    conditions.push(`(${keyColumns(walk)}) > (${bounds.join(', ')})`)
  }
  const rows = `FROM ${quoteTable(walk)} t WHERE ${conditions.join(' AND ')} ORDER BY ${keyColumns(walk)} LIMIT $1`
  return { text: `SELECT ${selected(walk)} ${withinMemory(walk, rows)}`, values }
}

/** Whether a scan from the beginning would find a row. In no order, so that the table is read as it lies. */
export function anyLeftStatement(walk: Walk): Statement {
  const values: unknown[] = []
  const condition = anyRemaining(walk, (value) => `$${values.push(value)}`)
  return { text: `SELECT EXISTS (SELECT FROM ${quoteTable(walk)} t WHERE ${condition})`, values }
}

function anyRemaining({ columns }: Walk, parameter: (value: unknown) => string): string {
  const ofValues = columns.filter(({ isKeyId }) => !isKeyId)
  return `(${ofValues.map((column) => remaining(column, parameter)).join(' OR ')})`
}

/** Bytes of documents that are read at once, give or take one row: they are several times as much by the time they are written. */
const documentBytes = 16 * 2 ** 20

/**
 * Of rows with documents only the first ones, until they are too much at once: a thousand rows may be a few kilobytes or a few gigabytes,
 * and a text of half a gigabyte is more than Node can hold. Lengths are known to the server without reading what they are of; of json and
 * jsonb it knows the compressed one.
 */
function withinMemory(walk: Walk, rows: string): string {
  const sizes = walk.columns
    .filter(({ isDocument }) => isDocument)
    .map(
      ({ column, holds }) =>
        `coalesce(${holds === 'text' ? `octet_length(t.${quote(column)})` : `4 * pg_column_size(t.${quote(column)})`}, 0)`,
    )
  if (sizes.length === 0) return rows
  const before = `sum(${sizes.join(' + ')}) OVER (ORDER BY ${keyColumns(walk)} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)`
  return `FROM (SELECT t.*, ${before} AS "keyturn bytes before" FROM (SELECT t.* ${rows}) t) t
    WHERE coalesce("keyturn bytes before", 0) < ${documentBytes} ORDER BY ${keyColumns(walk)}`
}

function remaining({ column, currentPrefix, currentKeyId }: WalkColumn, parameter: (value: unknown) => string): string {
  const name = `t.${quote(column)}`
  if (currentKeyId !== undefined) {
    const keyId = `t.${quote(currentKeyId.column)}`
    return `(${name} IS NOT NULL AND (${keyId} IS NULL OR ${keyId} COLLATE "C" <> ${parameter(currentKeyId.id)}::text))`
  }
  if (currentPrefix === null) return `${name} IS NOT NULL`
  if (typeof currentPrefix === 'string') return `left(${name}, ${currentPrefix.length}) COLLATE "C" <> ${parameter(currentPrefix)}::text`
  return `substr(${name}, 1, ${currentPrefix.length}) <> ${parameter(Buffer.from(currentPrefix))}::bytea`
}

/** Rows with a value in one column: from both ends of the key, and the longest one. */
export function sampleStatements(walk: Walk, column: number, limit: number): Statement[] {
  const name = read(walk.columns[column] as WalkColumn)
  const from = `SELECT ${selected(walk)} FROM ${quoteTable(walk)} t WHERE ${name} IS NOT NULL`
  const descending = walk.key.map(({ name }) => `t.${quote(name)} DESC`).join(', ')
  const half = Math.ceil(limit / 2)
  return [
    { text: `${from} ORDER BY ${keyColumns(walk)} LIMIT $1`, values: [half] },
    { text: `${from} ORDER BY ${descending} LIMIT $1`, values: [half] },
    { text: `${from} ORDER BY octet_length(${name}) DESC LIMIT 1`, values: [] },
  ]
}

function keyColumns(walk: Walk): string {
  return walk.key.map(({ name }) => `t.${quote(name)}`).join(', ')
}

function selected(walk: Walk): string {
  return [
    ...walk.key.map(({ name }) => `t.${quote(name)}::text`),
    ...walk.columns.map(read),
    // As text, because drivers disagree about int8; bytes and booleans come alike from all of them.
    ...walk.bound.map(({ column, type }) => `t.${quote(column)}${type === 'bytes' || type === 'bool' ? '' : '::text'}`),
  ].join(', ')
}

/** Documents are read as the text that they are, and never as what a driver makes of them. */
function read({ column, holds }: WalkColumn): string {
  return isDocument(holds) ? `t.${quote(column)}::text` : `t.${quote(column)}`
}

const isDocument = (holds: WalkColumn['holds']) => holds === 'json' || holds === 'jsonb'

const unbound: readonly unknown[] = Object.freeze([])

/** Splits a row of a scan into its parts. */
export function toRow(walk: Walk, cells: readonly unknown[]): Row {
  const keys = walk.key.length
  const values = keys + walk.columns.length
  return {
    key: cells.slice(0, keys) as string[],
    values: cells.slice(keys, values) as Row['values'],
    bound: values === cells.length ? unbound : cells.slice(values),
  }
}

/**
 * The swap: one statement that locks the rows it can have at once (`SKIP LOCKED`: it never waits, so it is never part of a deadlock),
 * compares every value as bytes with the one that was read, replaces them, and names what it did not replace: with false where
 * the row was left as it is, with true where a trigger of the application stored something else than the new value.
 */
export function swapStatement(walk: Walk, changes: readonly Change[]): Statement {
  const values: unknown[] = []
  const columns: string[] = []
  const arrays: string[] = []
  const add = (name: string, type: 'text' | 'bytea', array: readonly unknown[]) => {
    columns.push(name)
    // A sub-select, so that the planner counts on ten rows whatever there are, and goes by the key. Knowing of thousands it merges them
    // with the index from its beginning, or reads the whole table: each batch would cost more than the one before.
    arrays.push(`(SELECT $${values.push(arrayLiteral(array, type))}::${type}[])`)
  }
  for (const index of walk.key.keys()) {
    add(
      `k${index}`,
      'text',
      changes.map(({ key }) => key[index]),
    )
  }
  walk.columns.forEach(({ holds }, index) => {
    const type = holds === 'bytes' ? 'bytea' : 'text'
    add(
      `f${index}`,
      type,
      changes.map(({ from }) => from[index]),
    )
    add(
      `n${index}`,
      type,
      changes.map(({ to }) => to[index]),
    )
  })
  const matches = walk.key.map(({ name, type }, index) => `t.${quote(name)} = v.k${index}::${type}`).join(' AND ')
  const same = (column: WalkColumn, other: string) => {
    const name = read(column)
    const equal = column.holds === 'bytes' ? `${name} = ${other}` : `${name} COLLATE "C" = ${other}`
    return `(${equal} OR (${name} IS NULL AND ${other} IS NULL))`
  }
  const unchanged = walk.columns.map((column, index) => same(column, `v.f${index}`))
  const kept =
    changes[0]?.bound === undefined
      ? []
      : walk.bound.flatMap(({ column, type }, index) => {
          if (walk.key.some(({ name }) => name === column)) return []
          const [holds, print] = type === 'bytes' ? (['bytea', (value: unknown) => value] as const) : (['text', String] as const)
          add(
            `b${index}`,
            holds,
            changes.map(({ bound }) => print(bound?.[index])),
          )
          return [type === 'bytes' ? `t.${quote(column)} = v.b${index}` : `t.${quote(column)}::text COLLATE "C" = v.b${index}`]
        })
  const set = walk.columns.map(({ column, holds }, index) => `${quote(column)} = v.n${index}${isDocument(holds) ? `::${holds}` : ''}`)
  // jsonb is printed in its own way, whatever was given: there the documents are compared and not their texts.
  const stored = walk.columns.map((column, index) =>
    column.holds === 'jsonb' ? `t.${quote(column.column)} IS NOT DISTINCT FROM v.n${index}::jsonb` : same(column, `v.n${index}`),
  )
  const table = quoteTable(walk)
  // Which ones are missing is asked only where some are: the join would cost as much as the comparison.
  // The rows are compared as they are locked, and updated where they were found. A row that moved since the statement began (it was
  // updated by others) is compared in its newest version; its place is not one that this statement can see, so it comes again.
  const count = `$${values.push(changes.length)}::int8`
  const text = `WITH swapped AS (UPDATE ${table} t SET ${set.join(', ')} FROM (
      SELECT t.tableoid AS part, t.ctid AS place, v.ord, ${walk.columns.map((_, index) => `v.n${index}`).join(', ')}
      FROM unnest(${arrays.join(', ')}) WITH ORDINALITY AS v(${columns.join(', ')}, ord)
      JOIN ${table} t ON ${[matches, ...unchanged, ...kept].join(' AND ')} ${walk.unique ? 'FOR UPDATE' : 'FOR NO KEY UPDATE'} OF t SKIP LOCKED
    ) v WHERE t.ctid = v.place AND t.tableoid = v.part RETURNING v.ord, (${stored.join(' AND ')}) AS stored)
    SELECT v.ord::int4, s.ord IS NOT NULL FROM generate_series(1, ${count}) AS v(ord) LEFT JOIN swapped s ON s.ord = v.ord
      WHERE s.stored IS NOT TRUE AND (SELECT count(*) FROM swapped WHERE stored) < ${count}`
  return { text, values }
}

const plain = /^[A-Za-z0-9._:+/=|$*-]+$/

/**
 * An array as Postgres reads it. The driver's own encoding quotes and escapes every element; most keys and ciphertexts need neither,
 * and a rotation writes millions of them.
 */
export function arrayLiteral(array: readonly unknown[], type: 'text' | 'bytea'): string {
  const parts = new Array<string>(array.length)
  for (let index = 0; index < array.length; index++) {
    const element = array[index]
    if (element === null || element === undefined) parts[index] = 'NULL'
    else if (type === 'bytea') parts[index] = `"\\\\x${Buffer.from(element as Uint8Array).toString('hex')}"`
    else parts[index] = plain.test(element as string) && (element as string).length !== 4 ? (element as string) : quoted(element as string)
  }
  return `{${parts.join(',')}}`
}

// Also every word of four characters, because unquoted NULL is no text.
function quoted(element: string): string {
  return `"${element.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}
