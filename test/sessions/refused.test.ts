import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import plain from '../../packages/core/src/codecs/plain.ts'
import { pgState } from '../../packages/core/src/databases/postgres.ts'
import type { RotateOptions } from '../../packages/core/src/keyturn.ts'
import { rotate } from '../../packages/core/src/rotation/rotate.ts'
import { migrate } from '../../packages/core/src/state/schema.ts'
import { createFolder, runCommand } from '../harness/command.ts'
import { useDatabase } from '../harness/postgres.ts'
import { canStartRedis, type RedisServer, startRedis } from '../harness/redis-server.ts'
import { withSteps } from '../rotation/steps.ts'
import { fieldOf, rotationOf } from '../rotation/world.ts'
import { contents, fill, opened, sessionsDatabase, tokenField, tokenOf } from './world.ts'

describe.skipIf(!canStartRedis)('A Redis that refuses', () => {
  const server = useDatabase()
  const prefix = 'app:session:'
  const sessions = 400
  const field = tokenField(prefix)
  const options: RotateOptions = { throttle: { targetMs: 0.001, share: 1 } }
  const clients: Redis[] = []
  let own: RedisServer
  let direct: Redis

  const clientOf = (more: object = {}): Redis => {
    const client = new Redis(own.port, '127.0.0.1', { retryStrategy: () => 20, ...more })
    client.on('error', () => {})
    clients.push(client)
    return client
  }
  beforeAll(async () => {
    await migrate(pgState(server.pool))
    own = await startRedis()
    direct = clientOf()
  })
  afterAll(async () => {
    for (const client of clients) client.disconnect()
    await own?.stop()
  })
  beforeEach(async () => {
    await direct.flushall()
    await fill(direct, prefix, sessions)
    await server.pool.query('TRUNCATE keyturn.rotation CASCADE')
  })

  const runs = async () => (await server.pool.query('SELECT FROM keyturn.rotation')).rowCount
  const allNew = async () => {
    for (const [id, { text }] of await contents(direct, prefix)) {
      expect([opened(field, text), tokenOf(text).slice(0, 4)]).toEqual([`token of ${id}`, 'kt1.'])
    }
  }

  test('because it is a replica is refused by the plan, before anything is changed', async () => {
    await direct.call('REPLICAOF', '127.0.0.1', '1')
    try {
      const work = rotate(rotationOf(sessionsDatabase(server.pool, direct), [field], options))
      await expect(work).rejects.toMatchObject({ code: 'ERR_USAGE', message: expect.stringContaining('replica') })
      expect(await runs()).toBe(0)
    } finally {
      await direct.call('REPLICAOF', 'NO', 'ONE')
    }
  })

  test('because its user may not write is refused by the plan; with the rights that the page names everything is done', async () => {
    const reading = ['+info', '+dbsize', '+scan', '+evalsha', '+eval', '+strlen', '+mget', '+pttl', '+time']
    await direct.call('ACL', 'SETUSER', 'reader', 'on', '>reader', 'resetkeys', `~${prefix}*`, 'nocommands', ...reading)
    await direct.call('ACL', 'SETUSER', 'writer', 'on', '>writer', 'resetkeys', `~${prefix}*`, 'nocommands', ...reading, '+set', '+unlink')
    const as = (name: string) => sessionsDatabase(server.pool, clientOf({ username: name, password: name, enableReadyCheck: false }))
    const refused = rotate(rotationOf(as('reader'), [field], options))
    await expect(refused).rejects.toMatchObject({ code: 'ERR_USAGE', message: expect.stringContaining('may not SET') })
    expect(await runs()).toBe(0)
    const writer = as('writer')
    expect(await rotate(rotationOf(writer, [field], options))).toMatchObject({ state: 'completed', rotated: sessions })
    await allNew()
    expect(await writer.keys?.lives(`${prefix}*`)).toMatchObject({ keys: sessions })
    expect(await writer.keys?.end(`${prefix}*`)).toBe(sessions)
  })

  test('because too few replicas follow it, or because it does not answer, is asked again', async () => {
    const client = clientOf({ commandTimeout: 200 })
    let swaps = 0
    const database = withSteps(sessionsDatabase(server.pool, client), async (step) => {
      if (step !== 'swap:before') return
      swaps++
      if (swaps === 1) await direct.config('SET', 'min-replicas-to-write', '1')
      if (swaps !== 3) return
      await direct.config('SET', 'min-replicas-to-write', '0')
      await direct.call('CLIENT', 'PAUSE', '500', 'ALL')
    })
    try {
      expect(await rotate(rotationOf(database, [field], options))).toMatchObject({ state: 'completed', rotated: sessions })
    } finally {
      await direct.config('SET', 'min-replicas-to-write', '0')
    }
    // Refused, refused, not answered: none of these three was the last.
    expect(swaps).toBeGreaterThan(3)
    await allNew()
  })

  test('nothing, and holds what is no text where whole values are meant: that is set aside, and not taken for plain text', async () => {
    await direct.flushall()
    await direct.set('whole:a', 'a plain text')
    await direct.rpush('whole:list', 'a')
    await direct.setrange('whole:long', 17 * 2 ** 20, 'x')
    const whole = fieldOf('redis:whole:*', {
      reads: [{ codec: plain({ looksLike: '[^]+' }), keyring: null }],
      sensitive: ['key'],
    })
    const result = await rotate(rotationOf(sessionsDatabase(server.pool, direct), [whole], { ...options, accept: true }))
    expect(result).toMatchObject({ state: 'completed', rotated: 1, failedCount: 2 })
    expect([await direct.lrange('whole:list', 0, -1), await direct.strlen('whole:long')]).toEqual([['a'], 17 * 2 ** 20 + 1])
  })

  test('a database with the number of the address: no command goes on in another one', async () => {
    const config = {
      keyrings: { app: { root: { env: 'ROOT' } } },
      fields: { 'session.tokens': { column: `redis:${prefix}*:/tokens/access`, keyring: 'app' } },
    }
    const cwd = await createFolder({ 'keyturn.config.json': JSON.stringify(config) })
    const run = (number: string) =>
      runCommand(['sessions', 'end', '--yes', '--database', server.url, '--redis', `${own.url}/${number}`], {
        cwd,
        env: { ROOT: randomBytes(32).toString('hex') },
      })
    for (const number of ['99', 'production']) {
      const { code, stderr } = await run(number)
      expect([number, code, stderr]).toEqual([number, 2, expect.stringMatching(/no database with the number|the number of its database/)])
      expect(await direct.dbsize()).toBe(sessions)
    }
  })

  test('nothing, where no key fits: the plan asks whether that can be', async () => {
    const config = {
      keyrings: { app: { root: { env: 'ROOT' } } },
      fields: { 'session.tokens': { column: 'redis:app:sesion:*:/tokens/access', keyring: 'app' } },
    }
    const cwd = await createFolder({ 'keyturn.config.json': JSON.stringify(config) })
    const env = { ROOT: randomBytes(32).toString('hex') }
    const { stdout } = await runCommand(['plan', 'app', '--database', server.url, '--redis', own.url], { cwd, env })
    expect(stdout).toContain('redis:app:sesion:*: no key fits')
  })
})
