import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { pgState } from '../../packages/core/src/databases/postgres.ts'
import { isKeyturnError } from '../../packages/core/src/errors.ts'
import type { Field } from '../../packages/core/src/field/field.ts'
import type { RotateOptions } from '../../packages/core/src/keyturn.ts'
import type { Database } from '../../packages/core/src/rotation/database.ts'
import type { RotationResult } from '../../packages/core/src/rotation/result.ts'
import { resume, rotate } from '../../packages/core/src/rotation/rotate.ts'
import { migrate } from '../../packages/core/src/state/schema.ts'
import { type Child, startChild } from '../harness/child.ts'
import { count } from '../harness/counts.ts'
import { useDatabase } from '../harness/postgres.ts'
import { useRedis } from '../harness/redis.ts'
import { withSteps } from '../rotation/steps.ts'
import { rotationOf } from '../rotation/world.ts'
import type { SessionsTask } from './child.ts'
import { contents, fill, opened, sessionsDatabase, tokenField, tokenOf } from './world.ts'

const redis = await useRedis()
const sessions = 1_000
const leaseMs = 400
/** Small batches of the same sizes each time. */
const steady: RotateOptions = { throttle: { targetMs: 0.001, share: 1 } }

describe.skipIf(redis.missing)('A process that rotates sessions', () => {
  const server = useDatabase()
  const { client, prefix, url: redisUrl } = redis
  let database: Database
  let field: Field
  let ends: Map<string, number>

  beforeAll(async () => {
    database = sessionsDatabase(server.pool, client)
    await migrate(pgState(server.pool))
    field = tokenField(prefix)
  })

  let running: Child | null = null
  afterEach(async () => {
    await running?.kill()
    running = null
  })

  async function refill(): Promise<void> {
    await server.pool.query('TRUNCATE keyturn.rotation CASCADE')
    ends = await fill(client, prefix, sessions)
  }
  const child = (task: Partial<SessionsTask>) => {
    const whole: SessionsTask = { url: server.url, redisUrl, prefix, options: steady, leaseMs, ...task }
    return startChild('test/sessions/child.ts', [JSON.stringify(whole)])
  }

  /** What a dead process had sent may still be under way in the database. */
  async function gone(): Promise<void> {
    const sessions = `SELECT FROM pg_stat_activity WHERE application_name = 'rotation-child' AND datname = current_database()`
    await expect.poll(async () => (await server.pool.query(sessions)).rowCount).toBe(0)
  }

  /** As an operator would: tries again while the dead process's lease lasts. */
  async function finish(): Promise<RotationResult | null> {
    for (;;) {
      const run = await database.runs.unfinished('app')
      if (run === null && (await database.runs.list(1))[0]?.state === 'completed') return null
      try {
        const rotation = { ...rotationOf(database, [field], steady), leaseMs }
        return await (run === null ? rotate(rotation) : resume(rotation, run))
      } catch (error) {
        if (!isKeyturnError(error, 'ERR_LEASE_HELD')) throw error
        await sleep(50)
      }
    }
  }

  /** The new values that stand there, by session. */
  async function rewritten(): Promise<Map<string, string>> {
    const all = [...(await contents(client, prefix))].map(([id, { text }]) => [id, tokenOf(text)] as const)
    return new Map(all.filter(([, token]) => token.startsWith('kt1.')))
  }

  async function expectEverySession(where: string): Promise<void> {
    const found = await contents(client, prefix)
    const now = [...found].map(([id, { text, end }]) => [id, opened(field, text), tokenOf(text).slice(0, 4), end])
    const wanted = [...ends].map(([id, end]) => [id, `token of ${id}`, 'kt1.', end])
    expect([where, now.sort()]).toEqual([where, wanted.sort()])
  }

  test('is killed at any point: no session is lost, changed twice, or lives longer, and a resume finishes it', async () => {
    await refill()
    const steps: string[] = []
    await rotate(
      rotationOf(
        withSteps(database, (step) => void steps.push(step)),
        [field],
        steady,
      ),
    )
    const swaps = steps.flatMap((step, index) => (step === 'swap:after' ? [index + 1] : []))
    expect(swaps.length).toBeGreaterThan(3)
    // Between the swap in Redis and the commit in Postgres, and everywhere else.
    let kills = 0
    const points = [swaps[1], (swaps[2] ?? 0) + 2, ...spread(steps.length, count(3, 60))]
    for (const at of points) {
      await refill()
      const killed = child({ at: at as number })
      const { stdout, signal } = await killed.exit
      const where = stdout.trim()
      // How SCAN cuts its pages is the server's: a run may come to its end with fewer steps than the one before.
      if (signal === null) expect(stdout).toContain('completed')
      else kills++
      await gone()
      const before = await rewritten()
      const result = await finish()
      const after = await rewritten()
      expect([where, [...before].filter(([id, token]) => after.get(id) !== token)]).toEqual([where, []])
      if (result !== null) expect([where, result]).toMatchObject([where, { state: 'completed', failedCount: 0 }])
      await expectEverySession(where)
    }
    expect(kills).toBeGreaterThan(3)
  })

  test('is killed at a moment of chance: the same', async () => {
    for (let n = 0; n < count(2, 20); n++) {
      await refill()
      const killed = child({})
      setTimeout(() => void killed.kill(), 300 + n * 37).unref()
      await killed.exit
      await gone()
      const before = await rewritten()
      await finish()
      const after = await rewritten()
      expect([...before].filter(([id, token]) => after.get(id) !== token)).toEqual([])
      await expectEverySession(`after ${n}`)
    }
  })

  test('is stopped before its swap while another one takes over: its late swap changes nothing', async () => {
    await refill()
    const stopped = child({ on: 'swap:before', signal: 'SIGSTOP' })
    running = stopped
    await stopped.printed('swap:before\n')
    const result = await finish()
    expect(result).toMatchObject({ state: 'completed', failedCount: 0 })
    const before = await rewritten()
    expect(before.size).toBe(sessions)
    stopped.kill('SIGCONT')
    expect((await stopped.exit).stdout).toContain('ended ERR_LEASE_LOST')
    expect(await rewritten()).toEqual(before)
    await expectEverySession('two engines')
  })

  test('is not alone: another one that begins meanwhile is refused, and every session is rewritten', async () => {
    await refill()
    let others = 0
    const stepping = withSteps(database, async (step) => {
      if (step !== 'swap:before' || others++ > 0) return
      await expect(rotate(rotationOf(database, [field], steady))).rejects.toMatchObject({ code: 'ERR_ROTATION_RUNNING' })
    })
    expect(await rotate(rotationOf(stepping, [field], steady))).toMatchObject({ state: 'completed', rotated: sessions })
    expect(others).toBeGreaterThan(0)
    await expectEverySession('at once')
  })
})

/** `points` numbers of steps, spread over all. */
function spread(steps: number, points: number): number[] {
  return Array.from({ length: points }, (_, index) => 1 + Math.round((index * (steps - 1)) / Math.max(1, points - 1)))
}
