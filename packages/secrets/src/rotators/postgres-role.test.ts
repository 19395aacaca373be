import { randomBytes } from 'node:crypto'
import { Client } from 'pg'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { rotatorConformance } from '../../../../test/conformance/secrets/rotator.ts'
import { count } from '../../../../test/harness/counts.ts'
import { callOf, knock, worldOf } from '../../../../test/harness/parts.ts'
import { useDatabase } from '../../../../test/harness/postgres.ts'
import type { Credential } from '../secret/credential.ts'
import postgresRole, { options } from './postgres-role.ts'

const database = useDatabase()
const suffix = randomBytes(4).toString('hex')
// A name that must be quoted, and an administrator as managed servers have one, who may not read what is kept.
const [role, modest] = [`kt "app" ${suffix}`, `kt_modest_${suffix}`]
const quotedRole = `"${role.replaceAll('"', '""')}"`

const urlOf = (user: string, password: string) => {
  const url = new URL(database.url)
  url.username = encodeURIComponent(user)
  url.password = encodeURIComponent(password)
  return url.href
}
const open = (url = database.url, more: object = {}) =>
  postgresRole(options.parse({ admin: { env: 'ADMIN' }, role, ...more }), worldOf({ ADMIN: url }))
const logIn = async (password: string) => {
  const client = new Client({ connectionString: urlOf(role, password) })
  client.on('error', () => {})
  await client.connect()
  await client.end()
}
const first: Credential = { id: null, parts: { user: role, password: 'as it was' } }
const kept = async () => (await database.pool.query('SELECT rolpassword AS kept FROM pg_authid WHERE rolname = $1', [role])).rows[0].kept

beforeAll(async () => {
  await database.pool.query(
    `CREATE ROLE ${quotedRole} LOGIN; CREATE ROLE ${modest} LOGIN CREATEROLE PASSWORD 'modest'; GRANT ${quotedRole} TO ${modest} WITH ADMIN OPTION`,
  )
})
beforeEach(() => database.pool.query(`ALTER ROLE ${quotedRole} LOGIN PASSWORD 'as it was' VALID UNTIL 'infinity'`))
afterAll(() => database.pool.query(`DROP ROLE ${quotedRole}, ${modest}`))

rotatorConformance('postgres-role', async () => {
  // A name as short as no secret is: the suite looks for what is longer.
  const only = `c${suffix.slice(2)}`
  await database.pool.query(`CREATE ROLE ${only} LOGIN PASSWORD 'from before'`)
  const { host, pathname } = new URL(database.url)
  return {
    config: { rotator: 'postgres-role', admin: { env: 'ADMIN' }, role: only },
    env: { ADMIN: database.url },
    first: { user: only, password: 'from before' },
    templates: { DSN: `postgres://{user}:{password}@${host}${pathname}` },
    login: async ({ DSN }) => {
      const client = new Client({ connectionString: DSN })
      client.on('error', () => {})
      return client.connect().then(
        () => client.end().then(() => true),
        () => false,
      )
    },
    live: async () =>
      (await database.pool.query('SELECT count(rolpassword)::int AS live FROM pg_authid WHERE rolname = $1', [only])).rows[0].live,
    close: async () => void (await database.pool.query(`DROP ROLE ${only}`)),
  }
})

test.each([
  ['an administrator who may read what is kept', () => open()],
  ['one who may not', () => open(urlOf(modest, 'modest'))],
])('the password changes at once, can be taken back, and every call may be made again: %s.', async (_, opened) => {
  const rotator = opened()
  const call = callOf()
  expect(await rotator.check(call, first)).toEqual([])
  const adopted = await rotator.adopt!(call, first.parts)
  expect(adopted.parts).toMatchObject(first.parts)
  const next = await rotator.propose!(call, adopted)
  for (const _ of [1, 2]) expect(await rotator.create(call, next, adopted)).toEqual(next)
  expect(await kept()).toBe(next.parts.verifier)
  expect(await rotator.verify(call, next)).toMatchObject({ works: true })
  expect(await rotator.verify(call, adopted)).toMatchObject({ works: false, later: false })
  for (const _ of [1, 2]) await rotator.reinstate!(call, adopted)
  expect(await rotator.verify(call, adopted)).toMatchObject({ works: true })
  expect(await rotator.verify(call, next)).toMatchObject({ works: false })
})

