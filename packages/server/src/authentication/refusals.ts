import type { AuditValue } from '@keyturn/core'
import { utc } from '../state/time.ts'
import { type Ground, record, textOrNull, time } from './ground.ts'

/** Why somebody was not let in. */
export type RefusalReason = 'password' | 'password-again' | 'limited' | 'setup' | 'token' | 'cross-site'

/** One attempt that was refused. */
export interface Refusal {
  readonly address: string
  /** A user that there is; empty: none, or nobody knows. What was typed is never kept: people type passwords where names belong. */
  readonly name: string
  readonly reason: RefusalReason
}

/** How many addresses of one minute have an event of their own; the rest share one. */
const mostAddresses = 50

/** Counts a refusal, or several alike. It is on record when its minute is over: see `report`. */
export async function refuse({ state, now }: Ground, { address, name, reason }: Refusal, count = 1): Promise<void> {
  await state.query(
    `INSERT INTO ${state.schema}.refusal AS r (minute, address, name, reason, count)
     VALUES (date_trunc('minute', ${time('$1')}), $2::text, $3::text, $4::text, $5::text::bigint)
     ON CONFLICT (minute, address, name, reason) DO UPDATE SET count = r.count + excluded.count`,
    [now(), address, name, reason, String(count)],
  )
}

/**
 * Puts the refusals of the minutes that are over on record: one event for each address and minute, with counts, whatever the number of
 * servers. Counts and events change in one transaction, so that a crash loses none and repeats none.
 */
export async function report(ground: Ground): Promise<void> {
  const { state, now } = ground
  await state.transaction(async (sql) => {
    // Whoever counts just now may be some seconds behind.
    const { rows } = await sql.query(
      `DELETE FROM ${state.schema}.refusal WHERE minute < date_trunc('minute', ${time('$1')} - interval '5 seconds')
       RETURNING ${utc('minute')}, address, name, reason, count::text AS count`,
      [now()],
    )
    const refusals = rows.map((row) => ({
      minute: String(row.minute),
      address: String(row.address),
      name: textOrNull(row.name) ?? '',
      reason: String(row.reason),
      count: Number(row.count),
    }))
    for (const data of eventsOf(refusals))
      await record(sql, ground, { actor: 'nobody', action: 'session.refuse', subject: 'session', data })
  })
}

interface Counted {
  readonly minute: string
  readonly address: string
  readonly name: string
  readonly reason: string
  readonly count: number
}

function eventsOf(refusals: readonly Counted[]): { readonly [name: string]: AuditValue }[] {
  const minutes = Map.groupBy(refusals, ({ minute }) => minute)
  return [...minutes]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([minute, ofMinute]) => {
      const addresses = [...Map.groupBy(ofMinute, ({ address }) => address)]
      const rest = addresses.slice(mostAddresses)
      const own = addresses.slice(0, mostAddresses).map(([address, counted]) => ({ minute, address, ...sums(counted) }))
      if (rest.length === 0) return own
      return [...own, { minute, addresses: rest.length, ...sums(rest.flatMap(([, counted]) => counted)) }]
    })
}

function sums(counted: readonly Counted[]) {
  const by = (of: (one: Counted) => string) =>
    Object.fromEntries([...Map.groupBy(counted, of)].map(([key, same]) => [key, total(same)] as const))
  return { count: total(counted), reasons: by(({ reason }) => reason), users: by(({ name }) => (name === '' ? '?' : name)) }
}

const total = (counted: readonly Counted[]) => counted.reduce((sum, { count }) => sum + count, 0)
