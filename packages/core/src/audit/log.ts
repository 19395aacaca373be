import { fail } from '../errors.ts'
import type { Sql } from '../state/sql.ts'
import { actingOr } from './acting.ts'
import { canonicalJson } from './canonical.ts'
import { type Head, headText, type LoggedEvent, nextEvent } from './chain.ts'
import type { AuditEvent } from './event.ts'

const utc = (expression: string) => `to_char((${expression}) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`

/**
 * Adds an event to the log, within the caller's transaction: it is there exactly when the change that it speaks of is.
 *
 * Call it as the last statement before the commit. It locks the head of the chain, and everybody who appends waits for it.
 *
 * @param schema - a quoted identifier
 * @param now - the time of the event; the database's clock unless given
 * @returns the head after it
 * @throws `ERR_USAGE` for what an event cannot hold (spec/audit.md)
 */
export async function append(sql: Sql, schema: string, event: AuditEvent, now?: Date): Promise<Head> {
  const { rows } = await sql.query(
    `SELECT seq::text AS seq, encode(hash, 'hex') AS hash, ${utc("date_trunc('milliseconds', clock_timestamp())")} AS now
     FROM ${schema}.audit_head FOR UPDATE`,
  )
  const head = { seq: Number(rows[0]?.seq), hash: bytes(rows[0]?.hash) }
  const next = nextEvent(head, { ...event, actor: actingOr(event.actor) }, now ?? new Date(String(rows[0]?.now)))
  await sql.query(
    `WITH event AS (
       INSERT INTO ${schema}.audit_event (seq, at, actor, action, subject, data, previous, hash)
       VALUES ($1::text::bigint, $2::text::timestamptz, $3::text, $4::text, $5::text, $6::text, decode($7::text, 'hex'), decode($8::text, 'hex'))
     )
     UPDATE ${schema}.audit_head SET seq = $1::text::bigint, hash = decode($8::text, 'hex')`,
    [String(next.seq), next.at, next.actor, next.action, next.subject, canonicalJson(next.data), hex(next.previous), hex(next.hash)],
  )
  return { seq: next.seq, hash: next.hash }
}

/** Where the log ends. */
export async function readHead(sql: Sql, schema: string): Promise<Head> {
  const { rows } = await sql.query(`SELECT seq::text AS seq, encode(hash, 'hex') AS hash FROM ${schema}.audit_head`)
  return { seq: Number(rows[0]?.seq), hash: bytes(rows[0]?.hash) }
}

/**
 * The head as text, and the database's clock. Looks at the last event as well, which costs nothing: what is signed next must not
 * speak of a head that somebody wrote by hand.
 *
 * @throws `ERR_AUDIT` when the last event is not the one that the head names
 */
export async function readStanding(sql: Sql, schema: string): Promise<{ readonly head: string; readonly at: string }> {
  const { rows } = await sql.query(
    `SELECT h.seq::text AS seq, encode(h.hash, 'hex') AS hash, ${utc("date_trunc('milliseconds', clock_timestamp())")} AS now,
       coalesce(e.seq, 0)::text AS last, coalesce(encode(e.hash, 'hex'), repeat('00', 32)) AS last_hash
     FROM ${schema}.audit_head h LEFT JOIN (SELECT seq, hash FROM ${schema}.audit_event ORDER BY audit_event.seq DESC LIMIT 1) e ON true`,
  )
  const [row] = rows
  if (row === undefined || row.seq !== row.last || row.hash !== row.last_hash) throw fail('ERR_AUDIT', String(row?.last ?? 0))
  return { head: headText({ seq: Number(row.seq), hash: bytes(row.hash) }), at: new Date(String(row.now)).toISOString() }
}

/**
 * Events in their order, as they stand. Nothing is checked here: see `verifyChain`.
 *
 * @param page - `after`: the sequence number before the first one wanted, 0 for all; `limit`: how many at most
 */
export async function readEvents(
  sql: Sql,
  schema: string,
  { after = 0, limit = 1000 }: { readonly after?: number; readonly limit?: number } = {},
): Promise<LoggedEvent[]> {
  const { rows } = await sql.query(
    `SELECT ${eventColumns} FROM ${schema}.audit_event WHERE seq > $1::text::bigint ORDER BY audit_event.seq LIMIT $2::text::bigint`,
    [String(after), String(limit)],
  )
  return rows.map(toEvent)
}

/** Everything as text: what a driver makes of bigint and timestamps can be changed by the application. */
export const eventColumns = `seq::text AS seq, ${utc('at')} AS at, actor, action, subject, data, encode(previous, 'hex') AS previous, encode(hash, 'hex') AS hash`

/** A row of `eventColumns`. */
export function toEvent(row: Record<string, unknown>): LoggedEvent {
  return {
    seq: Number(row.seq),
    // Microseconds that somebody added stay visible, so that the hash does not fit.
    at: String(row.at).replace(/000Z$/, 'Z'),
    actor: String(row.actor),
    action: String(row.action),
    subject: String(row.subject),
    data: dataOf(String(row.data)),
    previous: bytes(row.previous),
    hash: bytes(row.hash),
  }
}

/** The newest event of an action on a subject, or null. Nothing is checked here. Reads the whole log where there is none. */
export async function findEvent(sql: Sql, schema: string, subject: string, action: string): Promise<LoggedEvent | null> {
  const { rows } = await sql.query(
    `SELECT (max(seq) - 1)::text AS before FROM ${schema}.audit_event WHERE subject = $1::text AND action = $2::text`,
    [subject, action],
  )
  const before = rows[0]?.before
  if (typeof before !== 'string') return null
  return (await readEvents(sql, schema, { after: Number(before), limit: 1 }))[0] ?? null
}

function dataOf(text: string): LoggedEvent['data'] {
  try {
    const data = JSON.parse(text)
    // Another writing of the same facts is a change, too: of two members of one name, whoever reads the row sees what we do not.
    if (canonicalJson(data) === text) return data
  } catch {
    // Not JSON, or JSON that no event holds.
  }
  // Somebody wrote over it. Null is no data of an event, so that the chain is found to be broken here.
  return null as unknown as LoggedEvent['data']
}

const hex = (value: Uint8Array): string => Buffer.from(value).toString('hex')
const bytes = (text: unknown): Uint8Array => new Uint8Array(Buffer.from(String(text), 'hex'))
