import { afterEach, beforeEach, expect, test } from 'vitest'
import { pgState } from '../../packages/core/src/databases/postgres.ts'
import { drawToken } from '../../packages/server/src/authentication/api-token.ts'
import { useDatabase } from '../harness/postgres.ts'
import { type Answered, openPeople, type People, setUp } from './server-people.ts'

const database = useDatabase()
let schemas = 0
let people: People
let other: People
let cookies: Answered['cookies']
let token: { readonly id: string; readonly secret: string }

beforeEach(async () => {
  people = await openPeople(pgState(database.pool, `replay_${++schemas}`))
  other = await openPeople(pgState(database.pool, `replay_${schemas}`))
  cookies = await setUp(people)
  const { body } = await people.ask('POST', '/v1/tokens', { cookies, body: { name: 'ci', role: 'admin' } })
  token = { id: String(body.id), secret: String(body.secret) }
})
afterEach(() => Promise.all([people.close(), other.close()]))

const uses = async (by: People, bearer: string) => (await by.ask('GET', '/v1/users', { bearer })).status

test('a token that was revoked is refused from the next request on, by every server, and each replay is on record.', async () => {
  expect([await uses(people, token.secret), await uses(other, token.secret)]).toEqual([200, 200])
  expect((await people.ask('DELETE', `/v1/tokens/${token.id}`, { cookies })).status).toBe(204)
  expect([await uses(people, token.secret), await uses(other, token.secret)]).toEqual([401, 401])
  // One of the same name is another token.
  await people.ask('POST', '/v1/tokens', { cookies, body: { name: 'ci', role: 'admin' } })
  expect(await uses(other, token.secret)).toBe(401)
  expect(await people.report()).toMatchObject([{ address: '203.0.113.7', count: 3, reasons: { token: 3 } }])
})

test('a request that a revoked token makes beside a valid session is refused: who sends a token means it.', async () => {
  await people.ask('DELETE', `/v1/tokens/${token.id}`, { cookies })
  expect((await people.ask('GET', '/v1/users', { bearer: token.secret, cookies })).status).toBe(401)
})

test('a token that nobody made, a mistyped one and its hash are nobody.', async () => {
  const { rows } = await database.pool.query(
    `SELECT encode(hash, 'hex') AS hex, encode(hash, 'base64') AS base64 FROM replay_${schemas}.api_token`,
  )
  const wrong = [
    drawToken(),
    `${token.secret}x`,
    token.secret.slice(0, -1),
    token.secret.toLowerCase(),
    rows[0].hex,
    rows[0].base64,
    token.id,
    '',
    'ci',
  ]
  for (const bearer of wrong) expect(await uses(people, bearer)).toBe(401)
  expect(await uses(people, token.secret)).toBe(200)
})

test('a token counts in its header only: not in the address, not in a cookie, not under another scheme.', async () => {
  const { secret } = token
  const places = [
    people.ask('GET', `/v1/users?access_token=${secret}`),
    people.ask('GET', `/v1/users?token=${secret}`),
    people.ask('GET', '/v1/users', { cookies: { keyturn: secret } }),
    people.ask('GET', '/v1/users', { headers: { authorization: `Basic ${Buffer.from(`ci:${secret}`).toString('base64')}` } }),
    people.ask('GET', '/v1/users', { headers: { authorization: secret } }),
    people.ask('GET', '/v1/users', { headers: { 'x-api-key': secret } }),
  ]
  for (const { status } of await Promise.all(places)) expect(status).toBe(401)
})

test('a token whose role in the database is no role of ours does nothing.', async () => {
  await expect(database.pool.query(`UPDATE replay_${schemas}.api_token SET role = 'root'`)).rejects.toMatchObject({ code: '23514' })
})

test('a session that has ended, by log-out, removal or a new password, cannot be replayed anywhere.', async () => {
  const whoIs = async (by: People) => (await by.ask('GET', '/v1/session', { cookies })).body.user
  expect([await whoIs(people), await whoIs(other)]).toEqual([expect.anything(), expect.anything()])
  await people.ask('DELETE', '/v1/session', { cookies })
  expect([await whoIs(people), await whoIs(other)]).toEqual([null, null])
})
