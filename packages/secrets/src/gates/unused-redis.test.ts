import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { gateConformance, startMute } from '../../../../test/conformance/secrets/gate.ts'
import { callOf, worldOf } from '../../../../test/harness/parts.ts'
import { canStartRedis, type RedisServer, startRedis } from '../../../../test/harness/redis-server.ts'
import type { Credential } from '../secret/credential.ts'
import unusedRedis, { options } from './unused-redis.ts'

if (!canStartRedis) console.warn('redis-server is not installed: the tests of unused-redis are passed over.')

describe.skipIf(!canStartRedis)('unused-redis', () => {
  let server: RedisServer
  const of = (user: string): Credential => ({ id: null, parts: { user, password: 'x' } })

  beforeAll(async () => {
    server = await startRedis()
    const client = new Redis(server.url)
    for (const user of ['one', 'two']) await client.acl('SETUSER', user, 'on', '>x', '~*', '+@all')
    client.disconnect()
  })
  afterAll(() => server?.stop())

  const gate = (ahead = 0, url = server.url) =>
    unusedRedis(
      options.parse({ nodes: [{ env: 'ONE' }] }),
      worldOf({ ONE: url }, () => Date.now() + ahead),
    )
  const look = (previous: Credential | null, { current = of('two'), since = Date.now(), ahead = 0 } = {}) =>
    gate(ahead).look(callOf(), { before: null, since, current, previous })
  const connect = async (user: string) => {
    const client = new Redis(server.url.replace('redis://', `redis://${user}:x@`))
    await client.ping()
    return client
  }

  test('connections of the old user are waited for, those of the new one are not.', async () => {
    const young = await connect('two')
    expect(await look(of('one'))).toMatchObject({ works: true })
    expect(await look(null)).toMatchObject({ works: true })
    const old = await connect('one')
    expect(await look(of('one'))).toEqual({
      works: false,
      later: true,
      sentence: expect.stringContaining('there are 1 connections of user "one"'),
    })
    old.disconnect()
    await expect.poll(() => look(of('one')), { timeout: 60_000 }).toMatchObject({ works: true })
    young.disconnect()
  })

  test('of a user that stays the same, connections from before the deployment are waited for.', async () => {
    const since = Date.now()
    const client = await connect('one')
    expect(await look(of('one'), { current: of('one'), since: Date.now() })).toMatchObject({ works: false, later: true })
    // An hour later by our clock, the connection is far younger than the deployment.
    expect(await look(of('one'), { current: of('one'), since, ahead: 3_600_000 })).toMatchObject({ works: true })
    client.disconnect()
  })

  test('a look beforehand needs a login.', async () => {
    expect(await gate().check(callOf())).toEqual([])
    expect(await gate(0, server.url.replace('redis://', 'redis://one:wrong@')).check(callOf())).toMatchObject([{ severity: 'fault' }])
  })

  gateConformance('unused-redis', async () => {
    const mute = await startMute()
    const admin = new Redis(server.url)
    let url = server.url
    let old: Redis | null = null
    const connections = async () =>
      String(await admin.client('LIST'))
        .split('\n')
        .filter((client) => / user=one /.test(client)).length
    return {
      part: () => gate(0, url),
      asked: { before: null, since: Date.now(), current: of('two'), previous: of('one') },
      secrets: ['s3cret-word'],
      state: async () => [await connections(), await admin.acl('LIST'), await admin.dbsize()],
      make: {
        well: async () => {
          url = server.url
          old?.disconnect()
          old = null
          await expect.poll(connections).toBe(0)
        },
        ill: async () => {
          old = await connect('one')
        },
        down: () => {
          url = 'redis://keyturn:s3cret-word@127.0.0.1:1'
        },
        silent: () => {
          url = `redis://keyturn:s3cret-word@127.0.0.1:${mute.port}`
        },
      },
      isAsked: () => mute.connections() > 0,
      close: async () => {
        old?.disconnect()
        admin.disconnect()
        await mute.close()
      },
    }
  })
})
