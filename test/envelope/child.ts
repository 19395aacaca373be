import { Pool } from 'pg'
import { open } from '../../packages/core/src/open.ts'
import { watchedPool } from '../retirement/watched-pool.ts'
import { config, keys } from './world.ts'

/** What the child is told, as JSON in its only argument. */
export interface ChildTask {
  readonly url: string
  readonly leaseMs: number
  /** Only opens, once its stdin says so; else it rotates. */
  readonly opens?: boolean
  /** Kills itself before the statement of this number, counted from 1. */
  readonly before?: number
}

// An instance of the host: it opens the configuration together with others, or rotates and kills itself at a statement of its choice.
const task = JSON.parse(process.argv[2] ?? '') as ChildTask
const pool = new Pool({ connectionString: task.url, max: 3, application_name: 'envelope-child' })
pool.on('error', () => {})
let statements = 0
const watched = watchedPool(pool, () => {
  if (++statements === task.before) process.kill(process.pid, 'SIGKILL')
})
if (task.opens) {
  process.stdout.write('waiting\n')
  await new Promise((resolve) => process.stdin.once('data', resolve))
}
const keyturn = await open(config, { pool: watched, env: keys, leaseMs: task.leaseMs })
if (task.opens) {
  const { value, keyId } = await keyturn.field('server.secret').encryptKeyed(`from ${process.pid}`)
  process.stdout.write(`ended ${JSON.stringify({ pid: process.pid, value, keyId })}\n`)
} else {
  const { state } = await keyturn.rotate('app', { throttle: { targetMs: 0.001, share: 1 } })
  process.stdout.write(`ended ${JSON.stringify({ state, statements })}\n`)
}
await keyturn.close()
await pool.end()
process.stdin.destroy()
