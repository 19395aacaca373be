import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
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
})
