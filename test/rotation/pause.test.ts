import { Client } from 'pg'
import { beforeEach, expect, test } from 'vitest'
import postgres, { pgState } from '../../packages/core/src/databases/postgres.ts'
import type { RotateOptions } from '../../packages/core/src/keyturn.ts'
import { open } from '../../packages/core/src/open.ts'
import type { Database } from '../../packages/core/src/rotation/database.ts'
import type { RotationResult } from '../../packages/core/src/rotation/result.ts'
import { resume, rotate } from '../../packages/core/src/rotation/rotate.ts'
import { stopRun } from '../../packages/core/src/rotation/stop-run.ts'
import { migrate } from '../../packages/core/src/state/schema.ts'
import { startChild } from '../harness/child.ts'
import { count } from '../harness/counts.ts'
import { useDatabase } from '../harness/postgres.ts'
import type { ChildTask } from './child.ts'
import { withSteps } from './steps.ts'
import { storedConfig, storedEnv } from './stored-keyring.ts'
import { census, changesOf, fieldOf, fillTable, keepHistory, rotationOf } from './world.ts'

const server = useDatabase()
const rows = 600
const field = fieldOf('tokens.token')
const options: RotateOptions = { throttle: { targetMs: 0.001, share: 1 } }
let database: Database
/** Another process's view of the same database. */
let other: Database

beforeEach(async () => {
  await server.pool.query(
    'DROP SCHEMA IF EXISTS keyturn CASCADE; DROP TABLE IF EXISTS tokens, tokens_history; DROP FUNCTION IF EXISTS tokens_note CASCADE',
  )
  await migrate(pgState(server.pool))
  await fillTable(server.pool, 'tokens', rows)
  await keepHistory(server.pool, 'tokens')
  database = postgres({ pool: server.pool })
  other = postgres({ pool: server.pool })
})

function stop(id: string, to: 'paused' | 'cancelled') {
  const event = { actor: 'test', action: `rotation.${to}`, subject: `rotation/${id}`, data: {} }
  return stopRun(other.runs, id, { to, event, leaseMs: 1_000 })
}

async function expectOnce(): Promise<void> {
  expect(await changesOf(server.pool, 'tokens')).toEqual({ rows, most: 1 })
  expect(await census(server.pool, 'tokens', field)).toEqual({ current: rows, old: 0, broken: 0 })
}

async function expectUntouched(): Promise<void> {
  expect(await changesOf(server.pool, 'tokens')).toEqual({ rows: 0, most: 0 })
}

const facts = ({ state, total, rotated, skipped, failedCount, conflicts, rows, tables }: RotationResult) => ({
  ...{ state, total, rotated, skipped, failedCount, conflicts, rows, tables },
})

test('Paused anywhere by another process and resumed equals not paused: the same result, and each value changed once', async () => {
  let steps = 0
  const counting = withSteps(database, () => {
    steps++
  })
  const whole = facts(await rotate(rotationOf(counting, [field], options)))
  expect(whole).toMatchObject({ state: 'completed', total: rows, rotated: rows, conflicts: 0 })
  for (let n = 0; n < count(3, 40); n++) {
    await server.pool.query('TRUNCATE tokens, tokens_history, keyturn.rotation CASCADE; DROP TABLE tokens, tokens_history CASCADE')
    await server.pool.query('DROP FUNCTION tokens_note CASCADE')
    await fillTable(server.pool, 'tokens', rows)
    await keepHistory(server.pool, 'tokens')
    const points = new Set([1, 2, 3].map(() => 1 + Math.floor(Math.random() * steps)))
    let step = 0
    const pausing = withSteps(database, async (name) => {
      // Inside a transaction the run's row is ours: there the other process would wait for the commit, and we for it.
      if (!points.has(++step) || /^(swap|advance|create|acquire|change)|commit:before/.test(name)) return
      const run = await other.runs.unfinished('app')
      if (run !== null) await stop(run.id, 'paused')
    })
    let result = await rotate(rotationOf(pausing, [field], options))
    while (result.state === 'paused') {
      const run = await database.runs.get(result.id)
      result = await resume(rotationOf(pausing, [field], options), run!)
    }
    expect({ ...facts(result), points: null }).toEqual({ ...whole, points: null })
    await expectOnce()
  }
})

