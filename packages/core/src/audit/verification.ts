import type { Sql } from '../state/sql.ts'
import { emptyHead, type Head, headText, type LoggedEvent, sameHead, verifyChain } from './chain.ts'
import { readEvents } from './log.ts'

/** What a look at the audit log found. */
export interface AuditReport {
  readonly intact: boolean
  readonly events: number
  /** `seq:hash` of the last event that is intact: kept elsewhere, it proves all events up to it. */
  readonly head: string
  readonly fault: AuditFault | null
}
/**
 * The first event that is wrong, and how.
 *
 * - `sequence`: it is missing, or another one stands in its place
 * - `previous`: it does not follow the one before
 * - `hash`: it is not what was written
 * - `head`: the log's own head, or the one that was expected, is not an event of the chain
 */
export interface AuditFault {
  readonly seq: number
  readonly reason: 'sequence' | 'previous' | 'hash' | 'head'
}

const pageEvents = 1_000

/** Every event in its order, read in pages. One with a number below 1 is not left out: nobody but a forger writes it. */
export async function* allEvents(sql: Sql, schema: string): AsyncGenerator<LoggedEvent[]> {
  for (let after = Number.MIN_SAFE_INTEGER; ; ) {
    const page = await readEvents(sql, schema, { after, limit: pageEvents })
    const last = page.at(-1)
    if (last === undefined) return
    yield page
    // Numbers that this program cannot tell apart are a forger's: what comes after the first of them would be read for ever.
    if (!Number.isSafeInteger(last.seq)) return
    after = last.seq
  }
}

/**
 * Checks every event, from the first. Events that are appended meanwhile are checked as well. The memory it needs is that of a page.
 *
 * @param expect - a head obtained elsewhere: the chain must hold it
 */
export async function verifyLog(sql: Sql, schema: string, expect: Head | null): Promise<AuditReport> {
  let head = emptyHead
  let held = expect === null || sameHead(expect, emptyHead)
  for await (const page of allEvents(sql, schema)) {
    const checked = verifyChain(page, head)
    const intact = checked.intact ? page.length : checked.seq - head.seq - 1
    held ||= page.slice(0, Math.max(0, intact)).some((event) => expect !== null && sameHead(event, expect))
    head = checked.intact ? checked.head : lastIntact(page, intact, head)
    if (!checked.intact) return reportOf(head, { seq: checked.seq, reason: checked.reason })
  }
  const fault = await faultOfHead(sql, schema, head)
  if (fault !== null) return reportOf(head, fault)
  // Truncated, or written anew from some event on: the chain is whole and is not the one that was seen.
  return reportOf(head, held || expect === null ? null : { seq: expect.seq, reason: 'head' })
}

const lastIntact = (page: readonly LoggedEvent[], intact: number, before: Head): Head => {
  const event = page[intact - 1]
  return event === undefined ? before : { seq: event.seq, hash: event.hash }
}

const reportOf = (head: Head, fault: AuditFault | null): AuditReport => ({
  intact: fault === null,
  events: head.seq,
  head: headText(head),
  fault,
})

/** Whether the head's own row is that of the last event, and every number stands there once. */
async function faultOfHead(sql: Sql, schema: string, last: Head): Promise<AuditFault | null> {
  // One statement, so that an event appended at this moment is in all of it or in nothing.
  const { rows } = await sql.query(
    `SELECT h.seq::text AS seq, encode(h.hash, 'hex') AS hash,
       (SELECT count(*)::text FROM ${schema}.audit_event) AS events, (SELECT coalesce(max(e.seq), 0)::text FROM ${schema}.audit_event e) AS newest
     FROM ${schema}.audit_head h`,
  )
  const [row] = rows
  if (row === undefined || rows.length !== 1 || row.seq !== row.newest) return { seq: last.seq + 1, reason: 'head' }
  // The pages end before what was appended since; of the newest one only the head is known, which its successor will be held to.
  if (Number(row.newest) === last.seq && row.hash !== Buffer.from(last.hash).toString('hex')) return { seq: last.seq, reason: 'head' }
  return row.events === row.newest ? null : { seq: last.seq + 1, reason: 'sequence' }
}
