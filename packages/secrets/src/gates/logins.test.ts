import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { gateConformance, startMute } from '../../../../test/conformance/secrets/gate.ts'
import { callOf } from '../../../../test/harness/parts.ts'
import { useDatabase } from '../../../../test/harness/postgres.ts'
import { canStartRedis, type RedisServer, startRedis } from '../../../../test/harness/redis-server.ts'
import logins, { options } from './logins.ts'

const database = useDatabase()
const role = `kt "logins" ${randomBytes(4).toString('hex')}`
const quoted = `"${role.replaceAll('"', '""')}"`
const password = 'p@ss/w:rd%20 #?'

beforeAll(() => database.pool.query(`CREATE ROLE ${quoted} LOGIN PASSWORD '${password}'`))
afterAll(() => database.pool.query(`DROP ROLE ${quoted}`))

const look = (url: string, parts: Record<string, string>) =>
  logins(options.parse({ url })).look(callOf(), { before: null, since: 0, current: { id: null, parts }, previous: null })

test('a Postgres lets the new credential in, whatever letters it has.', async () => {
  const { host, pathname } = new URL(database.url)
  const url = `postgres://{user}:{password}@${host}${pathname}`
  expect(await look(url, { user: role, password })).toMatchObject({ works: true })
  expect(await look(url, { user: role, password: 'hunter2' })).toEqual({
    works: false,
    later: true,
    sentence: expect.stringContaining('28P01'),
  })
  await expect(look('postgres://{user}:{password}@127.0.0.1:1/x', { user: role, password })).rejects.toMatchObject({
    code: 'ERR_OUTSIDE_BUSY',
  })
})

describe.skipIf(!canStartRedis)('a Redis', () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
    const client = new Redis(server.url)
    await client.acl('SETUSER', 'app', 'on', `>${password}`, '~*', '+@all')
    client.disconnect()
  })
  afterAll(() => server?.stop())

  test('lets the new credential in.', async () => {
    const url = `redis://{user}:{password}@127.0.0.1:${server.port}/3`
    const parts = { user: 'app', password }
    expect(await look(url, parts)).toMatchObject({ works: true })
    expect(await look(url, { ...parts, password: 'hunter2' })).toEqual({
      works: false,
      later: true,
      sentence: expect.stringContaining('WRONGPASS'),
    })
  })
})

test('an address has the part of a credential in it, not a password.', () => {
  expect(options.safeParse({ url: 'rediss://default:{current.password}@h:6379' }).success).toBe(true)
  for (const url of [
    'postgres://app:hunter2@h/d',
    'postgres://h/d',
    'http://{user}:{password}@h',
    'postgres://{user}:{previous.password}@h',
  ])
    expect(options.safeParse({ url }).success, url).toBe(false)
})

gateConformance('logins', async () => {
  const mute = await startMute()
  const { host, pathname } = new URL(database.url)
  let at = host
  const turn = async (word: string) => {
    at = host
    await database.pool.query(`ALTER ROLE ${quoted} PASSWORD '${word}'`)
  }
  return {
    part: () => logins(options.parse({ url: `postgres://{user}:{password}@${at}${pathname}` })),
    asked: { before: null, since: 0, current: { id: null, parts: { user: role, password } }, previous: null },
    secrets: [password, encodeURIComponent(password)],
    state: async () => (await database.pool.query('SELECT * FROM pg_authid WHERE rolname = $1', [role])).rows,
    make: {
      well: () => turn(password),
      ill: () => turn('another'),
      down: () => {
        at = '127.0.0.1:1'
      },
      silent: () => {
        at = `127.0.0.1:${mute.port}`
      },
    },
    isAsked: () => mute.connections() > 0,
    close: () => mute.close(),
  }
})
