import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { open } from '../../packages/core/src/index.ts'
import { count } from '../harness/counts.ts'
import { useDatabase } from '../harness/postgres.ts'
import { startProxy } from '../harness/proxy.ts'
import { askPort, kidOf, startFleet, startTraffic } from './fleet.ts'

const database = useDatabase()
const tokens = { lifetime: '3s', skew: '1s', jwksCache: '1s', offline: '5s' }
const stored = { refreshMs: 1_500, keyrings: { jwt: { root: { env: 'ROOT' }, sign: 'ES256', tokens } }, fields: {} } as const
const env = { ROOT: '5e'.repeat(32) }
const processes = count(3, 5)

/** Secrets as they stand in the environment of a process. */
const secrets = (secret: string, previous: string) => ({
  keyrings: { jwt: { primary: { env: 'JWT_SECRET' }, previous: [{ env: 'JWT_PREVIOUS_SIGNING_KEY' }], sign: 'HS256', tokens } },
  fields: {},
  secrets: { JWT_SECRET: secret, JWT_PREVIOUS_SIGNING_KEY: previous },
})

/** Waits until enough was signed and verified that something could have gone wrong. */
async function busy(traffic: ReturnType<typeof startTraffic>, more = 5): Promise<void> {
  const [minted, verified] = [traffic.minted + more, traffic.verified + more]
  while ((traffic.minted < minted || traffic.verified < verified) && traffic.refused.length === 0) await sleep(20)
}

async function until(date: string): Promise<void> {
  while (Date.now() <= new Date(date).getTime()) await sleep(50)
}

describe('processes behind a proxy', () => {
  test('no valid token is refused while the key of ES256 rotates and processes restart.', { timeout: 10_800_000 }, async () => {
    const operator = await open(stored, { pool: database.pool, env })
    const fleet = await startFleet(Array(processes).fill(database.url), stored, true)
    const traffic = startTraffic(fleet)
    const signing = operator.signing('jwt')
    const kids = new Set<string>()
    try {
      for (let n = 0; n < count(2, 100) && traffic.refused.length === 0; n++) {
        let restarted = Promise.resolve()
        const onWait = () => {
          restarted = fleet.restart(n % processes, stored)
        }
        const { version, before, graceEndsAt } = await signing.rotate({ onWait })
        await restarted
        kids.add(version)
        await busy(traffic)
        await until(graceEndsAt as string)
        expect(await signing.retire()).toMatchObject([{ version: before, ended: [] }])
      }
      await busy(traffic)
      expect(traffic.refused).toEqual([])
      expect(kids.size).toBe(count(2, 100))
    } finally {
      await traffic.stop()
      await fleet.close()
      await operator.close()
    }
  })

  test('no valid token is refused while a secret of the environment is exchanged in three steps.', { timeout: 10_800_000 }, async () => {
    let secret = randomBytes(32).toString('hex')
    const fleet = await startFleet(Array(processes).fill(database.url), secrets(secret, ''), false)
    const traffic = startTraffic(fleet)
    try {
      for (let n = 0; n < count(1, 100) && traffic.refused.length === 0; n++) {
        const next = randomBytes(32).toString('hex')
        await fleet.roll(secrets(secret, next))
        await busy(traffic)
        await fleet.roll(secrets(next, secret))
        await busy(traffic)
        await until(traffic.lastExpiry)
        await fleet.roll(secrets(next, ''))
        secret = next
        await busy(traffic)
      }
      expect(traffic.refused).toEqual([])
    } finally {
      await traffic.stop()
      await fleet.close()
    }
  })

  test('with two steps instead of three a process that has the new secret signs what another one refuses.', async () => {
    const [before, after] = [randomBytes(32).toString('hex'), randomBytes(32).toString('hex')]
    const fleet = await startFleet([database.url, database.url], secrets(before, ''), false)
    try {
      await fleet.restart(0, secrets(after, before))
      const [updated, other] = fleet.members
      const { body } = await askPort(updated?.port as number, '/mint')
      expect(await askPort(other?.port as number, '/verify', body)).toEqual({ status: 401, body: 'the token is not valid' })
    } finally {
      await fleet.close()
    }
  })

  test('a revoked key is refused everywhere within the time that is stated, also by a process that cannot hear of it.', async () => {
    const { hostname, port } = new URL(database.url)
    const proxy = await startProxy({ host: hostname, port: Number(port || 5432) })
    const severed = new URL(database.url)
    severed.host = `127.0.0.1:${proxy.port}`
    // Keys of their own: nobody else has signed with them.
    const own = { ...stored, schema: 'revoked' }
    const operator = await open(own, { pool: database.pool, env })
    const fleet = await startFleet([...Array(processes - 1).fill(database.url), severed.href], own, true)
    const signing = operator.signing('jwt')
    const answers = (token: string, path = '/verify') => Promise.all(fleet.members.map(({ port }) => askPort(port, path, token)))
    try {
      // Longer than the test: that it is refused is not because it has expired.
      const long = await open(
        { ...own, keyrings: { jwt: { ...stored.keyrings.jwt, tokens: { ...tokens, lifetime: '1h' } } } },
        { pool: database.pool, env },
      )
      const token = await long.signing('jwt').sign({ sub: 'thief' })
      await long.close()
      expect((await answers(token)).map(({ status }) => status)).toEqual(Array(processes).fill(200))
      expect((await answers(token, '/verify-remote')).map(({ status }) => status)).toEqual(Array(processes).fill(200))
      // One process is cut off from the database, and holds what it has loaded.
      await proxy.close()
      await signing.rotate({ now: true })
      const [{ version, ended, refusedEverywhereAt }] = (await signing.retire({ compromised: true })) as [never]
      expect({ version, ended }).toEqual({ version: kidOf(token), ended: [{ kind: 'JWT', count: 1 }] })
      await until(refusedEverywhereAt)
      const statuses = (await answers(token)).map(({ status }) => status)
      expect(statuses).toEqual([...Array(processes - 1).fill(401), 503])
      // Whoever verifies by the document has fetched it since, from a process that knows.
      const remote = (await answers(token, '/verify-remote')).map(({ status }) => status)
      expect(remote.filter((status) => status === 200)).toEqual([])
      const { signing: status } = (await operator.status('jwt')).keyrings[0] as { signing: { everywhereSeconds: number } }
      expect(status.everywhereSeconds).toBe(6)
    } finally {
      await fleet.close()
      await operator.close()
    }
  })
})