test.each(['verifying', 'waiting-for-readers'] as const)(
  'A pause that is asked for while a run is %s is obeyed: no batch has to commit',
  async (phase) => {
    const opened = { pool: server.pool, env: storedEnv, leaseMs: 300 }
    // Long enough that the wait for readers is not over before the renewal of the lease.
    const keyturn = await open({ ...storedConfig, refreshMs: phase === 'verifying' ? 500 : 20_000 }, opened)
    const second = await open({ ...storedConfig, refreshMs: 500 }, opened)
    const faster = await open({ ...storedConfig, refreshMs: 500 }, opened)
    try {
      let asked: Promise<unknown> | null = null
      const onProgress: RotateOptions['onProgress'] = (report) => {
        if (report.phase === phase) asked ??= second.pause(report.rotationId)
      }
      // A hundredth of the time: the rest after the first batch of the verification lasts longer than a renewal of the lease.
      const throttle = { share: phase === 'verifying' ? 0.01 : 1 }
      const result = await keyturn.rotate('app', { throttle, onProgress })
      expect(asked).not.toBeNull()
      expect(result.state).toBe('paused')
      expect(result.rotated).toBe(phase === 'verifying' ? rows : 0)
      expect((await second.status('app')).rotations[0]).toMatchObject({ id: result.id, state: 'paused' })
      expect(await faster.resume(result.id, { throttle: { share: 1 } })).toMatchObject({ state: 'completed', total: rows, rotated: rows })
      expect(await changesOf(server.pool, 'tokens')).toEqual({ rows, most: 1 })
    } finally {
      for (const each of [keyturn, second, faster]) await each.close()
    }
  },
)

test('A run that nobody runs is paused or cancelled at once; one that is over is refused', async () => {
  const abort = new AbortController()
  abort.abort()
  const { id } = await rotate(rotationOf(database, [field], { ...options, signal: abort.signal }))
  const before = await changesOf(server.pool, 'tokens')
  expect(await stop(id, 'paused')).toBe('paused')
  const lease = await database.runs.acquire(id, 1_000)
  const event = { actor: 'test', action: 'rotation.test', subject: `rotation/${id}`, data: {} }
  for (const state of ['running', 'waiting'] as const) await database.runs.change(lease, state, null, event)
  await database.runs.surrender(lease)
  expect(await stop(id, 'paused')).toBe('paused')
  expect(await database.runs.get(id)).toMatchObject({ state: 'paused', requested: null })
  expect(await stop(id, 'cancelled')).toBe('cancelled')
  await expect(stop(id, 'paused')).rejects.toMatchObject({ code: 'ERR_ROTATION_STATE' })
  await expect(stop('none', 'paused')).rejects.toMatchObject({ code: 'ERR_UNKNOWN_NAME' })
  expect(await changesOf(server.pool, 'tokens')).toEqual(before)
})

test.each(['paused', 'cancelled'] as const)('A run whose process died is %s at once when its lease is over', async (to) => {
  const task: ChildTask = { url: server.url, reference: 'tokens.token', options, leaseMs: 600, on: 'commit:after', signal: 'SIGKILL' }
  await startChild('test/rotation/child.ts', [JSON.stringify(task)]).exit
  const run = await database.runs.unfinished('app')
  expect(run?.state).toBe('running')
  // While the lease lasts nobody can know that the process is dead: it is asked.
  await stop(run!.id, to)
  await expect.poll(() => stop(run!.id, to).catch(({ code }) => code)).toBe(to)
  if (to === 'paused') {
    expect((await database.runs.get(run!.id))?.requested).toBeNull()
    expect(await resume(rotationOf(database, [field], options), run!)).toMatchObject({ state: 'completed', total: rows })
  } else expect(await rotate(rotationOf(database, [field], options))).toMatchObject({ state: 'completed', total: rows })
  await expectOnce()
})

