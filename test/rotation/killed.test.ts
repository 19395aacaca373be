import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, describe, expect, test } from 'vitest'
import postgres, { pgState } from '../../packages/core/src/databases/postgres.ts'
import { isKeyturnError } from '../../packages/core/src/errors.ts'
import type { Field } from '../../packages/core/src/field/field.ts'
import type { RotateOptions } from '../../packages/core/src/keyturn.ts'
import type { Database } from '../../packages/core/src/rotation/database.ts'
import type { RotationResult } from '../../packages/core/src/rotation/result.ts'
import { resume, rotate } from '../../packages/core/src/rotation/rotate.ts'
import type { Run } from '../../packages/core/src/rotation/run.ts'
import { migrate } from '../../packages/core/src/state/schema.ts'
import { startChild } from '../harness/child.ts'
import { count } from '../harness/counts.ts'
import { useDatabase } from '../harness/postgres.ts'
import type { ChildTask } from './child.ts'
import { withSteps } from './steps.ts'
import { census, changesOf, damaged, fieldOf, insertOld, keepHistory, namelessField, rotationOf, writeOld } from './world.ts'

const server = useDatabase()
const rows = 600
const [nulls, broken, current] = [5, 2, 7]
/** What a run that nobody disturbs comes to. */
const whole = { total: rows - nulls, rotated: rows - nulls - broken - current, skipped: current, failedCount: broken, tables: 1 }
const leaseMs = 400
let database: Database

beforeAll(async () => {
  database = postgres({ pool: server.pool })
  await migrate(pgState(server.pool))
  await server.pool.query('CREATE TABLE tokens (id bigint PRIMARY KEY, token text)')
  await keepHistory(server.pool, 'tokens')
})

async function refill(field: Field): Promise<void> {
  for (const { rotationId } of await database.holds()) {
    await database.releaseHold(rotationId, { actor: 'test', action: 'rotation.release', subject: `rotation/${rotationId}`, data: {} })
  }
  await server.pool.query('TRUNCATE tokens, tokens_history')
  await server.pool.query('ALTER TABLE tokens DISABLE TRIGGER note')
  await insertOld(server.pool, 'tokens', rows)
  await server.pool.query(`UPDATE tokens SET token = NULL WHERE id <= ${nulls}`)
  for (let id = 100; id < 100 + broken; id++) await server.pool.query('UPDATE tokens SET token = $1 WHERE id = $2', [damaged(), id])
  for (let id = 300; id < 300 + current; id++) {
    await server.pool.query('UPDATE tokens SET token = $1 WHERE id = $2', [field.encryptSync(`token ${id}`), id])
  }
  await server.pool.query('ALTER TABLE tokens ENABLE TRIGGER note')
}

/** Small batches of the same sizes each time, so that the steps of one run are those of the next. */
const steady: RotateOptions = { throttle: { targetMs: 0.001, share: 1 }, accept: true }

async function stepsOf(field: Field, options: RotateOptions): Promise<string[]> {
  const steps: string[] = []
  await rotate(
    rotationOf(
      withSteps(database, (step) => void steps.push(step)),
      [field],
      options,
    ),
  )
  return steps
}

/** As an operator would: tries again while the dead process's lease lasts. */
async function finish(field: Field, options: RotateOptions): Promise<RotationResult | Run> {
  for (;;) {
    const run = await database.runs.unfinished('app')
    const [last] = await database.runs.list(1)
    if (run === null && last?.state === 'completed') return last
    try {
      const rotation = rotationOf(database, [field], options)
      return await (run === null ? rotate(rotation) : resume(rotation, run))
    } catch (error) {
      if (!isKeyturnError(error, 'ERR_LEASE_HELD')) throw error
      await sleep(50)
    }
  }
}

/** Reads all rows again and again as an application that has both keys; counts the values that it could not read. */
function watch(field: Field): { stop(): Promise<{ readonly worst: number; readonly looks: number }> } {
  let stopped = false
  const seen = { worst: 0, looks: 0 }
  const looking = (async () => {
    while (!stopped) {
      seen.worst = Math.max(seen.worst, (await census(server.pool, 'tokens', field)).broken)
      seen.looks++
      await sleep(20)
    }
  })()
  return {
    stop: async () => {
      stopped = true
      await looking
      return seen
    },
  }
}

async function forgetRuns(): Promise<void> {
  await server.pool.query('TRUNCATE keyturn.rotation CASCADE')
}

