import { createHash } from 'node:crypto'
import { fail } from '../../errors.ts'
import { printReference } from '../../field/reference.ts'
import type { ColumnShape, TableShape } from '../../rotation/database.ts'
import { DatabaseError } from '../../rotation/database-error.ts'
import type { FindTokens, TokenCounts, TokenPlace } from '../../rotation/token-column.ts'
import type { Sql } from '../../state/sql.ts'
import { quote, quoteTable } from './identifiers.ts'
import { inspect } from './inspect.ts'
import { withLocks } from './locks.ts'
import type { PostgresState } from './sql.ts'

/** Pages of the table in one transaction: 64 kB, some hundred rows. */
const pages = 8

/** What says that a row is hashed, by the type of the column. */
const marks: Readonly<Record<string, { readonly is: (name: string) => string; readonly set: string }>> = {
  boolean: { is: (name) => `${name} IS TRUE`, set: 'true' },
  text: { is: (name) => `${name} IS NOT NULL`, set: `'sha256'` },
  'timestamp with time zone': { is: (name) => `${name} IS NOT NULL`, set: 'clock_timestamp()' },
  'timestamp without time zone': { is: (name) => `${name} IS NOT NULL`, set: `clock_timestamp() AT TIME ZONE 'UTC'` },
}

// What a token in the clear looks like: 16 to 512 characters that a link can have, none of them Keyturn's own format. Encrypted values of other
// formats, hashes of passwords and sentences have others; of short codes a hash is guessed in seconds.
const token = (name: string) =>
  `(${name} COLLATE "C") ~ '^[A-Za-z0-9_+/=.~-]{16,}$' AND length(${name}) <= 512 AND (${name} COLLATE "C") !~ '^kt[0-9]+[.]'`

/** A column of tokens that was looked at. */
interface Column {
  readonly table: string
  readonly name: string
  /** Conditions and assignments as SQL, of a row `t`. */
  readonly hashed: string
  readonly plain: string
  /** The condition of a constraint. */
  readonly check: string
  /** What becomes of a token, and the assignments that a row gets with it as `made` of `free`. */
  readonly made: string
  readonly assign: string
  /** Whether the user may add constraints. */
  readonly owned: boolean
}

/** Hashes of tokens on Postgres and PGlite. The server makes them: no token leaves it, and none stands in a statement. */
export function postgresTokens(state: PostgresState): FindTokens {
  return async (place) => {
    const column = await state.transaction((sql) => lookAt(sql, place))
    return {
      count: () => countIn(state, column),
      parts: async () => Math.ceil((await pagesOf(state, column.table)) / pages),
      hash: (part) => hashPart(state, column, { from: part * pages, to: (part + 1) * pages }),
      refusePlain: () => refusePlain(state, place, column),
    }
  }
}

async function lookAt(sql: Sql, { schema, table, column, mark }: TokenPlace): Promise<Column> {
  const reference = printReference({ schema, table, column })
  const [shape] = await inspect(sql, [{ schema, table, column }, ...(mark === null ? [] : [{ schema, table, column: mark }])])
  if (!shape) throw fail('ERR_UNKNOWN_TABLE', reference, table, '')
  if (shape.kind !== 'table') throw fail('ERR_NOT_A_TABLE', reference, table, shape.kind)
  const [missing] = shape.missingPrivileges
  if (missing !== undefined) throw fail('ERR_PRIVILEGE', missing, `table "${table}"`)
  const found = known(shape, reference, column)
  if (found.holds !== 'text') throw fail('ERR_COLUMN_TYPE', reference, column, found.type)
  const needed = mark === null ? 71 : 64
  if (found.maxLength !== null && found.maxLength < needed) throw fail('ERR_COLUMN_TOO_SHORT', reference, column, found.maxLength, needed)
  const name = `t.${quote(column)}`
  const digest = `encode(sha256(convert_to(${name}, 'UTF8')), 'hex')`
  const marking = mark === null ? null : await markingOf(sql, shape, known(shape, reference, mark), reference)
  const hashedIn = (row: string) =>
    marking === null
      ? `(${row}${quote(column)} COLLATE "C") ~ '^sha256:[0-9a-f]{64}$'`
      : `(${marking.is(`${row}${quote(mark as string)}`)} AND (${row}${quote(column)} COLLATE "C") ~ '^[0-9a-f]{64}$')`
  // A row that says it is hashed is never hashed again, whatever stands in it.
  const open = marking === null ? `NOT ${hashedIn('t.')}` : `NOT (${marking.is(`t.${quote(mark as string)}`)})`
  const hashed = hashedIn('t.')
  return {
    owned: shape.owned,
    check: `${quote(column)} IS NULL OR ${quote(column)} = '' OR ${hashedIn('')}`,
    table: quoteTable(shape),
    name,
    hashed,
    plain: `${token(name)} AND ${open}`,
    made: marking === null ? `'sha256:' || ${digest}` : digest,
    assign: [`${quote(column)} = free.made`, ...(marking === null ? [] : [`${quote(mark as string)} = ${marking.set}`])].join(', '),
  }
}

