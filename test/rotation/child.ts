import { Pool } from 'pg'
import postgres from '../../packages/core/src/databases/postgres.ts'
import { isKeyturnError } from '../../packages/core/src/errors.ts'
import type { RotateOptions } from '../../packages/core/src/keyturn.ts'
import { resume, rotate } from '../../packages/core/src/rotation/rotate.ts'
import { withSteps } from './steps.ts'
import { fieldOf, namelessField, rotationOf } from './world.ts'

/** What the child is told, as JSON in its only argument. */
export interface ChildTask {
  readonly url: string
  readonly reference: string
  /** Whether the format names no key: then hex-colon is rewritten as hex-colon. */
  readonly nameless?: boolean
  readonly options: RotateOptions
  readonly leaseMs: number
  /** Sends itself `signal` at the step of this number, counted from 1. */
  readonly at?: number
  /** Sends itself `signal` the first time it comes to the step of this name. */
  readonly on?: string
  readonly signal?: 'SIGKILL' | 'SIGSTOP'
}

// A process that rotates, and ends or stops itself exactly where it was told to. It says each step, and at the end the result or
// the code of the error.
const task = JSON.parse(process.argv[2] ?? '') as ChildTask
const pool = new Pool({ connectionString: task.url, max: 3, application_name: 'rotation-child' })
pool.on('error', () => {})

let steps = 0
let signalled = false
const database = withSteps(postgres({ pool }), (step) => {
  steps++
  if (signalled || !(steps === task.at || step === task.on)) return
  signalled = true
  process.stdout.write(`at ${steps} ${step}\n`)
  process.kill(process.pid, task.signal ?? 'SIGKILL')
})
const field = task.nameless ? namelessField(task.reference) : fieldOf(task.reference)
const rotation = { ...rotationOf(database, [field], task.options), leaseMs: task.leaseMs }
try {
  const run = await database.runs.unfinished(field.keyring.name)
  const result = run === null ? await rotate(rotation) : await resume(rotation, run)
  process.stdout.write(`ended ${JSON.stringify({ steps, state: result.state })}\n`)
} catch (error) {
  process.stdout.write(`ended ${isKeyturnError(error) ? error.code : String(error)}\n`)
} finally {
  await pool.end()
}
