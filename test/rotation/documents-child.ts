import { Pool } from 'pg'
import postgres from '../../packages/core/src/databases/postgres.ts'
import type { RotateOptions } from '../../packages/core/src/keyturn.ts'
import { resume, rotate } from '../../packages/core/src/rotation/rotate.ts'
import { placeFields } from './documents.ts'
import { withSteps } from './steps.ts'
import { rotationOf } from './world.ts'

/** What the child is told, as JSON in its only argument: it kills itself at the step of number `at`, counted from 1. */
export interface DocumentsTask {
  readonly url: string
  readonly table: string
  readonly options: RotateOptions
  readonly leaseMs: number
  readonly at: number
}

const task = JSON.parse(process.argv[2] ?? '') as DocumentsTask
const pool = new Pool({ connectionString: task.url, max: 3, application_name: 'rotation-child' })
pool.on('error', () => {})

let steps = 0
const database = withSteps(postgres({ pool }), (step) => {
  steps++
  if (steps !== task.at) return
  process.stdout.write(`at ${steps} ${step}\n`)
  process.kill(process.pid, 'SIGKILL')
})
const rotation = { ...rotationOf(database, placeFields(task.table), task.options), leaseMs: task.leaseMs }
const run = await database.runs.unfinished('app')
await (run === null ? rotate(rotation) : resume(rotation, run))
await pool.end()
