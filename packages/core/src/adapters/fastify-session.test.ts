import cookie from '@fastify/cookie'
import fastifySessionPlugin from '@fastify/session'
import { RedisStore } from 'connect-redis'
import Fastify from 'fastify'
import { createClient } from 'redis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { useRedis } from '../../../../test/harness/redis.ts'
import { tokens, useSessions } from '../../../../test/sessions/stores.ts'
import fastifySession from './fastify-session.ts'

const redis = await useRedis()
const node = createClient({ url: redis.url || 'redis://127.0.0.1:6379' })
node.on('error', () => {})

describe.skipIf(redis.missing).each(['named', 'whole'] as const)('Sessions of fastify, %s', (part) => {
  const world = useSessions(redis)
  const { client, prefix } = redis
  beforeAll(async () => {
    if (!node.isOpen) await node.connect()
  })
  afterAll(() => (node.isOpen ? node.close() : undefined))

  async function application() {
    const fastify = Fastify()
    const store = fastifySession(world.keyturn, new RedisStore({ client: node, prefix: `${prefix}${part}:` }), world[part])
    await fastify.register(cookie)
    await fastify.register(fastifySessionPlugin, {
      store: store as never,
      secret: 'x'.repeat(32),
      cookie: { secure: false, maxAge: 86_400_000 },
    })
    fastify.get('/login', async (request) => {
      request.session.set('user' as never, 'ann' as never)
      request.session.set('tokens' as never, tokens as never)
      return 'in'
    })
    fastify.get('/me', async (request) => ({
      user: request.session.get('user' as never) ?? null,
      tokens: request.session.get('tokens' as never) ?? null,
    }))
    fastify.get('/logout', async (request) => {
      await request.session.destroy()
      return 'out'
    })
    let kept = ''
    const send = async (url: string) => {
      const response = await fastify.inject({ url, headers: { cookie: kept } })
      kept = String(response.headers['set-cookie'] ?? kept).split(';')[0] as string
      return response.headers['content-type']?.includes('json') ? response.json() : response.body
    }
    return { send, close: () => fastify.close() }
  }

  test('login, a rotation, a record that does not open, logout', async () => {
    const { send, close } = await application()
    expect(await send('/login')).toBe('in')
    expect(await send('/me')).toEqual({ user: 'ann', tokens })
    const [key] = (await client.keys(`${prefix}${part}:*`)) as [string]
    expect(await client.get(key)).not.toContain('marked')
    expect(await client.ttl(key)).toBeGreaterThan(80_000)
    const { rotated } = await world.keyturn.rotate('sessions', { throttle: { share: 1 } })
    expect(rotated).toBe(part === 'named' ? 2 : 1)
    expect(await send('/me')).toEqual({ user: 'ann', tokens })
    const good = (await client.get(key))!
    await client.set(key, good.replace(/"kt1\.[^"]*"/, '"marked-plain"'))
    expect(await send('/me')).toEqual({ user: null, tokens: null })
    expect(world.told.at(-1)).toMatchObject({ event: 'session-refused', reason: 'ERR_DECRYPT' })
    await send('/login')
    await send('/logout')
    expect(await send('/me')).toEqual({ user: null, tokens: null })
    for (const left of await client.keys(`${prefix}${part}:*`)) await client.del(left)
    await close()
  })
})

test('without a key nothing is encrypted in development', () => {
  const store = { get: () => {}, set: () => {}, destroy: () => {} }
  expect(fastifySession(null, store)).toBe(store)
})
