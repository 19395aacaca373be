import { Pool } from 'pg'
import type { PgClient } from '../../packages/core/src/databases/postgres.ts'
import { open } from '../../packages/core/src/open.ts'
import { storedConfig, storedEnv } from './stored-keyring.ts'

/** What the child is told, as JSON in its only argument. */
export interface StoredChildTask {
  readonly url: string
  readonly leaseMs: number
  /** Kills itself before it sends the statement of this number, counted from 1. */
  readonly before?: number
  /** Kills itself once the statement of this number has been answered. */
  readonly after?: number
  /** Kills itself before it sends a statement that contains this. */
  readonly beforeText?: string
}

// A process that rotates a stored keyring and kills itself between two statements of its choice.
const task = JSON.parse(process.argv[2] ?? '') as StoredChildTask
const pool = new Pool({ connectionString: task.url, max: 3, application_name: 'rotation-child' })
pool.on('error', () => {})
let statements = 0
const counting = {
  connect: async (): Promise<PgClient> => {
    const client = await pool.connect()
    return {
      processID: (client as unknown as { processID: number }).processID,
      query: async (query) => {
        const number = ++statements
        if (number === task.before || (task.beforeText !== undefined && query.text.includes(task.beforeText)))
          process.kill(process.pid, 'SIGKILL')
        const result = await client.query(query)
        if (number === task.after) process.kill(process.pid, 'SIGKILL')
        return result
      },
      release: (destroy) => client.release(destroy),
      on: (event, listener) => client.on(event, listener),
      off: (event, listener) => client.off(event, listener),
    }
  },
}
const keyturn = await open(storedConfig, { pool: counting, env: storedEnv, leaseMs: task.leaseMs })
const { state } = await keyturn.rotate('app', { throttle: { targetMs: 0.001, share: 1 } })
process.stdout.write(`ended ${JSON.stringify({ state, statements })}\n`)
await keyturn.close()
await pool.end()
