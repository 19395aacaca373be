import { Pool } from 'pg'
import type { PgClient } from '../../packages/core/src/databases/postgres.ts'
import { open } from '../../packages/core/src/open.ts'
import { config, environment, fast } from './world.ts'

/** What the child is told, as JSON in its only argument. */
export interface EvidenceTask {
  readonly url: string
  readonly leaseMs: number
  /** Retires what a rotation has left retiring, instead of rotating. */
  readonly retire?: boolean
  /** Kills itself before it sends the statement of this number, counted from 1 where the run is completed, or the version retired. */
  readonly before?: number
  /** Kills itself once the statement of this number has been answered. */
  readonly after?: number
}

// A process that rotates or retires, and kills itself around the statements that end it and write its evidence.
const task = JSON.parse(process.argv[2] ?? '') as EvidenceTask
const pool = new Pool({ connectionString: task.url, max: 3, application_name: 'evidence-child' })
pool.on('error', () => {})
let statements = 0
const ends = (value: unknown) => (task.retire ? String(value).includes('"state":"retired"') : value === 'completed')
const counting = {
  connect: async (): Promise<PgClient> => {
    const client = await pool.connect()
    return {
      query: async (query) => {
        const number = statements > 0 || query.values?.some(ends) ? ++statements : 0
        if (number > 0 && number === task.before) process.kill(process.pid, 'SIGKILL')
        const result = await client.query(query)
        if (number > 0 && number === task.after) process.kill(process.pid, 'SIGKILL')
        return result
      },
      release: (destroy) => client.release(destroy),
      on: (event, listener) => client.on(event, listener),
      off: (event, listener) => client.off(event, listener),
    }
  },
}
const sink = () => {}
const keyturn = await open(config, { pool: counting, env: environment, leaseMs: task.leaseMs, sink })
if (task.retire) await keyturn.retire('app', fast)
else await keyturn.rotate('app', fast)
process.stdout.write(`ended ${JSON.stringify({ statements })}\n`)
await keyturn.close()
await pool.end()
