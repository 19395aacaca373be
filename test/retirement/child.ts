import { Pool } from 'pg'
import { isKeyturnError } from '../../packages/core/src/errors.ts'
import { open } from '../../packages/core/src/open.ts'
import { everyKind, fast, keys } from './fields.ts'
import { watchedPool } from './watched-pool.ts'

/** What the child is told, as JSON in its only argument. */
export interface ChildTask {
  readonly url: string
  readonly leaseMs: number
  /** Kills itself at the statement of this number, counted from 1, or at the first one with this text. */
  readonly at?: number | string
  /** Before it is sent, or once it has been answered. */
  readonly when?: 'before' | 'after'
}

// A process that retires a key version and kills itself at a statement of its choice.
const task = JSON.parse(process.argv[2] ?? '') as ChildTask
const pool = new Pool({ connectionString: task.url, max: 4, application_name: 'retiring-child' })
pool.on('error', () => {})
let statements = 0
const die = (when: ChildTask['when'], text: string) => {
  if (when === task.when && (typeof task.at === 'string' ? text.includes(task.at) : statements === task.at))
    process.kill(process.pid, 'SIGKILL')
}
const watched = watchedPool(
  pool,
  (text) => {
    statements++
    die('before', text)
  },
  (text) => die('after', text),
)
try {
  const keyturn = await open(everyKind, { pool: watched, env: keys, leaseMs: task.leaseMs })
  const retired = await keyturn.retire('app', fast)
  process.stdout.write(`ended ${JSON.stringify({ retired: retired.length, statements })}\n`)
  await keyturn.close()
} catch (error) {
  process.stdout.write(`ended ${isKeyturnError(error) ? error.code : String(error)}\n`)
} finally {
  await pool.end()
}
