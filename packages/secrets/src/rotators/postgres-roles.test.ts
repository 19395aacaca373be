import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { Client } from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { rotatorConformance } from '../../../../test/conformance/secrets/rotator.ts'
import { count } from '../../../../test/harness/counts.ts'
import { callOf, knock, worldOf } from '../../../../test/harness/parts.ts'
import { useDatabase } from '../../../../test/harness/postgres.ts'
import { startProxy } from '../../../../test/harness/proxy.ts'
import type { Credential } from '../secret/credential.ts'
import postgresRoles, { options } from './postgres-roles.ts'

const database = useDatabase()
const suffix = randomBytes(4).toString('hex')
const [owner, a, b, outsider] = [`kt_owner_${suffix}`, `kt_a_${suffix}`, `kt_b_${suffix}`, `kt_out_${suffix}`]

const open = (more: object = {}, url = database.url) =>
  postgresRoles(options.parse({ admin: { env: 'ADMIN' }, roles: [a, b], ...more }), worldOf({ ADMIN: url }))
const connect = async ({ parts }: Credential) => {
  const url = new URL(database.url)
  url.username = parts.user ?? ''
  url.password = parts.password ?? ''
  const client = new Client({ connectionString: url.href })
  client.on('error', () => {})
  await client.connect()
  return client
}
const logIn = async (credential: Credential) => (await connect(credential)).end()
const roleOf = async (name: string) =>
  (await database.pool.query('SELECT rolcanlogin AS login, rolpassword AS kept FROM pg_authid WHERE rolname = $1', [name])).rows[0]
/** What the engine does first: a proposal that is sealed, then made. */
const made = async (current: Credential | null, rotator = open()) => {
  const proposed = await rotator.propose!(callOf(), current)
  return rotator.create(callOf(), proposed, current)
}

beforeAll(async () => {
  await database.pool.query(
    `CREATE ROLE ${owner}; CREATE ROLE ${a} IN ROLE ${owner}; CREATE ROLE ${b} IN ROLE ${owner}; CREATE ROLE ${outsider}`,
  )
})
beforeEach(async () => {
  for (const name of [a, b, outsider]) await database.pool.query(`ALTER ROLE ${name} NOLOGIN PASSWORD NULL VALID UNTIL 'infinity'`)
})
afterAll(async () => {
  await database.pool.query(`DROP ROLE IF EXISTS ${a}, ${b}, ${outsider}, ${owner}`)
})

rotatorConformance('postgres-roles', async () => {
  // Names as short as no secret is: the suite looks for what is longer.
  const [one, two] = [`a${suffix.slice(2)}`, `b${suffix.slice(2)}`]
  await database.pool.query(`CREATE ROLE ${one} LOGIN PASSWORD 'from before' IN ROLE ${owner}; CREATE ROLE ${two} IN ROLE ${owner}`)
  const { host, pathname } = new URL(database.url)
  return {
    config: { rotator: 'postgres-roles', admin: { env: 'ADMIN' }, roles: [one, two] },
    env: { ADMIN: database.url },
    first: { user: one, password: 'from before' },
    templates: { DSN: `postgres://{user}:{password}@${host}${pathname}` },
    login: async ({ DSN }) => {
      const client = new Client({ connectionString: DSN })
      client.on('error', () => {})
      return client.connect().then(
        () => client.end().then(() => true),
        () => false,
      )
    },
    live: async () => {
      const text = 'SELECT count(*)::int AS live FROM pg_authid WHERE rolname = ANY ($1) AND (rolcanlogin OR rolpassword IS NOT NULL)'
      return (await database.pool.query(text, [[one, two]])).rows[0].live
    },
    close: async () => void (await database.pool.query(`DROP ROLE ${one}, ${two}`)),
  }
})

test('the idle role gets the password, and the server only ever its verifier.', async () => {
  const first = await made(null)
  expect(first).toMatchObject({ id: a, parts: { user: a } })
  expect(await roleOf(a)).toEqual({ login: true, kept: first.parts.verifier })
  expect(first.parts.verifier).not.toContain(first.parts.password)
  await logIn(first)
  const second = await made(first)
  expect(second.id).toBe(b)
  await logIn(first)
  await logIn(second)
})

test('a client that logs in without pause is never refused, however often the roles take turns.', async () => {
  const rotator = open({ endSessions: true })
  let current = await made(null, rotator)
  const client = knock(() => logIn(current))
  for (let rotation = 0; rotation < count(3, 50); rotation++) {
    const call = callOf()
    const next = await rotator.propose!(call, current)
    await rotator.create(call, next, current)
    expect(await rotator.verify(call, next)).toMatchObject({ works: true })
    const previous = current
    await client.enough(1)
    current = next
    await client.enough(2)
    await rotator.revoke(call, previous, current)
    expect(await rotator.verify(call, previous)).toMatchObject({ works: false, later: false })
    expect(await roleOf(previous.id!)).toEqual({ login: false, kept: null })
  }
  const { tries, refused, why } = await client.stop()
  console.info(`postgres-roles: ${tries} log-ins, ${refused} refused`)
  expect(why).toEqual([])
})

