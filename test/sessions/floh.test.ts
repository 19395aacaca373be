import { describe, expect, test } from 'vitest'
import sessionStore from '../../packages/core/src/adapters/session-store.ts'
import { defineConfig, env } from '../../packages/core/src/config/config.ts'
import type { Keyturn } from '../../packages/core/src/keyturn.ts'
import { open } from '../../packages/core/src/open.ts'
import { useDatabase } from '../harness/postgres.ts'
import { useRedis } from '../harness/redis.ts'
import { contents } from './world.ts'

const redis = await useRedis()

// That system encrypts its OIDC tokens in Redis under SESSION_ENCRYPTION_KEY, and could not change it: all users had to log in again.
describe.skipIf(redis.missing)('Floh changes SESSION_ENCRYPTION_KEY', () => {
  const server = useDatabase()
  const { client, prefix } = redis
  const [first, second] = ['1f'.repeat(32), '2e'.repeat(32)]
  const config = defineConfig({
    keyrings: { sessions: { primary: env('SESSION_ENCRYPTION_KEY'), previous: [env('SESSION_ENCRYPTION_KEY_PREVIOUS')] } },
    fields: {
      'session.tokens': {
        column: `redis:${prefix}*:/tokens/*`,
        keyring: 'sessions',
        bind: ['key'],
        reads: [{ codec: 'plain', looksLike: 'oidc-.*' }],
      },
    },
  })
  const as = async <T>(keys: Record<string, string>, work: (keyturn: Keyturn) => Promise<T>): Promise<T> => {
    const keyturn = await open(config, { pool: server.pool, redis: client, env: keys, warn: () => {} })
    try {
      return await work(keyturn)
    } finally {
      await keyturn.close()
    }
  }
  const storeOf = (keyturn: Keyturn | null) =>
    sessionStore(keyturn, {
      get: (sid) => client.get(prefix + sid),
      set: (sid, text) => client.call('SET', prefix + sid, text, 'PXAT', String(end)),
      destroy: (sid) => client.del(prefix + sid),
      touch: (sid) => client.call('PEXPIREAT', prefix + sid, String(end)),
    })
  const end = Date.now() + 24 * 3_600_000
  const users = ['a', 'b', 'c'].map(
    (id) => [id, { user: id, tokens: { access: `oidc-access-${id}`, refresh: `oidc-refresh-${id}` } }] as const,
  )

  test('every session stays, with its life of 24 hours, and those that development left in the clear are encrypted', async () => {
    const [plain, ...others] = users
    await storeOf(null).set(plain![0], plain![1])
    await as({ SESSION_ENCRYPTION_KEY: first }, async (keyturn) => {
      const store = storeOf(keyturn)
      for (const [id, session] of others) await store.set(id, session)
      expect(await store.get(plain![0])).toEqual(plain![1])
    })
    // The three steps of a key in the environment: known, used, gone.
    await as({ SESSION_ENCRYPTION_KEY: first, SESSION_ENCRYPTION_KEY_PREVIOUS: second }, async (keyturn) => {
      for (const [id, session] of users) expect(await storeOf(keyturn).get(id)).toEqual(session)
    })
    await as({ SESSION_ENCRYPTION_KEY: second, SESSION_ENCRYPTION_KEY_PREVIOUS: first }, async (keyturn) => {
      const result = await keyturn.rotate('sessions', { throttle: { share: 1 } })
      expect(result).toMatchObject({ state: 'completed', rotated: 6, failedCount: 0 })
    })
    await as({ SESSION_ENCRYPTION_KEY: second }, async (keyturn) => {
      const store = storeOf(keyturn)
      for (const [id, session] of users) expect(await store.get(id)).toEqual(session)
      expect(await keyturn.verify()).toMatchObject({ total: 6, current: 6, failedCount: 0 })
    })
    const found = await contents(client, prefix)
    expect([...found.values()].map((session) => session.end)).toEqual([end, end, end])
    for (const { text } of found.values()) expect(text).not.toContain('oidc-')
  })

  test('production does not start without the key', async () => {
    await expect(as({ NODE_ENV: 'production' }, async () => null)).rejects.toMatchObject({ code: 'ERR_KEY_MISSING' })
  })
})
