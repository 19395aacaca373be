import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { RedisStore } from 'connect-redis'
import express from 'express'
import session, { MemoryStore } from 'express-session'
import { createClient } from 'redis'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { useRedis } from '../../../../test/harness/redis.ts'
import { tokens, useSessions } from '../../../../test/sessions/stores.ts'
import expressSession from './express-session.ts'

const redis = await useRedis()
const node = createClient({ url: redis.url || 'redis://127.0.0.1:6379' })
node.on('error', () => {})

declare module 'express-session' {
  interface SessionData {
    user?: string
    tokens?: { readonly access: string; readonly refresh: string } | undefined
  }
}

describe.skipIf(redis.missing)('Sessions of express', () => {
  const world = useSessions(redis)
  const { client, prefix } = redis
  const made: { close(): unknown }[] = []
  beforeAll(() => node.connect())
  afterAll(async () => {
    for (const server of made) server.close()
    await node.close()
  })
  beforeEach(() => {
    world.told.length = 0
  })

  /** An application that logs in, says who is there, and logs out. @returns sends a request, with a cookie of its own */
  async function application(store: session.Store) {
    const app = express()
    app.use(session({ store, secret: 'x'.repeat(32), resave: false, saveUninitialized: false, cookie: { maxAge: 86_400_000 } }))
    app.get('/login', (request, response) => {
      request.session.user = 'ann of the test'
      request.session.tokens = tokens
      response.json('in')
    })
    app.get(
      '/me',
      (request, response) => void response.json({ user: request.session.user ?? null, tokens: request.session.tokens ?? null }),
    )
    app.get('/logout', (request, response) => request.session.destroy(() => response.json('out')))
    const server = app.listen(0)
    made.push(server)
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    return () => {
      let cookie = ''
      return async (path: string) => {
        const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { cookie } })
        cookie = response.headers.get('set-cookie')?.split(';')[0] ?? cookie
        return [response.status, response.status === 200 ? await response.json() : null]
      }
    }
  }
  const keysOf = async (part: string) => (await client.keys(`${prefix}${part}:*`)).sort()

  describe.each(['named', 'whole'] as const)('%s', (part) => {
    const storeOf = () => expressSession(world.keyturn, new RedisStore({ client: node, prefix: `${prefix}${part}:` }), world[part])
    beforeEach(async () => {
      for (const key of await keysOf(part)) await client.del(key)
    })

    test('tokens are read by the application and stand nowhere in Redis; a logout ends the session', async () => {
      const send = (await application(storeOf()))()
      expect(await send('/login')).toEqual([200, 'in'])
      expect(await send('/me')).toEqual([200, { user: 'ann of the test', tokens }])
      const [key] = await keysOf(part)
      const text = (await client.get(key!))!
      expect(text).not.toContain('marked')
      expect(text.includes('ann of the test')).toBe(part === 'named')
      // express-session counts back from when the cookie ends, and the clock may have moved on by then.
      expect(Math.round(JSON.parse(text).cookie.originalMaxAge / 60_000)).toBe(24 * 60)
      await send('/logout')
      expect([await keysOf(part), await send('/me')]).toEqual([[], [200, { user: null, tokens: null }]])
    })

    test('a touch lengthens the life and rewrites nothing', async () => {
      const send = (await application(storeOf()))()
      await send('/login')
      const [key] = await keysOf(part)
      const before = await client.get(key!)
      await client.expire(key!, 100)
      expect((await send('/me'))[0]).toBe(200)
      await expect.poll(() => client.ttl(key!)).toBeGreaterThan(80_000)
      expect(await client.get(key!)).toBe(before)
    })

    test('a rotation logs nobody out', async () => {
      const start = await application(storeOf())
      const users = Array.from({ length: 5 }, start)
      for (const send of users) await send('/login')
      const result = await world.keyturn.rotate('sessions', {
        fields: [part === 'named' ? 'session.tokens' : 'session.record'],
        throttle: { share: 1 },
      })
      expect(result).toMatchObject({ state: 'completed', rotated: part === 'named' ? 10 : 5 })
      for (const send of users) expect(await send('/me')).toEqual([200, { user: 'ann of the test', tokens }])
    })

    test('what does not open is no session, like one that is not there, and is told of once', async () => {
      const send = (await application(storeOf()))()
      await send('/login')
      const [key] = (await keysOf(part)) as [string]
      const good = (await client.get(key))!
      const bad = [
        'a:1:{not json',
        '[]',
        '17',
        '"kt1.aaaaaaaa.x"',
        good.replace('kt1.', 'kt1.a'),
        good.replace(/"kt1\.[^"]*"/, '{"a":1}'),
        good.replace(/"kt1\.[^"]*"/, '"marked-plain"'),
      ]
      for (const [n, text] of bad.entries()) {
        await client.set(key, text)
        for (let again = 0; again < 2; again++) {
          const store = storeOf()
          const found = await new Promise((resolve) => store.get(`${key.slice(`${prefix}${part}:`.length)}`, (...given) => resolve(given)))
          expect([n, found]).toEqual([n, [null, null]])
        }
        expect(await client.get(key)).toBe(text)
      }
      await client.set(key, bad[0]!)
      world.told.length = 0
      for (let n = 0; n < 3; n++) expect(await send('/me')).toEqual([200, { user: null, tokens: null }])
      expect(world.told).toMatchObject([{ event: 'session-refused', reason: 'ERR_DOCUMENT', session: expect.stringMatching(/^hmac:/) }])
      expect(JSON.stringify(world.told)).not.toContain(key.slice(prefix.length + part.length + 1))
    })

    test('a record that was copied from another session does not open', async () => {
      const start = await application(storeOf())
      const [ann, eve] = [start(), start()]
      await ann('/login')
      const [annKey] = (await keysOf(part)) as [string]
      await eve('/login')
      const eveKey = (await keysOf(part)).find((key) => key !== annKey)!
      await client.set(eveKey, (await client.get(annKey))!)
      expect(await eve('/me')).toEqual([200, { user: null, tokens: null }])
    })
  })

  test('a keyring that cannot be loaded is an error and logs nobody out; a store that fails is one, too', async () => {
    const inner = new RedisStore({ client: node, prefix: `${prefix}named:` })
    const away = { ...world.keyturn, config: world.keyturn.config, field: world.keyturn.field.bind(world.keyturn) }
    const field = world.keyturn.field('session.tokens')
    const broken = { ...away, field: () => Object.assign(Object.create(field), { decrypt: () => Promise.reject(new Error('away')) }) }
    const [good, bad] = [expressSession(world.keyturn, inner, world.named), expressSession(broken as never, inner, world.named)]
    await new Promise((resolve) => good.set('a', { cookie: {}, tokens } as never, resolve))
    const read = (store: session.Store) =>
      new Promise((resolve) => store.get('a', (error, found) => resolve(error ? error.message : found)))
    expect(await read(bad)).toBe('away')
    expect(await read(good)).toMatchObject({ tokens })
    const failing = expressSession(
      world.keyturn,
      { ...inner, get: (_sid: string, callback: (error: Error) => void) => callback(new Error('store away')) } as never,
      world.named,
    )
    expect(await read(failing)).toBe('store away')
  })

  test('a store that keeps what a touch gives it gets the cookie only, and lists what opens', async () => {
    const inner = new MemoryStore()
    const store = expressSession(world.keyturn, inner, world.named)
    await new Promise((resolve) => store.set('a', { cookie: { maxAge: 1_000 }, tokens } as never, resolve))
    await new Promise((resolve) => store.touch?.('a', { cookie: { maxAge: 2_000 }, tokens } as never, () => resolve(null)))
    const kept = await new Promise((resolve) => inner.get('a', (_, found) => resolve(found)))
    expect(JSON.stringify(kept)).toMatch(/2000/)
    expect(JSON.stringify(kept)).not.toContain('marked')
    expect(await new Promise((resolve) => store.all?.((_, found) => resolve(found)))).toMatchObject({})
    expect(await new Promise((resolve) => store.length?.((_, found) => resolve(found)))).toBe(1)
  })

  test('a token that is no text is refused, and nothing is stored in the clear', async () => {
    const store = expressSession(world.keyturn, new RedisStore({ client: node, prefix: `${prefix}named:` }), world.named)
    const error = await new Promise((resolve) =>
      store.set('object', { cookie: {}, tokens: { access: { deep: 'marked' } } } as never, resolve),
    )
    expect(error).toMatchObject({ code: 'ERR_USAGE' })
    expect(await client.exists(`${prefix}named:object`)).toBe(0)
  })

  test('fields that cannot stand in a session are refused with a sentence', () => {
    const store = new MemoryStore()
    const refusal = (options: object) => {
      try {
        expressSession(world.keyturn, store, options)
        return null
      } catch (thrown) {
        return (thrown as Error).message
      }
    }
    expect(refusal({ fields: [] })).toContain('no field')
    expect(refusal({ record: true })).toContain('sealed into one member')
    expect(refusal({ fields: ['session.record', 'session.record'], record: true })).toContain('one value')
    expect(refusal({ fields: ['nobody'] })).toContain('nobody')
  })
})

test('without a key sessions are plain JSON in development, and production does not start', () => {
  const store = new MemoryStore()
  expect(expressSession(null, store)).toBe(store)
  const before = process.env.NODE_ENV
  try {
    process.env.NODE_ENV = 'production'
    expect(() => expressSession(null, store)).toThrow('is not set. In production')
  } finally {
    process.env.NODE_ENV = before
  }
})