test('every call may be made again.', async () => {
  const rotator = open()
  const call = callOf()
  const proposed = await rotator.propose!(call, null)
  for (const _ of [1, 2]) expect(await rotator.create(call, proposed, null)).toEqual(proposed)
  for (const _ of [1, 2]) await rotator.disable!(call, proposed)
  expect(await rotator.verify(call, proposed)).toMatchObject({ works: false, later: false })
  for (const _ of [1, 2]) await rotator.enable!(call, proposed)
  expect(await rotator.verify(call, proposed)).toMatchObject({ works: true })
  for (const _ of [1, 2, 3]) await rotator.revoke(call, proposed, null)
  expect(await roleOf(a)).toEqual({ login: false, kept: null })
  await rotator.revoke(call, { id: `kt_gone_${suffix}`, parts: {} }, proposed)
  await rotator.revoke(call, { id: a, parts: {} }, null)
})

describe('a role is left alone', () => {
  test('by a revocation that comes late: it holds another password by then.', async () => {
    const rotator = open()
    const [first, second] = [await made(null), await made(null)]
    await rotator.revoke(callOf(), first, null)
    await logIn(second)
  })
  test('by a revocation that names what must remain.', async () => {
    const first = await made(null)
    await expect(open().revoke(callOf(), { id: a, parts: {} }, first)).rejects.toMatchObject({ code: 'ERR_OUTSIDE_REFUSED' })
    await logIn(first)
  })
  test('by a proposal for the role in use, or for a third one.', async () => {
    const first = await made(null)
    await expect(open().create(callOf(), first, first)).rejects.toMatchObject({ code: 'ERR_OUTSIDE_REFUSED' })
    const third = { id: outsider, parts: { ...first.parts, user: outsider } }
    await expect(open().create(callOf(), third, first)).rejects.toMatchObject({ code: 'ERR_OUTSIDE_REFUSED' })
    expect(await roleOf(outsider)).toEqual({ login: false, kept: null })
  })
})

test('the sealed verifier must be one, for Postgres would take anything else for a password.', async () => {
  const proposed = await open().propose!(callOf(), null)
  const parts = { ...proposed.parts, verifier: 'SCRAM-SHA-256$4096:notb64$x:y' }
  await expect(open().create(callOf(), { id: a, parts }, null)).rejects.toMatchObject({ code: 'ERR_OUTSIDE_REFUSED' })
  expect(await roleOf(a)).toEqual({ login: false, kept: null })
})

test('no password is sent when passwords are changed, and an answer that is lost is uncertain and may be asked for again.', async () => {
  const { hostname: host, port } = new URL(database.url)
  const proxy = await startProxy({ host, port: Number(port) })
  const url = new URL(database.url)
  url.host = `127.0.0.1:${proxy.port}`
  const rotator = open({}, url.href)
  const next = await rotator.propose!(callOf(), null)
  proxy.onText(next.parts.password ?? '', 1, 'drop-before')
  proxy.onText(next.parts.verifier ?? '', 1, 'drop-answer')
  await expect(rotator.create(callOf(), next, null)).rejects.toMatchObject({ code: 'ERR_OUTSIDE_UNCERTAIN' })
  expect(await roleOf(a)).toEqual({ login: true, kept: next.parts.verifier })
  await rotator.create(callOf(), next, null)
  proxy.onText('NOLOGIN PASSWORD NULL', 1, 'drop-before')
  await expect(rotator.revoke(callOf(), next, null)).rejects.toMatchObject({ code: 'ERR_OUTSIDE_UNCERTAIN' })
  expect(await roleOf(a)).toEqual({ login: true, kept: next.parts.verifier })
  await rotator.revoke(callOf(), next, null)
  expect(await roleOf(a)).toEqual({ login: false, kept: null })
  expect(proxy.faults).toBe(2)
  await proxy.close()
})

test('a call to a server that does not answer ends with its signal.', async () => {
  const late = new AbortController()
  const silent = createServer((socket) => {
    // Read to its end, it closes with the client, and a reset is no fault of the test.
    socket.on('error', () => {}).resume()
    late.abort()
  })
  silent.listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const { port } = silent.address() as AddressInfo
  const next = await open().propose!(callOf(), null)
  const waiting = open({}, `postgres://x:y@127.0.0.1:${port}/z`).create(callOf({ signal: late.signal }), next, null)
  await expect(waiting).rejects.toMatchObject({ code: 'ERR_OUTSIDE_BUSY' })
  silent.close()
  expect(await open().check(callOf({ signal: late.signal }), null)).toEqual([{ severity: 'fault', sentence: expect.any(String) }])
})

