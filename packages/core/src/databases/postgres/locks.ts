import { fail } from '../../errors.ts'
import { DatabaseError } from '../../rotation/database-error.ts'
import type { Connection, PostgresState } from './sql.ts'

/** How long a transaction waits for its locks at a time, and how often. While it waits, writers queue behind it: so it is short. */
export const lockTimeoutMs = 500
const lockTries = 40

/**
 * Runs a transaction that waits for its locks only a short time, and tries again. Once it calls `locked`, it is not tried again.
 *
 * @throws `ERR_LOCK_TIMEOUT`
 */
export async function withLocks<T>(
  state: PostgresState,
  names: string,
  work: (connection: Connection, locked: () => void) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    let locked = false
    try {
      return await state.transaction(async (connection) => {
        await connection.exec(`SET LOCAL lock_timeout = ${lockTimeoutMs}`)
        return await work(connection, () => {
          locked = true
        })
      })
    } catch (error) {
      if (locked || !(error instanceof DatabaseError) || error.kind !== 'contention') throw error
      if (attempt === lockTries) throw fail('ERR_LOCK_TIMEOUT', names, lockTries)
      await new Promise((resolve) => setTimeout(resolve, 100 + Math.random() * 400))
    }
  }
}
