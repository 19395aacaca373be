import { Redis } from 'ioredis'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import postgres, { pgState } from '../../packages/core/src/databases/postgres.ts'
import type { RedisClient } from '../../packages/core/src/databases/redis/client.ts'
import redis from '../../packages/core/src/databases/redis.ts'
import type { Field } from '../../packages/core/src/field/field.ts'
import { type Database, positionAfter, type Row } from '../../packages/core/src/rotation/database.ts'
import { takeCensus } from '../../packages/core/src/rotation/take-census.ts'
import { verifyFields } from '../../packages/core/src/rotation/verify.ts'
import { tableWalks } from '../../packages/core/src/rotation/walks.ts'
import { migrate } from '../../packages/core/src/state/schema.ts'
import { useDatabase } from '../harness/postgres.ts'
import { useRedis } from '../harness/redis.ts'
import { canStartRedis, type RedisServer, startRedis } from '../harness/redis-server.ts'
import { withSteps } from '../rotation/steps.ts'
import { contents, fill, sessionsDatabase, tokenField } from './world.ts'

const shared = await useRedis()

describe.skipIf(shared.missing)('Sessions are counted once', () => {
  const server = useDatabase()
  const { client, prefix } = shared
  const field = tokenField(prefix)
  let database: Database

  beforeAll(async () => {
    database = sessionsDatabase(server.pool, client)
    await migrate(pgState(server.pool))
  })

  /** Another walk in which rows are counted. */
  const walk = async () => {
    const [table] = await tableWalks(database, [field], false)
    return table!.walk
  }
  /** How many buckets the table has, about: SCAN passes over ten empty ones for each key that it may look at. */
  async function callsOfScan(): Promise<number> {
    let calls = 0
    for (let cursor = '0'; calls === 0 || cursor !== '0'; calls++) [cursor] = await client.scan(cursor, 'COUNT', 1)
    return calls
  }

  test('also where the table of the server shrinks, and SCAN gives some of them twice', async () => {
    const [sessions, stay, walkers] = [4_000, 250, 40]
    await fill(client, prefix, sessions)
    const before = await callsOfScan()
    const halves = await Promise.all(
      Array.from({ length: walkers }, async (_, n) => {
        const [over, rows]: [Awaited<ReturnType<typeof walk>>, Row[]] = [await walk(), []]
        const page = 100 + 3 * n
        let after: readonly string[] | null = null
        while (rows.length < (n + 1) * (sessions / (walkers + 2))) {
          const batch = await database.scan(over, after, page)
          rows.push(...batch)
          after = positionAfter(batch)
        }
        return { over, rows, after, page }
      }),
    )
    const keys = [...(await contents(client, prefix)).keys()].map((id) => prefix + id)
    const staying = new Set(keys.filter((_, n) => n % (sessions / stay) < 1))
    await client.unlink(...keys.filter((key) => !staying.has(key)))
    await expect.poll(callsOfScan).toBeLessThan(Math.min(before / 4, 300))
    let twice = 0
    for (const { over, rows, after, page } of halves) {
      // What SCAN gives from here on, without us.
      const met = new Set(rows.map(({ key: [key] }) => key as string))
      for (let cursor = after?.[0] as string; cursor !== '0'; ) {
        const [next, keys] = await client.scan(cursor, 'MATCH', `${prefix}*`, 'COUNT', page)
        twice += keys.filter((key) => met.has(key)).length
        cursor = next
      }
      for (let place = after; place !== null; ) {
        const batch = await database.scan(over, place, page)
        rows.push(...batch)
        place = positionAfter(batch)
      }
      const counted = rows.map(({ key: [key] }) => key as string).filter((key) => staying.has(key))
      expect(counted.sort()).toEqual([...staying].sort())
    }
    expect(twice).toBeGreaterThan(0)
  })
})

describe.skipIf(!canStartRedis)('Sessions are counted once, where Redis is started again meanwhile', () => {
  const server = useDatabase()
  const prefix = 'app:session:'
  const sessions = 2_500
  let own: RedisServer
  let direct: Redis
  let field: Field

  beforeAll(async () => {
    own = await startRedis()
    direct = new Redis(own.port, '127.0.0.1', { retryStrategy: () => 20 })
    direct.on('error', () => {})
    await migrate(pgState(server.pool))
    field = tokenField(prefix)
    return async () => {
      direct.disconnect()
      await own.stop()
    }
  })
  beforeEach(async () => {
    await direct.flushall()
    await fill(direct, prefix, sessions)
    await direct.rpush(`${prefix}list`, 'a')
  })

  const restart = async () => {
    await own.kill()
    await own.start()
  }
  /** The database, with a restart after some pages have been read. */
  function interrupted(): { readonly database: Database; readonly restarts: () => number } {
    const steps = { scans: 0, restarts: 0 }
    const database = withSteps(sessionsDatabase(server.pool, direct), async (step) => {
      if (step !== 'scan:after' || ++steps.scans !== 2) return
      steps.restarts++
      await restart()
    })
    return { database, restarts: () => steps.restarts }
  }

  test('by a verification', async () => {
    const { database, restarts } = interrupted()
    const found = await verifyFields({ database, fields: [field], known: [] })
    expect([restarts(), found]).toMatchObject([1, { total: sessions + 1, other: sessions, failedCount: 1, failed: { length: 1 } }])
  })

  test('by a census', async () => {
    const { database, restarts } = interrupted()
    const census = await takeCensus({ database, fields: [field] })
    expect([restarts(), census]).toMatchObject([1, { rows: sessions + 1, fields: [{ total: sessions + 1, unreadable: 1 }] }])
  })

  test('by what says how many there are and how long they live', async () => {
    let scans = 0
    const around = async (command: string, work: () => Promise<unknown>) => {
      if (command === 'SCAN' && ++scans === 2) await restart()
      return await work()
    }
    const client: RedisClient = {
      call: (command, ...args) => around(command, () => direct.call(command, ...args)),
      callBuffer: (command, ...args) => around(command, () => direct.callBuffer(command, ...args)),
    }
    const { keys } = redis({ client, over: postgres({ pool: server.pool }) })
    expect(await keys?.count(`${prefix}*`)).toBe(sessions + 1)
    expect(scans).toBeGreaterThan(2)
    scans = 0
    expect(await keys?.lives(`${prefix}*`)).toMatchObject({ keys: sessions + 1, withoutEnd: 1 })
    scans = 0
    expect(await keys?.end(`${prefix}*`)).toBe(sessions + 1)
  })
})