/** Lets a child rotate until it kills itself at a step, or after some milliseconds. @returns where it was, in words */
async function killedChild(task: Omit<ChildTask, 'url' | 'reference' | 'leaseMs'>, afterMs?: number): Promise<string> {
  const child = startChild('test/rotation/child.ts', [JSON.stringify({ ...task, url: server.url, reference: 'tokens.token', leaseMs })])
  if (afterMs !== undefined) setTimeout(() => child.kill(), afterMs).unref()
  const { stdout, stderr, signal } = await child.exit
  if (signal === null && afterMs === undefined) throw new Error(`the child was not killed: ${stdout}${stderr}`)
  return stdout.trim() || `killed after ${afterMs} ms`
}

/** `points` numbers of steps, spread over all. */
function spread(steps: number, points: number): number[] {
  const all = Array.from({ length: points }, (_, index) => 1 + Math.round((index * (steps - 1)) / Math.max(1, points - 1)))
  return [...new Set(all)]
}

describe('Dying is harmless', () => {
  test('Online: killed at any point, every value stays readable, a resume finishes it, and no row is changed twice', async () => {
    const field = fieldOf('tokens.token')
    await refill(field)
    const steps = await stepsOf(field, steady)
    const points = spread(steps.length, count(3, 40)).map((at) => ({ task: { options: steady, at } }))
    const moments = Array.from({ length: count(1, 10) }, (_, index) => ({ task: { options: steady }, afterMs: 250 + index * 40 }))
    for (const { task, afterMs } of [...points, ...moments] as { task: { options: RotateOptions; at?: number }; afterMs?: number }[]) {
      await forgetRuns()
      await refill(field)
      const reader = watch(field)
      const where = await killedChild(task, afterMs)
      const result = await finish(field, steady)
      expect({ where, seen: (await reader.stop()).worst }).toEqual({ where, seen: broken })
      if ('total' in result) expect({ where, ...result }).toMatchObject({ where, state: 'completed', ...whole, rows: whole.rotated })
      else expect({ where, ...result }).toMatchObject({ where, state: 'completed', progress: { rotated: whole.rotated } })
      expect({ where, ...(await changesOf(server.pool, 'tokens')) }).toEqual({ where, rows: whole.rotated, most: 1 })
      expect({ where, ...(await census(server.pool, 'tokens', field)) }).toEqual({ where, current: whole.total - broken, old: 0, broken })
    }
  })

  test.each([
    ['a format that names its key', false],
    ['a format that names no key, with its hold', true],
  ] as const)('Transaction, %s: killed at any point, the database is as it was or done, and a resume finishes it', async (_, nameless) => {
    const field = nameless ? namelessField('tokens.token') : fieldOf('tokens.token')
    const options: RotateOptions = { mode: 'transaction', setAside: true, accept: true }
    await forgetRuns()
    await refill(field)
    const steps = await stepsOf(field, options)
    for (const at of spread(steps.length, count(3, 40))) {
      await forgetRuns()
      await refill(field)
      const where = await killedChild({ options, nameless, at })
      await expect
        .poll(async () => (await server.pool.query("SELECT FROM pg_stat_activity WHERE application_name = 'rotation-child'")).rowCount)
        .toBe(0)
      const after = await census(server.pool, 'tokens', field)
      expect({ where, none: [current, whole.total - broken].includes(after.current), broken: after.broken }).toEqual({
        where,
        none: true,
        broken,
      })
      const done = after.old === 0
      if (nameless) expect({ where, held: (await database.holds()).length === 1 }).toEqual({ where, held: done })
      const result = await finish(field, options)
      const expected = 'total' in result ? { state: 'completed', ...whole } : { state: 'completed' }
      expect({ where, ...result }).toMatchObject({ where, ...expected })
      expect({ where, ...(await changesOf(server.pool, 'tokens')) }).toEqual({ where, rows: whole.rotated, most: 1 })
      if (nameless) await expect(server.pool.query("INSERT INTO tokens VALUES (0, 'x')")).rejects.toMatchObject({ code: 'KT001' })
    }
  })

  test('A transaction that dies leaves values that open with the old key alone, as an application with one key needs', async () => {
    const field = namelessField('tokens.token')
    await forgetRuns()
    await refill(field)
    await server.pool.query('UPDATE tokens SET token = $1 WHERE token IS NOT NULL', [writeOld('one')])
    await killedChild({ options: { mode: 'transaction' }, nameless: true, on: 'hold:after' })
    expect(await census(server.pool, 'tokens', field)).toEqual({ current: 0, old: whole.total, broken: 0 })
  })
})
