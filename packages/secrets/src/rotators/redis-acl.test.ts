import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { rotatorConformance } from '../../../../test/conformance/secrets/rotator.ts'
import { count } from '../../../../test/harness/counts.ts'
import { callOf, knock, worldOf } from '../../../../test/harness/parts.ts'
import { startProxy } from '../../../../test/harness/proxy.ts'
import { canStartRedis, type RedisServer, startRedis } from '../../../../test/harness/redis-server.ts'
import { kindOf } from '../outside/failure.ts'
import type { Credential } from '../secret/credential.ts'
import redisAcl, { options } from './redis-acl.ts'

if (!canStartRedis) console.warn('redis-server is not installed: the tests of redis-acl are passed over.')

describe.skipIf(!canStartRedis)('redis-acl', () => {
  let servers: RedisServer[] = []
  let clients: Redis[] = []
  const first: Credential = { id: null, parts: { user: 'app', password: 'as it was' } }

  beforeAll(async () => {
    servers = [await startRedis(), await startRedis()]
    clients = servers.map(({ url }) => new Redis(url))
    // One of them is away for a while.
    for (const client of clients) client.on('error', () => {})
    for (const client of clients) await client.acl('SETUSER', 'admin', 'on', '>root', '~*', '&*', '+@all')
  })
  afterAll(async () => {
    for (const client of clients) client.disconnect()
    for (const server of servers) await server.stop()
  })
  beforeEach(async () => {
    for (const client of clients) {
      await client.acl('SETUSER', 'default', 'reset', 'on', 'nopass', '~*', '&*', '+@all')
      await client.acl('SETUSER', 'admin', 'reset', 'on', '>root', '~*', '&*', '+@all')
      await client.acl('SETUSER', 'app', 'reset', 'on', '>as it was', '~*', '+@all', '-@dangerous')
    }
  })

  const addressOf = (index: number, user = 'admin', password = 'root') => {
    const url = new URL(servers[index]?.url ?? '')
    url.username = user
    url.password = encodeURIComponent(password)
    return url.href
  }
  const world = (more: Record<string, string> = {}) => worldOf({ ONE: addressOf(0), TWO: addressOf(1), ...more })
  const open = (more: object = {}, given = world()) =>
    redisAcl(options.parse({ nodes: [{ env: 'ONE' }, { env: 'TWO' }], user: 'app', ...more }), given)
  const logIn = async ({ parts }: Credential, index = 0) => {
    const client = new Redis(servers[index]?.url ?? '', { lazyConnect: true, retryStrategy: () => null, enableReadyCheck: false })
    client.on('error', () => {})
    try {
      await client.connect()
      await client.call('AUTH', parts.user ?? '', parts.password ?? '')
      return client
    } catch (error) {
      client.disconnect()
      throw error
    }
  }
  const hashesOf = async (index: number, user = 'app') => {
    const answer = (await clients[index]?.acl('GETUSER', user)) as unknown[]
    return answer[answer.indexOf('passwords') + 1]
  }
  const hash = ({ parts }: Credential) =>
    createHash('sha256')
      .update(parts.password ?? '')
      .digest('hex')
  const made = async (rotator = open()) => {
    const proposed = await rotator.propose!(callOf(), first)
    return rotator.create(callOf(), proposed, first)
  }

  rotatorConformance('redis-acl', async () => {
    for (const client of clients) await client.acl('SETUSER', 'shop', 'on', '>from before', '~*', '+@all')
    return {
      config: { rotator: 'redis-acl', nodes: [{ env: 'ONE' }, { env: 'TWO' }], user: 'shop' },
      env: { ONE: addressOf(0), TWO: addressOf(1) },
      first: { user: 'shop', password: 'from before' },
      templates: { REDIS_USER: '{user}', REDIS_PASSWORD: '{password}' },
      login: async ({ REDIS_USER: user = '', REDIS_PASSWORD: password = '' }) => {
        for (const index of [0, 1]) {
          const client = await logIn({ id: null, parts: { user, password } }, index).catch(() => null)
          if (client === null) return false
          client.disconnect()
        }
        return true
      },
      live: async () => Math.max(...(await Promise.all([0, 1].map(async (index) => ((await hashesOf(index, 'shop')) as []).length)))),
      close: async () => {},
    }
  })

  test('old and new both work on every node until the old one is revoked, and every call may be made again.', async () => {
    const [rotator, call] = [open(), callOf()]
    expect(await rotator.adopt!(call, { password: 'as it was' })).toEqual(first)
    const next = await rotator.propose!(call, first)
    for (const _ of [1, 2]) expect(await rotator.create(call, next, first)).toEqual(next)
    for (const index of [0, 1]) expect(await hashesOf(index)).toEqual([hash(first), hash(next)])
    for (const each of [first, next]) expect(await rotator.verify(call, each)).toMatchObject({ works: true })
    for (const _ of [1, 2]) await rotator.revoke(call, first, next)
    for (const index of [0, 1]) expect(await hashesOf(index)).toEqual([hash(next)])
    expect(await rotator.verify(call, first)).toMatchObject({ works: false, later: false })
    for (const _ of [1, 2]) await rotator.revoke(call, next, null)
    expect(await hashesOf(0)).toEqual([])
  })

  test('the password that remains is not taken away, whoever asks for it.', async () => {
    const [rotator, next] = [open(), await made()]
    const error = await rotator.revoke(callOf(), next, { ...next, id: 'another' }).catch((each: unknown) => each)
    expect([kindOf(error), await hashesOf(0)]).toEqual(['refused', expect.arrayContaining([hash(next)])])
    await rotator.revoke(callOf(), next, null)
  })

  test('a client that logs in without pause is never refused.', async () => {
    const rotator = open()
    let current = first
    const client = knock(async () => (await logIn(current)).disconnect())
    for (let rotation = 0; rotation < count(3, 50); rotation++) {
      const call = callOf()
      const next = await rotator.create(call, await rotator.propose!(call, current), current)
      expect(await rotator.verify(call, next)).toMatchObject({ works: true })
      const previous = current
      await client.enough(1)
      current = next
      await client.enough(2)
      await rotator.revoke(call, previous, current)
      expect(await rotator.verify(call, previous)).toMatchObject({ works: false })
    }
    const { tries, refused, why } = await client.stop()
    console.info(`redis-acl: ${tries} log-ins, ${refused} refused`)
    expect(why).toEqual([])
  })

  test('no password is sent when passwords are changed, and an answer that is lost is uncertain and may be asked for again.', async () => {
    const proxy = await startProxy({ host: '127.0.0.1', port: servers[0]!.port })
    const rotator = open({ nodes: [{ env: 'ONE' }] }, world({ ONE: addressOf(0).replace(`:${servers[0]!.port}`, `:${proxy.port}`) }))
    const next = await rotator.propose!(callOf(), first)
    for (const { parts } of [first, next]) proxy.onText(parts.password ?? '', 1, 'drop-before')
    proxy.onText(`#${hash(next)}`, 1, 'drop-answer')
    await expect(rotator.create(callOf(), next, first)).rejects.toMatchObject({ code: 'ERR_OUTSIDE_UNCERTAIN' })
    expect(await hashesOf(0)).toEqual([hash(first), hash(next)])
    await rotator.create(callOf(), next, first)
    proxy.onText('AUTH', 1, 'drop-before')
    await expect(rotator.revoke(callOf(), first, next)).rejects.toMatchObject({ code: 'ERR_OUTSIDE_BUSY' })
    proxy.onText(`!${hash(first)}`, 1, 'drop-after')
    await expect(rotator.revoke(callOf(), first, next)).rejects.toMatchObject({ code: 'ERR_OUTSIDE_UNCERTAIN' })
    await rotator.revoke(callOf(), first, next)
    expect(await hashesOf(0)).toEqual([hash(next)])
    expect(proxy.faults).toBe(3)
    await proxy.close()
  })

  test('a node out of reach leaves the rest for the repetition.', async () => {
    const [rotator, call] = [open(), callOf()]
    const next = await rotator.propose!(call, first)
    await servers[1]!.kill()
    try {
      await expect(rotator.create(call, next, first)).rejects.toMatchObject({ code: 'ERR_OUTSIDE_BUSY' })
      await expect(rotator.verify(call, next)).rejects.toMatchObject({ code: 'ERR_OUTSIDE_BUSY' })
    } finally {
      await servers[1]!.start()
      // What was not kept in a file is lost by a restart.
      await clients[1]!.acl('SETUSER', 'admin', 'on', '>root', '~*', '&*', '+@all')
      await clients[1]!.acl('SETUSER', 'app', 'on', '>as it was', '~*', '+@all', '-@dangerous')
    }
    await rotator.create(call, next, first)
    expect(await rotator.verify(call, next)).toMatchObject({ works: true, sentence: expect.stringContaining('2 nodes') })
  })

  test('connections outlive a revocation unless they are to be ended.', async () => {
    const next = await made()
    const connection = await logIn(first)
    await open().revoke(callOf(), first, next)
    expect(await connection.ping()).toBe('PONG')
    await open({ endSessions: true }).revoke(callOf(), first, next)
    await expect(connection.ping()).rejects.toThrow()
    connection.disconnect()
  })

  test('a user changes its own password where no administrator is given.', async () => {
    const nodes = servers.map(({ url }) => url)
    for (const client of clients) await client.acl('SETUSER', 'default', 'resetpass', '>as it was')
    const was: Credential = { id: null, parts: { user: 'default', password: 'as it was' } }
    const rotator = redisAcl(options.parse({ nodes }), world())
    expect(await rotator.check(callOf(), null)).toEqual([{ severity: 'fault', sentence: expect.stringContaining('there is no login') }])
    expect((await rotator.check(callOf(), was)).map(({ severity }) => severity)).not.toContain('fault')
    const next = await rotator.propose!(callOf(), was)
    for (const _ of [1, 2]) await rotator.create(callOf(), next, was)
    for (const _ of [1, 2]) await rotator.revoke(callOf(), was, next)
    expect(await rotator.verify(callOf(), next)).toMatchObject({ works: true })
    expect(await rotator.verify(callOf(), was)).toMatchObject({ works: false })
    await rotator.revoke(callOf(), next, null)
    await rotator.revoke(callOf(), next, null)
    expect(await rotator.verify(callOf(), next)).toMatchObject({ works: false })
  })

  test('what is no rotation is refused: a user that is not there, one without a password, the last password.', async () => {
    const next = await made()
    await expect(open({ user: 'nobody' }).create(callOf(), next, null)).rejects.toMatchObject({ code: 'ERR_OUTSIDE_REFUSED' })
    expect(await clients[0]!.acl('GETUSER', 'nobody')).toBeNull()
    await expect(open({ user: 'default' }).create(callOf(), next, null)).rejects.toMatchObject({ code: 'ERR_OUTSIDE_REFUSED' })
    expect(await hashesOf(0, 'default')).toEqual([])
    const unknown = { id: null, parts: { user: 'app', password: 'nobody knows it' } }
    await expect(open().revoke(callOf(), first, unknown)).rejects.toMatchObject({ code: 'ERR_OUTSIDE_REFUSED' })
    expect(await hashesOf(0)).toEqual([hash(first), hash(next)])
    const wrong = open({}, world({ TWO: addressOf(1, 'admin', 'hunter2hunter2') }))
    await expect(wrong.create(callOf(), next, first)).rejects.toThrow(/node 2.*WRONGPASS/)
    await expect(wrong.create(callOf(), next, first)).rejects.not.toThrow(/hunter2/)
  })

  test('a look finds what would go wrong.', async () => {
    const sentences = async (rotator = open(), current: Credential | null = first) =>
      (await rotator.check(callOf(), current)).map(({ severity, sentence }) => `${severity}: ${sentence}`)
    const lost = expect.stringMatching(/^warning: .*after a restart the change is lost/)
    expect(await sentences()).toEqual([lost, lost])
    expect(await sentences(open({ user: 'nobody' }))).toEqual(Array(2).fill(expect.stringMatching(/^fault: .*no such user/)))
    expect(await sentences(open({ user: 'default' }), null)).toContainEqual(expect.stringMatching(/^fault: .*needs no password/))
    expect(await sentences(open(), { id: null, parts: { user: 'app', password: 'x' } })).toContainEqual(
      expect.stringMatching(/^fault: .*does not know the password that is in use/),
    )
    expect(await sentences(open({ user: 'admin' }), null)).toContainEqual(expect.stringMatching(/^fault: .*this user's own login/))
    await clients[0]!.config('SET', 'masterauth', 'x')
    await clients[0]!.config('SET', 'masteruser', 'app')
    expect(await sentences()).toContainEqual(expect.stringMatching(/^warning: .*node 1.*masterauth/))
    await clients[0]!.config('SET', 'masterauth', '')
    await clients[0]!.config('SET', 'masteruser', '')
    await clients[0]!.acl('SETUSER', 'app', 'off')
    expect(await sentences()).toContainEqual(expect.stringMatching(/^fault: .*the user is off/))
  })

  test('the change lasts where there is an ACL file or a configuration file.', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'keyturn-acl-'))
    const [acl, config] = [join(folder, 'users.acl'), join(folder, 'redis.conf')]
    const users = 'user default on nopass ~* &* +@all\nuser admin on >root ~* &* +@all\nuser app on >as-it-was ~* +@all\n'
    await writeFile(acl, users)
    await writeFile(config, users)
    const two = [await startRedis(['--aclfile', acl]), await startRedis([], config)]
    try {
      const withRoot = ({ url }: RedisServer) => url.replace('redis://', 'redis://admin:root@')
      const rotator = redisAcl(
        options.parse({ nodes: [{ env: 'ONE' }, { env: 'TWO' }], user: 'app' }),
        worldOf({ ONE: withRoot(two[0]!), TWO: withRoot(two[1]!) }),
      )
      expect(await rotator.check(callOf(), { id: null, parts: { password: 'as-it-was' } })).toEqual([])
      const next = await rotator.create(callOf(), await rotator.propose!(callOf(), null), null)
      for (const server of two) {
        await server.kill()
        await server.start()
      }
      expect(await rotator.verify(callOf(), next)).toMatchObject({ works: true })
      for (const file of [acl, config]) expect(await readFile(file, 'utf8')).toContain(`#${hash(next)}`)
    } finally {
      for (const server of two) await server.stop()
      await rm(folder, { recursive: true, force: true })
    }
  })
})

test('options that cannot work are refused.', () => {
  expect(options.safeParse({ nodes: ['redis://127.0.0.1:6379', { env: 'ONE' }] }).success).toBe(true)
  for (const bad of [{ nodes: [] }, {}, { nodes: ['redis://u:p@h'] }, { nodes: ['http://h'] }, { nodes: ['redis://h'], user: 'a b' }])
    expect(options.safeParse(bad).success, JSON.stringify(bad)).toBe(false)
})
