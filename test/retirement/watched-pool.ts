import type { Pool } from 'pg'
import type { PgPool } from '../../packages/core/src/databases/postgres.ts'

/** A pool that lets a test act before a statement is sent and once it is answered. */
export function watchedPool(pool: Pool, before: (text: string) => void | Promise<void>, after: (text: string) => void = () => {}): PgPool {
  return {
    connect: async () => {
      const client = await pool.connect()
      return {
        processID: (client as unknown as { processID: number }).processID,
        query: async (query) => {
          await before(query.text)
          const result = await client.query(query)
          after(query.text)
          return result
        },
        release: (destroy) => client.release(destroy),
        on: (event, listener) => client.on(event, listener),
        off: (event, listener) => client.off(event, listener),
      }
    },
  }
}
