import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'pg'
import { beforeEach, expect, test } from 'vitest'
import postgres, { pgState } from '../../packages/core/src/databases/postgres.ts'
import { isKeyturnError } from '../../packages/core/src/errors.ts'
import { staticKeyring, staticVersion } from '../../packages/core/src/keyring/static-keyring.ts'
import type { RotateOptions } from '../../packages/core/src/keyturn.ts'
import type { Database } from '../../packages/core/src/rotation/database.ts'
import type { RotationResult } from '../../packages/core/src/rotation/result.ts'
import { resume, rotate } from '../../packages/core/src/rotation/rotate.ts'
import { migrate } from '../../packages/core/src/state/schema.ts'
import { type Child, startChild } from '../harness/child.ts'
import { count } from '../harness/counts.ts'
import { useDatabase } from '../harness/postgres.ts'
import type { ChildTask } from './child.ts'
import { withSteps } from './steps.ts'
import { census, changesOf, fieldOf, fillTable, keepHistory, oldKey, rotationOf } from './world.ts'

const server = useDatabase()
const rows = 600
const leaseMs = 600
const field = fieldOf('tokens.token')
const options: RotateOptions = { throttle: { targetMs: 0.001, share: 1 } }
let database: Database

beforeEach(async () => {
  await server.pool.query(
    'DROP SCHEMA IF EXISTS keyturn CASCADE; DROP TABLE IF EXISTS tokens, tokens_history; DROP FUNCTION IF EXISTS tokens_note CASCADE',
  )
  await migrate(pgState(server.pool))
  await fillTable(server.pool, 'tokens', rows)
  await keepHistory(server.pool, 'tokens')
  database = postgres({ pool: server.pool })
})

function stoppedChild(task: Partial<ChildTask>): Child {
  const whole: ChildTask = { url: server.url, reference: 'tokens.token', options, leaseMs, signal: 'SIGSTOP', ...task }
  return startChild('test/rotation/child.ts', [JSON.stringify(whole)])
}

/** Resumes until the run of the other process can be had, and is at its end. */
async function takeOver(): Promise<RotationResult> {
  for (;;) {
    const run = await database.runs.unfinished('app')
    try {
      const result = await resume({ ...rotationOf(database, [field], options), leaseMs }, run!)
      if (result.state !== 'waiting') return result
    } catch (error) {
      if (!isKeyturnError(error, 'ERR_LEASE_HELD')) throw error
    }
    await sleep(50)
  }
}

async function expectOnce(): Promise<void> {
  expect(await changesOf(server.pool, 'tokens')).toEqual({ rows, most: 1 })
  expect(await census(server.pool, 'tokens', field)).toEqual({ current: rows, old: 0, broken: 0 })
}

test('A second engine on the same run is refused while the first one works, and changes nothing', async () => {
  let refused = 0
  const watched = withSteps(database, async (step) => {
    if (step !== 'advance:before') return
    const run = await database.runs.unfinished('app')
    await expect(resume({ ...rotationOf(postgres({ pool: server.pool }), [field], options), leaseMs }, run!)).rejects.toMatchObject({
      code: 'ERR_LEASE_HELD',
    })
    refused++
  })
  expect(await rotate({ ...rotationOf(watched, [field], options), leaseMs: 60_000 })).toMatchObject({ state: 'completed', rotated: rows })
  expect(refused).toBeGreaterThan(3)
  await expectOnce()
})

// Stopped with its transaction open it keeps its rows locked: whoever takes over passes them over until it goes on, or is ended.
const points = ['scan:before', 'commit:after', 'swap:before', 'swap:after', 'change-to-verifying:before', 'replaceSetAside:before'] as const

test.each(points.slice(0, count(4, points.length)))(
  'A process that was stopped at %s for longer than its lease loses it: it changes nothing more',
  async (on) => {
    const child = stoppedChild({ on })
    await child.printed(`${on}\n`)
    const taking = takeOver()
    if (on === 'swap:after') await expect.poll(async () => (await database.runs.unfinished('app'))?.state).toBe('waiting')
    else await taking
    child.kill('SIGCONT')
    const { stdout } = await child.exit
    expect(stdout).toContain('ended ERR_LEASE_LOST')
    expect(await taking).toMatchObject({ state: 'completed', total: rows, rotated: rows, rows, failedCount: 0 })
    await expectOnce()
  },
)