test.each(['paused', 'cancelled'] as const)('A run that is %s between its record and its beginning changes nothing', async (to) => {
  const early = withSteps(database, async (step) => {
    if (step !== 'acquire:before') return
    const run = await other.runs.unfinished('app')
    expect(await stop(run!.id, to)).toBe(to)
  })
  const rotating = rotate(rotationOf(early, [field], options))
  if (to === 'cancelled') await expect(rotating).rejects.toMatchObject({ code: 'ERR_ROTATION_STATE' })
  else expect(await rotating).toMatchObject({ state: 'paused', rotated: 0 })
  await expectUntouched()
  const run = await database.runs.unfinished('app')
  expect(run?.state).toBe(to === 'paused' ? 'paused' : undefined)
  const again = rotationOf(database, [field], options)
  expect(await (run === null ? rotate(again) : resume(again, run))).toMatchObject({ state: 'completed', total: rows })
  await expectOnce()
})

test('What another process did since a run was read is not done again: the run is read anew under its lease', async () => {
  const pausedAfterOne = async (begin: (database: Database) => Promise<RotationResult>) => {
    let commits = 0
    return await begin(
      withSteps(database, async (step) => {
        if (step !== 'commit:after' || ++commits > 1) return
        await stop((await other.runs.unfinished('app'))!.id, 'paused')
      }),
    )
  }
  const { id } = await pausedAfterOne((stepping) => rotate(rotationOf(stepping, [field], options)))
  const early = await database.runs.get(id)
  const later = await pausedAfterOne((stepping) => resume(rotationOf(stepping, [field], options), early!))
  expect(later.state).toBe('paused')
  expect((await database.runs.get(id))?.progress.sequence).toBeGreaterThan(early!.progress.sequence)
  expect(await resume(rotationOf(database, [field], options), early!)).toMatchObject({ state: 'completed', rotated: rows })
  await expect(resume(rotationOf(database, [field], options), early!)).rejects.toMatchObject({ code: 'ERR_ROTATION_STATE' })
  await expectOnce()
})

test('A lease that ended is not waited for while its holder is stopped before a commit: it is held', async () => {
  const abort = new AbortController()
  abort.abort()
  const { id } = await rotate(rotationOf(database, [field], { ...options, signal: abort.signal }))
  await database.runs.acquire(id, -1)
  const holder = new Client({ connectionString: server.url, application_name: 'stopped' })
  await holder.connect()
  try {
    await holder.query('BEGIN')
    await holder.query(`UPDATE keyturn.rotation SET lease_until = clock_timestamp() + interval '1 hour' WHERE id = $1`, [id])
    await expect(other.runs.acquire(id, 1_000)).rejects.toMatchObject({ code: 'ERR_LEASE_HELD' })
    await holder.query('ROLLBACK')
    await other.runs.acquire(id, 1_000)
  } finally {
    await holder.end()
  }
})

test('A cancellation that was asked for is not taken back by a pause', async () => {
  const asking = withSteps(database, async (step) => {
    const run = step === 'swap:before' ? await other.runs.unfinished('app') : null
    if (run?.progress.sequence !== 2) return
    expect(await stop(run.id, 'cancelled')).toBe('running')
    expect(await stop(run.id, 'paused')).toBe('running')
  })
  expect(await rotate(rotationOf(asking, [field], options))).toMatchObject({ state: 'cancelled' })
})

test.each([
  ['while it works: it is rolled back', 'scan:before', 'cancelled', 0],
  ['after its commit: it is too late, and it ends as it is', 'commit:after', 'completed', rows],
] as const)('A transaction that another process cancels %s', async (_when, at, state, rotated) => {
  let asked = false
  let seen = () => {}
  const obeyed = new Promise<void>((resolve) => {
    seen = resolve
  })
  const stepping = withSteps(database, async (step) => {
    if (step !== at || asked) return
    asked = true
    await stop((await other.runs.unfinished('app'))!.id, 'cancelled')
    await obeyed
  })
  const renewing: Database = {
    ...stepping,
    runs: {
      ...stepping.runs,
      renew: async (lease) => {
        const requested = await database.runs.renew(lease)
        // The caller learns of it first.
        if (requested !== null) setImmediate(seen)
        return requested
      },
    },
  }
  const result = await rotate({ ...rotationOf(renewing, [field], { ...options, mode: 'transaction' }), leaseMs: 300 })
  expect({ state: result.state, rotated: (await changesOf(server.pool, 'tokens')).rows }).toEqual({ state, rotated })
  expect(await database.runs.get(result.id)).toMatchObject({ state, requested: null })
  expect(await census(server.pool, 'tokens', field)).toEqual({ current: rotated, old: rows - rotated, broken: 0 })
})