function known({ columns, table }: TableShape, reference: string, column: string): ColumnShape {
  const found = columns.find(({ name }) => name === column)
  if (found === undefined) throw fail('ERR_UNKNOWN_COLUMN', reference, table, column, '')
  return found
}

/** @throws `ERR_TOKEN_COLUMN` for a column that could not say of a row that its token is in the clear */
async function markingOf(sql: Sql, shape: TableShape, { name, type, nullable }: ColumnShape, reference: string) {
  const found = marks[type]
  if (found === undefined)
    throw fail('ERR_TOKEN_COLUMN', reference, `column "${name}" is of type ${type}; a mark is a boolean, a time or a text`)
  const { rows } = await sql.query(
    `SELECT pg_get_expr(d.adbin, d.adrelid) AS given FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
      WHERE d.adrelid = to_regclass($1) AND a.attname = $2::text`,
    [quoteTable(shape), name],
  )
  const given = rows[0] === undefined ? null : String(rows[0].given)
  const says =
    type === 'boolean' ? given === null || /^(false|NULL)\b/.test(given) : nullable && (given === null || given.startsWith('NULL'))
  if (!says)
    throw fail(
      'ERR_TOKEN_COLUMN',
      reference,
      `column "${name}" is set in every row, also where the token is in the clear. A mark is empty or false there`,
    )
  return found
}

async function countIn(sql: Sql, { table, name, hashed, plain }: Column): Promise<TokenCounts> {
  const { rows } = await sql.query(
    `SELECT count(*) FILTER (WHERE ${hashed})::float8 AS hashed, count(*) FILTER (WHERE ${plain})::float8 AS plain,
            count(*) FILTER (WHERE ${name} = '' AND NOT ${hashed})::float8 AS empty, count(${name})::float8 AS all FROM ${table} t WHERE ${name} IS NOT NULL`,
  )
  const [of, plains, empty, all] = ['hashed', 'plain', 'empty', 'all'].map((column) => Number(rows[0]?.[column])) as [
    number,
    number,
    number,
    number,
  ]
  return { hashed: of, plain: plains, empty, other: all - of - plains - empty }
}

/** Of the largest part of a partitioned table: one range of pages goes through all of its parts. */
async function pagesOf(sql: Sql, table: string): Promise<number> {
  const { rows } = await sql.query(
    `SELECT (max(pg_relation_size(relid)) / current_setting('block_size')::bigint)::float8 AS pages
       FROM (SELECT relid FROM pg_partition_tree(to_regclass($1)) WHERE isleaf UNION SELECT to_regclass($1) WHERE to_regclass($1) IN (SELECT oid FROM pg_class WHERE relkind = 'r')) r`,
    [table],
  )
  return Number(rows[0]?.pages ?? 0)
}

interface Range {
  readonly from: number
  readonly to: number
}