test('sessions outlive a revocation unless they are to be ended.', async () => {
  const first = await made(null)
  const session = await connect(first)
  await open().revoke(callOf(), first, null)
  expect((await session.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
  expect(await open({}).lastUsed!(callOf(), first)).toBeGreaterThan(0)
  await open({ endSessions: true }).revoke(callOf(), first, null)
  await expect(session.query('SELECT 1')).rejects.toThrow()
  await session.end().catch(() => {})
  expect(await open({}).lastUsed!(callOf(), first)).toBeUndefined()
})

test('the role that is in use first is adopted with what the server keeps of it, from one of the two or not.', async () => {
  await database.pool.query(`ALTER ROLE ${outsider} LOGIN PASSWORD 'as it was'`)
  const adopted = await open().adopt!(callOf(), { user: outsider, password: 'as it was' })
  expect(adopted).toEqual({ id: outsider, parts: { user: outsider, password: 'as it was', verifier: (await roleOf(outsider)).kept } })
  expect((await made(adopted)).id).toBe(a)
  await open().revoke(callOf(), adopted, null)
  expect(await roleOf(outsider)).toEqual({ login: false, kept: null })
  await database.pool.query(`ALTER ROLE ${outsider} LOGIN PASSWORD 'another'`)
  await expect(open().adopt!(callOf(), { user: outsider, password: 'as it was' })).rejects.toMatchObject({ code: 'ERR_OUTSIDE_REFUSED' })
  await expect(open().adopt!(callOf(), { user: `kt_gone_${suffix}`, password: 'x' })).rejects.toMatchObject({ code: 'ERR_OUTSIDE_REFUSED' })
})

describe('a look before anything is done', () => {
  const sentences = async (current: Credential | null = null, rotator = open()) =>
    (await rotator.check(callOf(), current)).map(({ severity, sentence }) => `${severity}: ${sentence}`)

  test('finds nothing where all is well, and changes nothing.', async () => {
    expect(await sentences()).toEqual([])
    const first = await made(null)
    expect(await sentences(first)).toEqual([])
    expect(await roleOf(a)).toEqual({ login: true, kept: first.parts.verifier })
    expect(await roleOf(b)).toEqual({ login: false, kept: null })
  })
  test('finds a role that is missing, expired, in use or of other rights.', async () => {
    expect(await sentences(null, open({ roles: [a, `kt_gone_${suffix}`] }))).toEqual([
      expect.stringMatching(/^fault: there is no role "kt_gone/),
    ])
    await database.pool.query(`ALTER ROLE ${a} VALID UNTIL '2001-01-01'`)
    expect(await sentences()).toEqual([expect.stringMatching(/^fault: role "kt_a_.*VALID UNTIL/)])
    await database.pool.query(`ALTER ROLE ${a} VALID UNTIL 'infinity'`)
    const session = await connect(await made(null))
    await expect.poll(() => sentences(), { timeout: 60_000 }).toEqual([])
    expect(await sentences({ id: b, parts: {} })).toEqual([expect.stringMatching(/^fault: 1 sessions use role "kt_a_/)])
    await session.end()
    await expect
      .poll(() => sentences({ id: b, parts: {} }), { timeout: 60_000 })
      .toEqual([expect.stringMatching(/^warning: role "kt_a_.*can log in/)])
    expect(await sentences(null, open({ roles: [outsider, b] }))).toEqual([expect.stringMatching(/^warning: the roles differ/)])
  })
  test('finds that both could be the one in use.', async () => {
    await database.pool.query(`ALTER ROLE ${a} LOGIN; ALTER ROLE ${b} LOGIN`)
    expect(await sentences()).toEqual([expect.stringMatching(/^fault: .*both roles can log in/)])
    await expect(open().propose!(callOf(), null)).rejects.toMatchObject({ code: 'ERR_OUTSIDE_REFUSED' })
  })
  test('finds an administrator without the right, with a wrong password, of one of the roles, or out of reach.', async () => {
    await database.pool.query(`ALTER ROLE ${outsider} LOGIN PASSWORD 'no-right'`)
    const url = new URL(database.url)
    url.username = outsider
    url.password = 'no-right'
    const found = await sentences(null, open({}, url.href))
    expect(found).toEqual([
      expect.stringMatching(/^fault: .*may not change role "kt_a/),
      expect.stringMatching(/^fault: .*may not change role "kt_b/),
    ])
    url.password = 'hunter2hunter2'
    expect(await sentences(null, open({}, url.href))).toEqual([expect.stringMatching(/^fault: Postgres.*log-in failed \(28P01\)/)])
    expect(String(await sentences(null, open({}, url.href)))).not.toContain('hunter2')
    expect(await sentences(null, open({ roles: [a, outsider] }, url.href.replace('hunter2hunter2', 'no-right')))).toContainEqual(
      expect.stringMatching(/^fault: the administrator logs in as/),
    )
    await expect(made(null, open({}, 'postgres://x:y@127.0.0.1:1/z'))).rejects.toMatchObject({ code: 'ERR_OUTSIDE_BUSY' })
  })
})

test('options that cannot work are refused.', () => {
  const good = { admin: { env: 'ADMIN' }, roles: [a, b] }
  expect(options.safeParse(good).success).toBe(true)
  for (const bad of [
    { roles: [a, a] },
    { roles: [a] },
    { admin: 'postgres://x' },
    { address: 'postgres://u:p@h/d' },
    { address: 'http://h' },
    { other: 1 },
  ])
    expect(options.safeParse({ ...good, ...bad }).success, JSON.stringify(bad)).toBe(false)
})
