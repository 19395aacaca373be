import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { pgState } from '../../packages/core/src/databases/postgres.ts'
import { rotate } from '../../packages/core/src/rotation/rotate.ts'
import { migrate } from '../../packages/core/src/state/schema.ts'
import { count } from '../harness/counts.ts'
import { useDatabase } from '../harness/postgres.ts'
import { useRedis } from '../harness/redis.ts'
import { rotationOf } from '../rotation/world.ts'
import { Application } from './ledger.ts'
import { contents, fill, opened, sessionsDatabase, tokenField, tokenOf } from './world.ts'

const redis = await useRedis()
const sessions = count(2_000, 200_000)
const instances = 4

describe.skipIf(redis.missing)('While an application creates, touches, rewrites and destroys sessions and others expire', () => {
  const server = useDatabase()
  const { client, prefix, url } = redis
  const clients: Redis[] = []
  beforeAll(async () => {
    await migrate(pgState(server.pool))
    for (let n = 0; n < instances; n++) clients.push(new Redis(url))
  })
  afterAll(() => clients.forEach((each) => void each.disconnect()))

  test('a rotation logs nobody out, revives nothing and lengthens no life, by a ledger of every session', async () => {
    const field = tokenField(prefix)
    await field.keyring.reserve(1_000_000)
    const ends = await fill(client, prefix, sessions)
    const applications = clients.map((each, n) => new Application(each, prefix, field, 4_711 + n))
    for (const [n, [id, end]] of [...ends].entries()) applications[n % instances]?.own(id, `token of ${id}`, end)

    let done = false
    const working = Promise.all(applications.map((application) => application.work(() => done)))
    const throttle = { share: 1, rowsPerSecond: count(2_500, 12_000) }
    const rotation = rotationOf(sessionsDatabase(server.pool, client), [field], {
      throttle,
      onProgress: ({ pass }) => {
        // Instances learn the new key while the first pass runs; an old one that went on for ever would be waited for.
        if (pass > 1) for (const application of applications) application.oldKey = false
      },
    })
    const result = await rotate(rotation)
    done = true
    const met = await working
    expect(result).toMatchObject({ state: 'completed', failedCount: 0 })
    expect(result.rotated).toBeGreaterThan(sessions / 10)
    const operations = met.reduce((sum, each) => sum + each.operations, 0)
    expect(operations).toBeGreaterThan(sessions / 10)
    expect(met.map(({ loggedOut }) => loggedOut)).toEqual(met.map(() => 0))

    const before = Date.now()
    const found = await contents(client, prefix)
    const after = Date.now()
    const faults: string[] = []
    let [alive, gone] = [0, 0]
    for (const { ledger } of applications) {
      for (const [id, entry] of ledger) {
        const there = found.get(id)
        found.delete(id)
        if (entry === null || entry.end <= before) {
          gone++
          if (there !== undefined) faults.push(`${id} came back`)
        } else if (there === undefined) {
          if (entry.end > after) faults.push(`${id} is lost`)
        } else {
          alive++
          if (there.end !== entry.end) faults.push(`${id} ends at ${there.end} and should at ${entry.end}`)
          if (opened(field, there.text) !== entry.token) faults.push(`${id} holds something else`)
          if (!tokenOf(there.text).startsWith('kt1.newnewne.')) faults.push(`${id} is under the old key`)
        }
      }
    }
    expect(faults).toEqual([])
    expect([...found.keys()]).toEqual([])
    expect(alive).toBeGreaterThan(sessions / 10)
    expect(gone).toBeGreaterThan(sessions / 1_000)
  })
})
