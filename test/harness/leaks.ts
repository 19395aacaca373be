import { setTimeout as sleep } from 'node:timers/promises'
import type { Pool } from 'pg'

const PAUSE_MS = 50

/**
 * Fails if a client of the pool is still checked out, or if any session of its database has a transaction open. Sessions that are
 * just closing are given some time.
 */
export async function assertNoLeaks(pool: Pool, tries = 1_200): Promise<void> {
  if (pool.ending) return
  let leaks: string[] = []
  for (let attempt = 0; attempt < tries; attempt++) {
    leaks = await findLeaks(pool)
    if (leaks.length === 0) return
    await sleep(PAUSE_MS)
  }
  throw new Error(`the test left something behind: ${leaks.join('; ')}`)
}

async function findLeaks(pool: Pool): Promise<string[]> {
  const checkedOut = pool.totalCount - pool.idleCount
  // With every client checked out the query below would wait for ever.
  if (checkedOut > 0) return [`${checkedOut} clients of the pool are checked out`]
  const { rows } = await pool.query<{ state: string; application: string }>(
    `SELECT state, application_name AS application FROM pg_stat_activity
     WHERE datname = current_database() AND backend_type = 'client backend' AND xact_start IS NOT NULL
       AND (pid <> pg_backend_pid() OR xact_start < query_start)`,
  )
  return rows.map(({ state, application }) => `a session of "${application}" has a transaction open (${state})`)
}