test('A process that was stopped between saving its progress and the commit keeps the run: both cannot have it', async () => {
  const child = stoppedChild({ on: 'advance:after' })
  await child.printed('advance:after\n')
  const taking = takeOver()
  // Refused where the child ended the run first; awaited below.
  taking.catch(() => {})
  await sleep(2 * leaseMs)
  child.kill('SIGCONT')
  const { stdout } = await child.exit
  expect(stdout).toMatch(/ended (ERR_LEASE_LOST|\{.*"completed"\})/)
  if (stdout.includes('LOST')) expect(await taking).toMatchObject({ state: 'completed', rotated: rows })
  else await taking.catch(() => {})
  await expectOnce()
})

test.each(['pause', 'cancel'] as const)(
  'Another process asks to %s: obeyed at the next batch, and all values stay readable',
  async (what) => {
    const asking = withSteps(database, async (step) => {
      const run = step === 'swap:before' ? await database.runs.unfinished('app') : null
      if (run?.progress.sequence === 2)
        await database.runs.request(run.id, what, { actor: 'test', action: `rotation.${what}`, subject: `rotation/${run.id}`, data: {} })
    })
    const result = await rotate(rotationOf(asking, [field], options))
    expect(result).toMatchObject({ state: what === 'pause' ? 'paused' : 'cancelled' })
    expect(result.rotated).toBeGreaterThan(0)
    expect(await census(server.pool, 'tokens', field)).toEqual({ current: result.rotated, old: rows - result.rotated, broken: 0 })
    const run = await database.runs.get(result.id)
    const again = rotationOf(database, [field], options)
    if (what === 'cancel') await expect(resume(again, run!)).rejects.toMatchObject({ code: 'ERR_ROTATION_STATE' })
    expect(await (what === 'pause' ? resume(again, run!) : rotate(again))).toMatchObject({ state: 'completed', total: rows })
    await expectOnce()
  },
)

test('Other keys or other fields than those of its start do not resume a run', async () => {
  const abort = new AbortController()
  abort.abort()
  const { id } = await rotate(rotationOf(database, [field], { ...options, signal: abort.signal }))
  const run = await database.runs.get(id)
  const others = [
    fieldOf('tokens.token', { keyring: staticKeyring('app', [staticVersion('newnewne', 1, 'active', oldKey)]) }),
    fieldOf('tokens.token', { name: 'renamed' }),
    fieldOf('tokens.id'),
  ]
  for (const other of others)
    await expect(resume(rotationOf(database, [other], options), run!)).rejects.toMatchObject({ code: 'ERR_RESUME_KEYS' })
  expect(await resume(rotationOf(database, [field], options), run!)).toMatchObject({ state: 'completed', rotated: rows })
})

test('A pool of one connection is enough', async () => {
  const pool = new Pool({ connectionString: server.url, max: 1 })
  try {
    expect(await rotate(rotationOf(postgres({ pool }), [field], options))).toMatchObject({ state: 'completed', rotated: rows })
    expect(await rotate(rotationOf(postgres({ pool }), [fieldOf('tokens.token')], { mode: 'transaction' }))).toMatchObject({
      skipped: rows,
    })
  } finally {
    await pool.end()
  }
  await expectOnce()
})

test('Of two rotations of one keyring that begin at once, one is refused', async () => {
  for (let n = 0; n < count(2, 20); n++) {
    await server.pool.query('TRUNCATE tokens_history')
    // Both are about to make their run before either does, and whoever has made it waits until the other one has been told.
    const [met, told] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    let arrived = 0
    const begin = () => {
      const engine = withSteps(postgres({ pool: server.pool }), async (step) => {
        if (step === 'create:before' && ++arrived === 2) met.resolve()
        if (step === 'create:before') await met.promise
        if (step === 'create:after') await told.promise
      })
      const rotating = rotate(rotationOf(engine, [field], options))
      rotating.catch(() => told.resolve())
      return rotating
    }
    const both = await Promise.allSettled([begin(), begin()])
    const refused = both.filter(({ status }) => status === 'rejected')
    expect(refused).toHaveLength(1)
    expect((refused[0] as PromiseRejectedResult).reason).toMatchObject({ code: 'ERR_ROTATION_RUNNING' })
    expect((await changesOf(server.pool, 'tokens')).most).toBe(n === 0 ? 1 : 0)
  }
  expect(await census(server.pool, 'tokens', field)).toEqual({ current: rows, old: 0, broken: 0 })
})