/** Pages in halves down to one, and its rows one by one, until what the database refuses is alone. */
async function hashPart(state: PostgresState, column: Column, { from, to }: Range): Promise<{ hashed: number; refused: number }> {
  try {
    return { hashed: await hashRange(state, column, `t.ctid >= '(${from},0)'::tid AND t.ctid < '(${to},0)'::tid`), refused: 0 }
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.kind !== 'data') throw error
  }
  if (to - from === 1) return await hashRows(state, column, from)
  const middle = from + ((to - from) >> 1)
  const first = await hashPart(state, column, { from, to: middle })
  const second = await hashPart(state, column, { from: middle, to })
  return { hashed: first.hashed + second.hashed, refused: first.refused + second.refused }
}

async function hashRows(state: PostgresState, column: Column, page: number): Promise<{ hashed: number; refused: number }> {
  const { rows } = await state.query(
    `SELECT DISTINCT t.ctid::text AS at FROM ${column.table} t WHERE t.ctid >= '(${page},0)'::tid AND t.ctid < '(${page + 1},0)'::tid AND ${column.plain}`,
  )
  const sum = { hashed: 0, refused: 0 }
  for (const { at } of rows) {
    try {
      sum.hashed += await hashRange(state, column, `t.ctid = '${at}'::tid`)
    } catch (error) {
      if (!(error instanceof DatabaseError) || error.kind !== 'data') throw error
      sum.refused++
    }
  }
  return sum
}

// The range stands twice, so that no plan of the server looks at more of the table than these pages.
async function hashRange(state: PostgresState, { table, name, plain, hashed, made, assign }: Column, range: string): Promise<number> {
  return await state.transaction(async (sql) => {
    await sql.exec(`SET LOCAL lock_timeout = '200ms'; SET LOCAL statement_timeout = 0`)
    const { rows } = await sql.query(
      `WITH free AS MATERIALIZED (
         SELECT t.tableoid AS part, t.ctid AS at, ${made} AS made FROM ${table} t WHERE ${range} AND ${plain} FOR UPDATE SKIP LOCKED)
       UPDATE ${table} t SET ${assign} FROM free
        WHERE t.tableoid = free.part AND t.ctid = free.at AND ${range} AND ${plain}
       RETURNING ${hashed} AND ${name} COLLATE "C" = free.made AS stands`,
    )
    // What a trigger made of a hash finds no link, or would be hashed once more by the next call: its token would be lost.
    if (rows.some(({ stands }) => stands !== true)) throw new DatabaseError('data', 'a trigger stored another value', 'hashing tokens')
    return rows.length
  })
}

/** Names are cut at 63 bytes: two long ones could be the same then, and one column pass for the other. */
function constraintOf(column: string): string {
  const name = `hashed_tokens_${column}`
  return Buffer.byteLength(name) <= 63 ? name : `hashed_tokens_${createHash('sha256').update(column).digest('hex').slice(0, 16)}`
}

async function refusePlain(state: PostgresState, place: TokenPlace, { table, check, owned }: Column): Promise<string> {
  const reference = printReference(place)
  const constraint = constraintOf(place.column)
  if (!owned) throw fail('ERR_PRIVILEGE', 'OWNER (to add the constraint that refuses tokens in the clear)', `table "${place.table}"`)
  await withLocks(state, place.table, async (sql) => {
    const { rows } = await sql.query('SELECT FROM pg_constraint WHERE conrelid = to_regclass($1) AND conname = $2::text', [
      table,
      constraint,
    ])
    if (rows.length > 0) return
    await sql.exec(`ALTER TABLE ${table} ADD CONSTRAINT ${quote(constraint)} CHECK (${check}) NOT VALID`)
  })
  try {
    await state.transaction(async (sql) => {
      await sql.exec(`SET LOCAL statement_timeout = 0; ALTER TABLE ${table} VALIDATE CONSTRAINT ${quote(constraint)}`)
    })
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.kind !== 'data') throw error
    throw fail('ERR_TOKEN_COLUMN', reference, 'a token in the clear was written meanwhile. The database refuses further ones: say it again')
  }
  return constraint
}
