import { beforeEach, describe, expect, test } from 'vitest'
import { useRedis } from '../../../../test/harness/redis.ts'
import { tokens, useSessions } from '../../../../test/sessions/stores.ts'
import sessionStore, { type TextStore } from './session-store.ts'

const redis = await useRedis()

describe.skipIf(redis.missing).each(['named', 'whole'] as const)('Sessions over a store of text, %s', (part) => {
  const world = useSessions(redis)
  const { client, prefix } = redis
  const text: TextStore = {
    get: (sid) => client.get(`${prefix}${part}:${sid}`),
    set: (sid, value, ttl = 60) => client.set(`${prefix}${part}:${sid}`, value, 'EX', ttl),
    destroy: (sid) => client.del(`${prefix}${part}:${sid}`),
    touch: (sid, ttl = 60) => client.expire(`${prefix}${part}:${sid}`, ttl),
  }
  const storeOf = () => sessionStore(world.keyturn, text, world[part])
  beforeEach(async () => {
    world.told.length = 0
    for (const key of await client.keys(`${prefix}*`)) await client.del(key)
  })

  test('a session is kept without its tokens in the clear, touched without a write, and destroyed', async () => {
    const store = storeOf()
    await store.set('a', { user: 'ann', tokens, list: [1, null] }, 100)
    const stored = await text.get('a')
    expect(stored).not.toContain('marked')
    expect(await store.get('a')).toEqual({ user: 'ann', tokens, list: [1, null] })
    await store.touch('a', 5_000)
    expect(await text.get('a')).toBe(stored)
    expect(await client.ttl(`${prefix}${part}:a`)).toBeGreaterThan(4_000)
    await store.destroy('a')
    expect(await store.get('a')).toBeNull()
    expect(world.told).toEqual([])
  })

  test('what is no record of ours is none, and told of once', async () => {
    const store = storeOf()
    await store.set('a', { user: 'ann', tokens })
    const good = (await text.get('a'))!
    const bad = ['', '{', 'null', '[1]', good.replace('kt1.', 'kt1.q'), good.replace(/"kt1\.[^"]*"/, '5')]
    for (const [n, value] of bad.entries()) {
      await text.set(`bad-${n}`, value)
      expect([n, await store.get(`bad-${n}`), await store.get(`bad-${n}`)]).toEqual([n, null, null])
    }
    expect(world.told).toHaveLength(bad.length)
    await text.set('b', good)
    expect(await store.get('b')).toBeNull()
  })

  test('values under a key that is retiring open', async () => {
    const store = storeOf()
    await store.set('old', { tokens })
    const old = (await text.get('old'))!
    await world.keyturn.rotate('sessions', { throttle: { share: 1 }, accept: true })
    expect(await text.get('old')).not.toBe(old)
    await text.set('old', old)
    expect(await store.get('old')).toEqual({ tokens })
  })
})

test('without a key records are plain JSON in development', async () => {
  const kept = new Map<string, string>()
  const store = sessionStore(null, {
    get: async (sid) => kept.get(sid),
    set: async (sid, value) => kept.set(sid, value),
    destroy: async (sid) => kept.delete(sid),
    touch: async () => {},
  })
  await store.set('a', { tokens })
  expect([kept.get('a'), await store.get('a'), await store.get('b')]).toEqual([JSON.stringify({ tokens }), { tokens }, null])
  kept.set('c', 'no json')
  expect(await store.get('c')).toBeNull()
})
