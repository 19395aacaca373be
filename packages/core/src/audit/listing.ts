import { fail } from '../errors.ts'
import type { Sql } from '../state/sql.ts'
import type { LoggedEvent } from './chain.ts'
import { eventColumns, toEvent } from './log.ts'

/** Which events are meant. What is not given does not matter. */
export interface EventFilter {
  readonly actor?: string
  readonly action?: string
  readonly subject?: string
  /** From this time on, and before this one: ISO. */
  readonly from?: string
  readonly to?: string
  /** How many at most; 50 unless given. */
  readonly limit?: number
  /** The `next` of the page before. */
  readonly after?: string
}
/** Some events, the newest first. */
export interface EventPage {
  readonly items: readonly LoggedEvent[]
  /** Where the next page begins; null: this is the last. */
  readonly next: string | null
}

const usual = 50

/** A page of the log, the newest event first. Nothing is checked here: `verifyLog` does that. @throws `ERR_USAGE` */
export async function listEvents(sql: Sql, schema: string, filter: EventFilter): Promise<EventPage> {
  const { limit = usual, after } = filter
  if (after !== undefined && !/^\d{1,15}$/.test(after)) throw fail('ERR_USAGE', '"after" is no place in this list')
  const { conditions, values } = conditionsOf(filter)
  const { rows } = await sql.query(
    `SELECT ${eventColumns} FROM ${schema}.audit_event ${conditions === '' ? '' : `WHERE ${conditions}`}
     ORDER BY audit_event.seq DESC LIMIT ${Math.trunc(limit) + 1}`,
    values,
  )
  const items = rows.slice(0, limit).map(toEvent)
  return { items, next: rows.length > limit ? String(items.at(-1)?.seq) : null }
}

const tests = {
  actor: (n: number) => `actor = $${n}::text`,
  action: (n: number) => `action = $${n}::text`,
  subject: (n: number) => `subject = $${n}::text`,
  from: (n: number) => `audit_event.at >= $${n}::text::timestamptz`,
  to: (n: number) => `audit_event.at < $${n}::text::timestamptz`,
  after: (n: number) => `audit_event.seq < $${n}::text::bigint`,
} as const

function conditionsOf(filter: EventFilter): { readonly conditions: string; readonly values: readonly string[] } {
  const given = (Object.keys(tests) as (keyof typeof tests)[]).filter((name) => filter[name] !== undefined)
  return {
    conditions: given.map((name, index) => tests[name](index + 1)).join(' AND '),
    values: given.map((name) => String(filter[name])),
  }
}
