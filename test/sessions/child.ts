import { Redis } from 'ioredis'
import { Pool } from 'pg'
import { isKeyturnError } from '../../packages/core/src/errors.ts'
import type { RotateOptions } from '../../packages/core/src/keyturn.ts'
import { resume, rotate } from '../../packages/core/src/rotation/rotate.ts'
import { withSteps } from '../rotation/steps.ts'
import { rotationOf } from '../rotation/world.ts'
import { sessionsDatabase, tokenField } from './world.ts'

/** What the child is told, as JSON in its only argument. */
export interface SessionsTask {
  readonly url: string
  readonly redisUrl: string
  readonly prefix: string
  readonly options: RotateOptions
  readonly leaseMs: number
  /** Sends itself `signal` at the step of this number, counted from 1. */
  readonly at?: number
  /** The same, the first time it comes to the step of this name. */
  readonly on?: string
  readonly signal?: 'SIGKILL' | 'SIGSTOP'
}

// A process that rotates sessions, and ends or stops itself exactly where it was told to.
const task = JSON.parse(process.argv[2] ?? '') as SessionsTask
const pool = new Pool({ connectionString: task.url, max: 3, application_name: 'rotation-child' })
pool.on('error', () => {})
const redis = new Redis(task.redisUrl)

let steps = 0
let signalled = false
const database = withSteps(sessionsDatabase(pool, redis), (step) => {
  steps++
  if (signalled || !(steps === task.at || step === task.on)) return
  signalled = true
  process.stdout.write(`at ${steps} ${step}\n`)
  process.kill(process.pid, task.signal ?? 'SIGKILL')
})
const field = tokenField(task.prefix)
const rotation = { ...rotationOf(database, [field], task.options), leaseMs: task.leaseMs }
try {
  const run = await database.runs.unfinished(field.keyring.name)
  const result = run === null ? await rotate(rotation) : await resume(rotation, run)
  process.stdout.write(`ended ${JSON.stringify({ steps, state: result.state })}\n`)
} catch (error) {
  process.stdout.write(`ended ${isKeyturnError(error) ? error.code : String(error)}\n`)
} finally {
  redis.disconnect()
  await pool.end()
}
