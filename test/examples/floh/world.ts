import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest'
import { useDatabase } from '../../harness/postgres.ts'
import type { TestRedis } from '../../harness/redis.ts'
import { type Asking, ask } from '../asking.ts'
import { type Balancer, startBalancer } from '../forkpoint/balancer.ts'
import type { Image } from '../image.ts'
import { buildFloh, type Floh, type Keys, login, newKey, printed, refusedStart, type Surroundings, startFloh } from './application.ts'
import { type LocalProvider, startProvider } from './provider.ts'

/** The application with a database, Redis, a provider and a proxy in front, for a test file. Each test begins with empty tables and no sessions. */
export function useFloh(redis: TestRedis) {
  const server = useDatabase()
  const running = new Set<Floh>()
  const secrets = new Set<string>()
  let image: Image
  let provider: LocalProvider
  let balancer: Balancer

  const secret = (): string => {
    const made = newKey()
    secrets.add(made)
    return made
  }
  const signing = { SESSION_SECRET: secret(), JWT_SECRET: secret() }
  const surroundings = (): Surroundings => ({
    image,
    databaseUrl: server.url,
    redisUrl: redis.url,
    publicUrl: balancer.url,
    provider,
  })
  const sessions = () => redis.client.keys('floh:session:*')

  beforeAll(async () => {
    image = await buildFloh()
    balancer = await startBalancer()
    provider = await startProvider(balancer.url)
  })
  afterAll(async () => {
    await provider?.close()
    await balancer?.close()
    await endSessions()
  })
  beforeEach(async () => {
    await server.pool.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public; DROP SCHEMA IF EXISTS keyturn CASCADE')
    await endSessions()
  })
  afterEach(async () => {
    for (const instance of running) await stop(instance)
    // In no test has a process printed a key, a token or a stored value.
    for (const said of printed.splice(0)) {
      for (const one of [...secrets, ...provider.issued]) expect(said.includes(one)).toBe(false)
      expect(said).not.toMatch(/marked-|kt1\./)
    }
  })

  async function endSessions(): Promise<void> {
    const keys = redis.missing ? [] : await sessions()
    if (keys.length > 0) await redis.client.unlink(keys)
  }
  async function start(keys: Keys): Promise<Floh> {
    const instance = await startFloh(surroundings(), { ...signing, ...keys })
    running.add(instance)
    balancer.add(instance.url)
    return instance
  }
  /** No request is lost: what goes there has been answered. */
  async function stop(instance: Floh): Promise<void> {
    running.delete(instance)
    await balancer.drain(instance.url)
    await instance.stop()
  }

  return {
    server,
    signing,
    secret,
    sessions,
    start,
    stop,
    refused: (keys: Keys) => refusedStart(surroundings(), { ...signing, ...keys }),
    /** The provider and the proxy, once tests run. */
    get provider() {
      return provider
    },
    get url() {
      return balancer.url
    },
    get image() {
      return image
    },
    login: (user: string) => login(balancer.url, user),
    /** A bearer of somebody who has logged in. */
    bearer: async (user: string): Promise<string> => {
      const cookie = await login(balancer.url, user)
      return (await ask(balancer.url, 'POST', '/api/tokens', { cookie })).body.token
    },
    /** Asks whichever instance is next. */
    ask: (method: string, path: string, asking: Asking = {}) => ask(balancer.url, method, path, asking),
  }
}
