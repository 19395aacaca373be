import { afterEach, beforeEach, expect, test } from 'vitest'
import { pgState } from '../../packages/core/src/databases/postgres.ts'
import { useDatabase } from '../harness/postgres.ts'
import { type Answered, addUser, openPeople, type People, setUp, signIn } from './server-people.ts'

const database = useDatabase()
let schemas = 0
let people: People
let ada: Answered['cookies']

beforeEach(async () => {
  people = await openPeople(pgState(database.pool, `fixation_${++schemas}`))
  ada = await setUp(people)
  await addUser(people, ada, 'mallory', 'viewer')
})
afterEach(() => people.close())

const whoIs = async (cookies: Answered['cookies']) =>
  ((await people.ask('GET', '/v1/session', { cookies })).body.user as { name: string } | null)?.name

test('a session that an attacker chose is not the one that a log-in makes.', async () => {
  const chosen = 'A'.repeat(43)
  const { cookies } = await signIn(people, 'ada', { cookies: { keyturn: chosen } })
  expect(cookies.keyturn).toMatch(/^[\w-]{43}$/)
  expect(cookies.keyturn).not.toBe(chosen)
  expect(await whoIs({ keyturn: chosen })).toBeUndefined()
})

test("an attacker's own session, planted in a browser, ends when the owner of the browser signs in.", async () => {
  const mallory = (await signIn(people, 'mallory')).cookies
  const { cookies } = await signIn(people, 'ada', { cookies: { keyturn: mallory.keyturn ?? '' } })
  expect([await whoIs(cookies), await whoIs(mallory)]).toEqual(['ada', undefined])
})

test('every log-in has a session of its own, and no session says whose it is.', async () => {
  const sessions = new Set<string | undefined>()
  for (const _ of Array(5)) sessions.add((await signIn(people, 'ada')).cookies.keyturn)
  expect(sessions.size).toBe(5)
})

test('of two cookies of the name none counts, in whichever order: a neighbour may have planted one.', async () => {
  const mallory = (await signIn(people, 'mallory')).cookies.keyturn
  for (const pair of [`keyturn=${mallory}; keyturn=${ada.keyturn}`, `keyturn=${ada.keyturn}; keyturn=${mallory}`])
    expect((await people.ask('GET', '/v1/session', { headers: { cookie: pair } })).body.user).toBeNull()
  for (const pair of [`xkeyturn=${mallory}; keyturn=${ada.keyturn}`, `keyturn=${ada.keyturn}; keyturnx=${mallory}`])
    expect((await people.ask('GET', '/v1/session', { headers: { cookie: pair } })).body.user).toMatchObject({ name: 'ada' })
})

test('over TLS a cookie without the prefix, which anybody near can plant, is nobody.', async () => {
  const secure = await openPeople(pgState(database.pool, `fixation_${schemas}`), { secure: true })
  const value = (await signIn(secure, 'mallory')).cookies['__Host-keyturn'] ?? ''
  expect((await secure.ask('GET', '/v1/session', { cookies: { keyturn: value } })).body.user).toBeNull()
  expect((await secure.ask('GET', '/v1/session', { cookies: { '__Host-keyturn': value } })).body.user).toMatchObject({ name: 'mallory' })
  await secure.close()
})

test('a session of a viewer does not become more by a change of role: it ends.', async () => {
  const { cookies } = await signIn(people, 'mallory')
  const users = (await people.ask('GET', '/v1/users', { cookies: ada })).body.items as { id: string; name: string }[]
  const id = users.find(({ name }) => name === 'mallory')?.id
  await people.ask('PATCH', `/v1/users/${id}`, { cookies: ada, body: { role: 'admin' } })
  expect(await whoIs(cookies)).toBeUndefined()
})
