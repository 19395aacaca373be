import { type AuditEvent, actingAs, appendEvent, type Sql, type SqlState } from '@keyturn/core'
import type { FastifyBaseLogger } from 'fastify'

/** What everything of authentication stands on. */
export interface Ground {
  readonly state: SqlState
  readonly log: FastifyBaseLogger
  /** Where the server is mounted: `''`, or `/admin`. */
  readonly prefix: string
  /** Whether browsers reach the server by TLS, its own or that of a declared proxy. */
  readonly secure: boolean
  /** The time for statements; null: the clock of the database, by which all servers agree. */
  readonly now: () => string | null
}

/** The time in a statement, from a parameter that `Ground.now` gave. */
export const time = (parameter: string): string => `coalesce(${parameter}::text::timestamptz, clock_timestamp())`

export const textOrNull = (value: unknown): string | null => (value === null || value === undefined ? null : String(value))

/** Puts an event on record in the caller's transaction, as its last statement. By the actor of the event, whoever the request is from. */
export async function record(sql: Sql, { state }: Ground, event: AuditEvent): Promise<void> {
  await actingAs(event.actor, () => appendEvent(sql, state.schema, event))
}

/**
 * One transaction at a time, of all servers, that changes who is there: so that the last admin stays, and the first one is made once.
 */
export async function alone<T>({ state }: Ground, work: (sql: Sql) => Promise<T>): Promise<T> {
  return await state.transaction(async (sql) => {
    await sql.query('SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))', [`keyturn users ${state.schema}`])
    return await work(sql)
  })
}
