import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { pgState } from '../../packages/core/src/databases/postgres.ts'
import type { RotateOptions } from '../../packages/core/src/keyturn.ts'
import { rotate } from '../../packages/core/src/rotation/rotate.ts'
import { migrate } from '../../packages/core/src/state/schema.ts'
import { count } from '../harness/counts.ts'
import { useDatabase } from '../harness/postgres.ts'
import { type Fault, type FaultyProxy, startProxy } from '../harness/proxy.ts'
import { canStartRedis, type RedisServer, startRedis } from '../harness/redis-server.ts'
import { withSteps } from '../rotation/steps.ts'
import { rotationOf } from '../rotation/world.ts'
import { contents, fill, opened, sessionsDatabase, tokenField, tokenOf } from './world.ts'

if (!canStartRedis) console.warn('Tests that end a Redis are passed over: redis-server is not installed.')

describe.skipIf(!canStartRedis)('Redis fails during a rotation of sessions', () => {
  const server = useDatabase()
  const prefix = 'app:session:'
  const sessions = 1_500
  const field = tokenField(prefix)
  const options: RotateOptions = { throttle: { targetMs: 0.001, share: 1 } }
  let redis: RedisServer
  let direct: Redis
  let ends: Map<string, number>

  beforeAll(async () => {
    await migrate(pgState(server.pool))
    redis = await startRedis()
    direct = clientOf(redis.port)
  })
  afterAll(async () => {
    direct?.disconnect()
    await redis?.stop()
  })
  beforeEach(async () => {
    await direct.flushall()
    ends = await fill(direct, prefix, sessions)
    await server.pool.query('TRUNCATE keyturn.rotation CASCADE')
  })

  /** As an application has it: it connects again whatever happens. */
  function clientOf(port: number): Redis {
    const client = new Redis(port, '127.0.0.1', { retryStrategy: () => 20 })
    client.on('error', () => {})
    return client
  }

  async function expectEverySession(): Promise<void> {
    const found = await contents(direct, prefix)
    expect([...found].map(([id, { text, end }]) => [id, opened(field, text), tokenOf(text).slice(0, 4), end]).sort()).toEqual(
      [...ends].map(([id, end]) => [id, `token of ${id}`, 'kt1.', end]).sort(),
    )
  }

  const places = [
    ['while it reads', 'SCAN', 2],
    ['while it reads values', 'MGET', 2],
    ['while it asks how long they are', 'EVALSHA', 3],
    ['in the middle of a swap', 'EVALSHA', 2],
    ['while it looks which server it is', 'INFO', 2],
  ] as const
  const faults: readonly Fault[] = ['drop-before', 'drop-after', 'drop-answer']

  test.each(places.flatMap(([where, text, nth]) => faults.map((fault) => [where, fault, text, nth] as const)))(
    'its connection is lost %s (%s): every session is rewritten, none twice, and lives as long as before',
    async (_, fault, text, nth) => {
      const proxy: FaultyProxy = await startProxy({ host: '127.0.0.1', port: redis.port })
      const client = clientOf(proxy.port)
      try {
        let armed = false
        const database = withSteps(sessionsDatabase(server.pool, client), (step) => {
          if (step !== 'swap:before' || armed) return
          armed = true
          for (let n = 0; n < count(2, 6); n++) proxy.onText(text, nth + 3 * n, fault)
        })
        expect(await rotate(rotationOf(database, [field], options))).toMatchObject({
          state: 'completed',
          rotated: sessions,
          conflicts: 0,
          failedCount: 0,
        })
        expect(proxy.faults).toBe(count(2, 6))
        await expectEverySession()
      } finally {
        client.disconnect()
        await proxy.close()
      }
    },
  )

  test('it is killed and started again: the walk begins anew, and every session is rewritten', async () => {
    const client = clientOf(redis.port)
    try {
      const steps = { swaps: 0, scans: 0, restarts: 0 }
      const restart = async () => {
        steps.restarts++
        await redis.kill()
        await redis.start()
      }
      const database = withSteps(sessionsDatabase(server.pool, client), async (step) => {
        if (step === 'swap:before' && ++steps.swaps % 20 === 5 && steps.restarts < count(2, 10)) await restart()
        // Also while it verifies: then a session that is passed over would be found by nobody.
        if (step === 'change-to-verifying:after') await restart()
      })
      const result = await rotate(rotationOf(database, [field], options))
      expect(steps.restarts).toBe(count(3, 11))
      expect(result).toMatchObject({ state: 'completed', rotated: sessions, failedCount: 0 })
      await expectEverySession()
    } finally {
      client.disconnect()
    }
  })

  test('it has no memory left: the batch is tried again until there is some', async () => {
    const client = clientOf(redis.port)
    try {
      let swaps = 0
      const database = withSteps(sessionsDatabase(server.pool, client), async (step) => {
        if (step !== 'swap:before') return
        swaps++
        if (swaps === 2) await direct.config('SET', 'maxmemory', '1')
        if (swaps === 6) await direct.config('SET', 'maxmemory', '0')
      })
      expect(await rotate(rotationOf(database, [field], options))).toMatchObject({ state: 'completed', rotated: sessions })
      await expectEverySession()
    } finally {
      await direct.config('SET', 'maxmemory', '0')
      client.disconnect()
    }
  })
})