test('the verifier that stood there stands there again, byte for byte.', async () => {
  const before = await kept()
  const adopted = await open().adopt!(callOf(), first.parts)
  expect(adopted.parts.verifier).toBe(before)
  await open().create(callOf(), await open().propose!(callOf(), adopted), adopted)
  await open().reinstate!(callOf(), adopted)
  expect(await kept()).toBe(before)
})

test('a password that is not the one in use is not adopted.', async () => {
  for (const url of [database.url, urlOf(modest, 'modest')]) {
    const adopting = open(url).adopt!(callOf(), { password: 'hunter2hunter2' })
    await expect(adopting).rejects.toMatchObject({ code: 'ERR_OUTSIDE_REFUSED' })
    await expect(adopting).rejects.not.toThrow(/hunter2/)
  }
})

test('what is revoked makes way for its successor, unless another password stands there.', async () => {
  const [rotator, call] = [open(), callOf()]
  const next = await rotator.create(call, await rotator.propose!(call, first), first)
  await rotator.revoke(call, first, next)
  expect(await kept()).toBe(next.parts.verifier)
  for (const _ of [1, 2]) await rotator.revoke(call, next, first)
  await logIn('as it was')
  await database.pool.query(`ALTER ROLE ${quotedRole} PASSWORD 'by hand'`)
  await rotator.revoke(call, first, next)
  await rotator.revoke(call, next, null)
  await logIn('by hand')
  await rotator.reinstate!(call, first)
  for (const _ of [1, 2]) await rotator.revoke(call, first, null)
  expect(await kept()).toBeNull()
})

test('a client is refused only between the change and the moment it has the new password.', async () => {
  const rotator = open()
  let current = first
  const client = knock(() => logIn(current.parts.password ?? ''))
  const gaps: number[] = []
  for (let rotation = 0; rotation < count(3, 50); rotation++) {
    const call = callOf()
    const next = await rotator.propose!(call, current)
    const before = performance.now()
    await rotator.create(call, next, current)
    expect(await rotator.verify(call, next)).toMatchObject({ works: true })
    current = next
    gaps.push(performance.now() - before)
    // One try may still have the old password in its hands.
    await client.enough(1)
    await logIn(current.parts.password ?? '')
  }
  const { tries, refused, gapMs } = await client.stop()
  console.info(
    `postgres-role: ${tries} log-ins, ${refused} refused; the old password is dead for ${Math.round(Math.max(...gaps))} ms before the client`,
  )
  console.info(`postgres-role: has the new one; the longest gap that the client saw: ${Math.round(gapMs)} ms`)
  await expect(logIn(current.parts.password ?? '')).resolves.toBeUndefined()
})

test('a look finds a role that is missing, may not log in or is the administrator.', async () => {
  const sentences = async (rotator = open()) => (await rotator.check(callOf(), null)).map(({ sentence }) => sentence)
  expect(await sentences(open(database.url, { role: `kt_gone_${suffix}` }))).toEqual([expect.stringMatching(/^there is no role/)])
  await database.pool.query(`ALTER ROLE ${quotedRole} NOLOGIN VALID UNTIL '2001-01-01'`)
  expect(await sentences()).toEqual([expect.stringMatching(/may not log in/), expect.stringMatching(/VALID UNTIL/)])
  expect(await sentences(open(urlOf(modest, 'modest'), { role: modest }))).toContainEqual(expect.stringMatching(/administrator logs in as/))
})
