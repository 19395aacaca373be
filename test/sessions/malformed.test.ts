import { RedisStore } from 'connect-redis'
import { MemoryStore } from 'express-session'
import { createClient } from 'redis'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import expressSession from '../../packages/core/src/adapters/express-session.ts'
import sessionStore from '../../packages/core/src/adapters/session-store.ts'
import { defineConfig, env } from '../../packages/core/src/config/config.ts'
import { open } from '../../packages/core/src/open.ts'
import { useDatabase } from '../harness/postgres.ts'
import { useRedis } from '../harness/redis.ts'
import { tokens, useSessions } from './stores.ts'

const redis = await useRedis()
const node = createClient({ url: redis.url || 'redis://127.0.0.1:6379' })
node.on('error', () => {})

/** What a store calls back with. */
const given = (call: (callback: (...all: unknown[]) => void) => unknown) =>
  new Promise<unknown[]>((resolve) => call((...all) => resolve(all)))

describe.skipIf(redis.missing)('What stands where a session should', () => {
  const world = useSessions(redis)
  const other = useDatabase()
  const { client, prefix } = redis
  beforeAll(() => node.connect())
  afterAll(() => node.close())
  beforeEach(async () => {
    world.told.length = 0
    for (const key of await client.keys(`${prefix}*`)) await client.del(key)
  })
  const overRedis = () => expressSession(world.keyturn, new RedisStore({ client: node, prefix: `${prefix}named:` }), world.named)

  test('nested deeper than can be written is no session, and no error of the request', async () => {
    const deep = `{"tokens":{},"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`
    await client.set(`${prefix}named:a`, deep)
    expect(await given((callback) => overRedis().get('a', callback))).toEqual([null, null])
    const plain = sessionStore(world.keyturn, {
      get: async () => deep,
      set: async () => {},
      destroy: async () => {},
      touch: async () => {},
    })
    expect(await plain.get('a')).toBeNull()
    expect(world.told).toMatchObject([{ reason: 'ERR_DOCUMENT' }])
  })

  test('of another type is no session', async () => {
    await client.rpush(`${prefix}named:a`, 'marked-element')
    expect(await given((callback) => overRedis().get('a', callback))).toEqual([null, null])
    expect(JSON.stringify(world.told)).not.toContain('marked')
    expect(await client.lrange(`${prefix}named:a`, 0, -1)).toEqual(['marked-element'])
  })

  test('under an id that is no text is no session either', async () => {
    const sealed = { tokens: { access: 'kt1.aaaaaaaa.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' } }
    const store = { get: async () => JSON.stringify(sealed), set: async () => {}, destroy: async () => {}, touch: async () => {} }
    expect(await sessionStore(world.keyturn, store, world.named).get('\ud800')).toBeNull()
  })

  test('makes no list of all sessions say what it holds', async () => {
    const store = overRedis()
    await given((callback) => store.set('a', { cookie: {}, tokens } as never, callback))
    expect(await given((callback) => store.all?.(callback))).toMatchObject([null, [{ id: 'a', tokens }]])
    await client.set(`${prefix}named:b`, 'marked-by-another-application')
    const [error] = await given((callback) => store.all?.(callback))
    expect(error).toMatchObject({ code: 'ERR_DOCUMENT' })
    expect(String(error)).not.toContain('marked')
  })

  test('is opened also in a list by ids', async () => {
    const store = expressSession(world.keyturn, new MemoryStore(), world.named)
    await given((callback) => store.set('a', { cookie: {}, tokens } as never, callback))
    expect(await given((callback) => store.all?.(callback))).toMatchObject([null, { a: { tokens } }])
  })

  test('is never the cookie: a field that would take it in is refused, and nothing is stored in the clear', async () => {
    const config = defineConfig({
      keyrings: { sessions: { root: env('ROOT') } },
      fields: { 'all.of': { column: `redis:${prefix}all:*:/**`, keyring: 'sessions', bind: ['key'] } },
    })
    const keyturn = await open(config, { pool: other.pool, env: { ROOT: 'ab'.repeat(32) }, warn: () => {} })
    try {
      const kept: string[] = []
      const store = { get: async () => null, set: async (_: string, text: string) => void kept.push(text), destroy: async () => {} }
      const plain = sessionStore(keyturn, { ...store, touch: async () => {} })
      await expect(plain.set('a', { cookie: { domain: 'marked' }, tokens })).rejects.toMatchObject({ code: 'ERR_USAGE' })
      await plain.set('a', { tokens })
      expect(kept.join()).not.toContain('marked')
      expect(kept).toHaveLength(1)
    } finally {
      await keyturn.close()
    }
  })
})
