import { RedisStore } from 'connect-redis'
import { MemoryStore } from 'express-session'
import { createClient } from 'redis'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import expressSession from '../../packages/core/src/adapters/express-session.ts'
import sessionStore from '../../packages/core/src/adapters/session-store.ts'
import { useRedis } from '../harness/redis.ts'
import { tokens, useSessions } from './stores.ts'

const redis = await useRedis()
const node = createClient({ url: redis.url || 'redis://127.0.0.1:6379' })
node.on('error', () => {})

type Store = {
  set(sid: string, session: object): Promise<unknown>
  get(sid: string): Promise<unknown>
  destroy(sid: string): Promise<unknown>
  touch(sid: string, session: object): Promise<unknown>
}

describe.skipIf(redis.missing)('While a session is being sealed', () => {
  const world = useSessions(redis)
  const { client, prefix } = redis
  /** Sealings that wait until they are let go, as they do while the keyring reserves messages in a database that is slow. */
  const held: (() => void)[] = []
  const letGo = () => {
    for (const go of held.splice(0)) go()
  }
  const slow = () => {
    const field = world.keyturn.field('session.tokens')
    const encrypt = (...given: unknown[]) =>
      new Promise<void>((resolve) => held.push(resolve)).then(() => field.encrypt(...(given as [string, { key: string }])))
    return { config: world.keyturn.config, field: () => Object.assign(Object.create(field), { encrypt }) } as never
  }
  const promised =
    (store: object, name: string) =>
    (...given: unknown[]) =>
      new Promise((resolve, reject) =>
        (store as Record<string, (...all: unknown[]) => unknown>)[name]?.(...given, (error: unknown, found: unknown) =>
          error ? reject(error) : resolve(found),
        ),
      )
  const stores: Record<string, () => Store> = {
    'express-session': () => {
      const store = expressSession(slow(), new RedisStore({ client: node, prefix: `${prefix}named:` }), world.named)
      return Object.fromEntries(['set', 'get', 'destroy', 'touch'].map((name) => [name, promised(store, name)])) as unknown as Store
    },
    'the plain store': () => {
      const store = sessionStore(
        slow(),
        {
          get: (sid) => client.get(`${prefix}named:${sid}`),
          set: (sid, text) => client.set(`${prefix}named:${sid}`, text, 'EX', 60),
          destroy: (sid) => client.del(`${prefix}named:${sid}`),
          touch: (sid) => client.expire(`${prefix}named:${sid}`, 600),
        },
        world.named,
      )
      return { ...store, set: (sid, session) => store.set(sid, session as never), touch: (sid) => store.touch(sid) }
    },
  }
  const cookie = { originalMaxAge: 60_000 }

  beforeAll(() => node.connect())
  afterAll(() => node.close())
  beforeEach(async () => {
    letGo()
    await client.del(`${prefix}named:a`)
  })

  describe.each(Object.entries(stores))('by %s', (_, open) => {
    test('its destruction is not undone', async () => {
      const store = open()
      const set = store.set('a', { cookie, tokens })
      await store.destroy('a')
      await expect
        .poll(async () => {
          letGo()
          return await Promise.race([set.then(() => 'set'), new Promise((resolve) => setTimeout(resolve, 5, 'waiting'))])
        })
        .toBe('set')
      expect(await client.exists(`${prefix}named:a`)).toBe(0)
      // What begins under its id afterwards is another session.
      await store.set('a', { cookie, user: 'new' })
      expect(JSON.parse((await client.get(`${prefix}named:a`)) as string).user).toBe('new')
    })

    test('what is set later, with less to seal, is what stands in the end, and is what is read', async () => {
      const store = open()
      const first = store.set('a', { cookie, user: 'before the logout', tokens })
      const second = store.set('a', { cookie, user: 'after it' })
      const read = store.get('a')
      const touched = store.touch('a', { cookie })
      const all = Promise.all([first, second, read, touched])
      await expect
        .poll(async () => {
          letGo()
          return await Promise.race([all.then(() => 'done'), new Promise((resolve) => setTimeout(resolve, 5, 'waiting'))])
        })
        .toBe('done')
      expect(await read).toMatchObject({ user: 'after it' })
      expect(JSON.parse((await client.get(`${prefix}named:a`)) as string)).toMatchObject({ user: 'after it' })
    })
  })

  test('what cannot be sealed is an error of its own write, and stops no other', async () => {
    const inner = new MemoryStore()
    const store = expressSession(world.keyturn, inner, world.named)
    const results = await Promise.allSettled([
      promised(store, 'set')('a', { cookie, tokens: { access: 17 } }),
      promised(store, 'set')('a', { cookie, tokens }),
    ])
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'fulfilled'])
    expect(await promised(store, 'get')('a')).toMatchObject({ tokens })
  })
})
