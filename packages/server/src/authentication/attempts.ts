import type { Sql } from '@keyturn/core'
import { networkOf } from './address.ts'
import { type Ground, time } from './ground.ts'
import { tooMany } from './problem.ts'
import { hashOf } from './secret.ts'

const hour = 3_600
const day = 24 * hour

/**
 * How often a password may be tried. Each scope has some attempts free; each failure after them doubles the wait, up to a cap. A scope is forgotten some
 * time after its last failure, so that nothing keeps anybody out for good.
 *
 * - `account`: a name, whoever tries: against many addresses. Its cap is low, because it meets the owner, too
 * - `address`: an address, whatever the name: against one password for many names
 * - `pair`: a name from an address
 * - `browser`: one that has signed in to the account before. It is asked this alone: no attempts of others keep it out
 * - `again`: the password asked of somebody who is signed in
 */
export const scopes = {
  account: { free: 10, capSeconds: 60, forgetSeconds: hour },
  address: { free: 20, capSeconds: 900, forgetSeconds: hour },
  pair: { free: 5, capSeconds: 900, forgetSeconds: day },
  browser: { free: 5, capSeconds: 900, forgetSeconds: day },
  again: { free: 5, capSeconds: 900, forgetSeconds: day },
} as const
type Scope = keyof typeof scopes

interface Counted {
  readonly scope: Scope
  readonly key: string
}

/** An attempt that has been counted as a failure, until it turns out to be none. */
export type Attempt = readonly Counted[]

/** Who tries what: names are counted alike whether there is such a user or not. */
export interface Trier {
  readonly folded: string
  readonly address: string
  /** The hash of the mark of a browser that has signed in to this account before; null: none. */
  readonly browser: string | null
}

/** What an attempt to sign in counts against, in the one order in which the rows are locked. */
export function scopesOf({ folded, address, browser }: Trier): Attempt {
  if (browser !== null) return [{ scope: 'browser', key: browser }]
  const network = networkOf(address)
  return [
    { scope: 'account', key: hashOf(folded) },
    { scope: 'address', key: hashOf(network) },
    { scope: 'pair', key: hashOf(folded, network) },
  ]
}

/** The password asked again of a user who is signed in. */
export const againOf = (userId: string): Attempt => [{ scope: 'again', key: hashOf(userId) }]

/**
 * Counts an attempt before the password is looked at, so that a thousand at once are counted like a thousand in turn. Where one scope
 * refuses, it counts in none.
 *
 * @throws `ERR_RATE_LIMITED` with the seconds to wait
 */
export async function begin({ state, now }: Ground, attempt: Attempt): Promise<void> {
  await state.transaction(async (sql) => {
    for (const counted of attempt) {
      if (!(await count(sql, state.schema, counted, now()))) throw tooMany(await secondsLeft(sql, state.schema, counted, now()))
    }
  })
}

/** An attempt that was right, or that nobody looked at: it counts as none. The other failures of the scopes stay. */
export async function forgive({ state, now }: Ground, attempt: Attempt): Promise<void> {
  for (const { scope, key } of attempt) {
    await state.query(
      `UPDATE ${state.schema}.attempt SET failures = greatest(failures - 1, 0), until = least(until, ${time('$3')})
       WHERE scope = $1::text AND key = decode($2::text, 'hex')`,
      [scope, key, now()],
    )
  }
}

/** The password was right: what was tried with this name from here before was a slip. What is counted across names or addresses stays. */
export async function succeed(ground: Ground, attempt: Attempt): Promise<void> {
  const { state } = ground
  await forgive(ground, attempt)
  for (const { scope, key } of attempt) {
    if (scope === 'account' || scope === 'address') continue
    await state.query(`DELETE FROM ${state.schema}.attempt WHERE scope = $1::text AND key = decode($2::text, 'hex')`, [scope, key])
  }
}

/** How long a row is kept at least, in SQL. */
const forgottenAfter = `CASE scope ${Object.entries(scopes)
  .map(([scope, { forgetSeconds }]) => `WHEN '${scope}' THEN interval '${forgetSeconds} seconds'`)
  .join(' ')} END`

/** Forgets what is over. */
export async function forget({ state, now }: Ground): Promise<void> {
  // The first condition is that of the index: under attack there are many rows, and this is asked every few seconds.
  await state.query(
    `DELETE FROM ${state.schema}.attempt WHERE at < ${time('$1')} - interval '${hour} seconds' AND at < ${time('$1')} - ${forgottenAfter}
       AND until < ${time('$1')}`,
    [now()],
  )
}

/** One statement, so that the row's lock decides who was first. @returns whether it may be tried */
async function count(sql: Sql, schema: string, { scope, key }: Counted, now: string | null): Promise<boolean> {
  const { free, capSeconds, forgetSeconds } = scopes[scope]
  const forgotten = `a.at < excluded.at - interval '${forgetSeconds} seconds'`
  const { rows } = await sql.query(
    `INSERT INTO ${schema}.attempt AS a (scope, key, failures, at, until)
     VALUES ($1::text, decode($2::text, 'hex'), 1, ${time('$3')}, ${time('$3')})
     ON CONFLICT (scope, key) DO UPDATE SET
       failures = CASE WHEN ${forgotten} THEN 1 ELSE a.failures + 1 END,
       at = excluded.at,
       until = excluded.at + interval '1 second' * CASE
         WHEN ${forgotten} OR a.failures + 1 < ${free} THEN 0
         ELSE least(${capSeconds}, power(2, least(a.failures + 1 - ${free}, 20))) END
     WHERE a.until <= excluded.at RETURNING failures`,
    [scope, key, now],
  )
  return rows.length === 1
}

async function secondsLeft(sql: Sql, schema: string, { scope, key }: Counted, now: string | null): Promise<number> {
  const { rows } = await sql.query(
    `SELECT extract(epoch FROM until - ${time('$3')})::text AS seconds FROM ${schema}.attempt WHERE scope = $1::text AND key = decode($2::text, 'hex')`,
    [scope, key, now],
  )
  return Number(rows[0]?.seconds ?? 1)
}
