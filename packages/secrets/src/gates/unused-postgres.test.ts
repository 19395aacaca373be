import { randomBytes } from 'node:crypto'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { gateConformance, gateInARun, startMute } from '../../../../test/conformance/secrets/gate.ts'
import { callOf, worldOf } from '../../../../test/harness/parts.ts'
import { useDatabase } from '../../../../test/harness/postgres.ts'
import type { Credential } from '../secret/credential.ts'
import unusedPostgres, { options } from './unused-postgres.ts'

const database = useDatabase()
const suffix = randomBytes(4).toString('hex')
const [one, two]: [Credential, Credential] = [
  { id: `kt_one_${suffix}`, parts: { user: `kt_one_${suffix}`, password: 'one' } },
  { id: `kt_two_${suffix}`, parts: { user: `kt_two_${suffix}`, password: 'two' } },
]

beforeAll(async () => {
  for (const { id, parts } of [one, two]) await database.pool.query(`CREATE ROLE ${id} LOGIN PASSWORD '${parts.password}'`)
})
afterAll(() => database.pool.query(`DROP ROLE ${one.id}, ${two.id}`))

const gate = (url = database.url) => unusedPostgres(options.parse({ admin: { env: 'ADMIN' } }), worldOf({ ADMIN: url }))
const look = (previous: Credential | null, current = two, since = Date.now()) =>
  gate().look(callOf(), { before: null, since, current, previous })
const connect = async ({ parts }: Credential) => {
  const url = new URL(database.url)
  url.username = parts.user ?? ''
  url.password = parts.password ?? ''
  const client = new Client({ connectionString: url.href })
  await client.connect()
  return client
}

test('sessions of the old role are waited for, those of the new one are not.', async () => {
  expect(await look(one)).toMatchObject({ works: true })
  expect(await look(null)).toMatchObject({ works: true })
  const [old, young] = [await connect(one), await connect(two)]
  expect(await look(one)).toEqual({ works: false, later: true, sentence: expect.stringContaining('there are 1 sessions of role "kt_one_') })
  await old.end()
  await expect.poll(() => look(one), { timeout: 60_000 }).toMatchObject({ works: true })
  await young.end()
})

test('of a role that stays the same, sessions from before the deployment are waited for.', async () => {
  const { rows } = await database.pool.query('SELECT extract(epoch FROM clock_timestamp()) * 1000 AS now')
  const before = Number(rows[0].now)
  const session = await connect(one)
  expect(await look(one, one, before)).toMatchObject({ works: true })
  expect(await look(one, one, before + 3_600_000)).toMatchObject({
    works: false,
    later: true,
    sentence: expect.stringContaining('before the deployment'),
  })
  await session.end()
})

test('a look beforehand needs a login.', async () => {
  expect(await gate().check(callOf())).toEqual([])
  expect(await gate('postgres://nobody:x@127.0.0.1:1/x').check(callOf())).toMatchObject([{ severity: 'fault' }])
})

gateConformance('unused-postgres', async () => {
  const mute = await startMute()
  const muted = `postgres://keyturn:s3cret-word@127.0.0.1:${mute.port}/x`
  let url = database.url
  let session: Client | null = null
  const sessions = async () =>
    (await database.pool.query('SELECT count(*)::int AS count FROM pg_stat_activity WHERE usename = $1', [one.id])).rows[0].count
  return {
    part: () => gate(url),
    asked: { before: null, since: Date.now(), current: two, previous: one },
    secrets: ['s3cret-word', database.url],
    state: async () => [await sessions(), (await database.pool.query('SELECT * FROM pg_authid WHERE rolname = $1', [one.id])).rows],
    make: {
      well: async () => {
        url = database.url
        await session?.end()
        session = null
        await expect.poll(sessions).toBe(0)
      },
      ill: async () => {
        session = await connect(one)
      },
      down: () => {
        url = 'postgres://keyturn:s3cret-word@127.0.0.1:1/x'
      },
      silent: () => {
        url = muted
      },
    },
    isAsked: () => mute.connections() > 0,
    close: async () => {
      await session?.end()
      await mute.close()
    },
  }
})

gateInARun('unused-postgres', async () => ({
  config: { gate: 'unused-postgres', admin: { env: 'ADMIN' } },
  env: { ADMIN: database.url },
  step: 'unused',
  close: async () => {},
}))
