import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { storeConformance } from '../../../../test/conformance/secrets/store.ts'
import { count } from '../../../../test/harness/counts.ts'
import { callOf, knock, worldOf } from '../../../../test/harness/parts.ts'
import { canStartPgBouncer, type PgBouncer, startPgBouncer } from '../../../../test/harness/pgbouncer.ts'
import { type PostgresServer, startPostgres } from '../../../../test/harness/server.ts'
import logins, { options as loginOptions } from '../gates/logins.ts'
import postgresRole, { options as roleOptions } from '../rotators/postgres-role.ts'
import postgresRoles, { options as rolesOptions } from '../rotators/postgres-roles.ts'
import type { Credential } from '../secret/credential.ts'
import { render } from '../secret/template.ts'
import pgbouncer, { options } from './pgbouncer.ts'

const folder = await mkdtemp(join(tmpdir(), 'keyturn-users-'))
afterAll(() => rm(folder, { recursive: true, force: true }))
let made = 0
const fileOf = async (text: string) => {
  const path = join(folder, `users-${++made}.txt`)
  await writeFile(path, text, { mode: 0o600 })
  return path
}
const written = async (text: string, values: Record<string, string | null>) => {
  const path = await fileOf(text)
  const store = pgbouncer(options.parse({ path }), worldOf({}))
  for (const _ of [1, 2]) expect(await store.write(callOf(), values)).toEqual({ version: null })
  for (const [name, held] of Object.entries(await store.look(callOf(), Object.keys(values)))) {
    const value = values[name] ?? null
    expect(held, name).toEqual(value === null ? null : { value })
  }
  return readFile(path, 'utf8')
}

storeConformance('pgbouncer', async () => {
  const path = await fileOf('; users\n"other" "x"\n')
  const lines = async () => (await readFile(path, 'utf8')).split('\n').filter((line) => line !== '')
  return {
    config: { store: 'pgbouncer', path },
    names: ['app', 'app_before'],
    read: async () =>
      Object.fromEntries(
        (await lines()).filter((line) => line.startsWith('"app')).map((line) => JSON.parse(`[${line.replace(' ', ',')}]`)),
      ),
    others: async () => (await lines()).filter((line) => !line.startsWith('"app')),
    close: async () => {},
  }
})

describe('what is written', () => {
  test('lines change where they stand, others and comments stay, new ones come at the end.', async () => {
    const text = '; users\n\n"other" "x" "old style"\n  "app"  "old"\nnot a line\n'
    expect(await written(text, { app: 'new', more: 'm' })).toBe('; users\n\n"other" "x" "old style"\n"app" "new"\nnot a line\n"more" "m"\n')
    expect(await written('"app" "old"', { app: 'new' })).toBe('"app" "new"')
    expect(await written('"app" "old"', { more: 'm' })).toBe('"app" "old"\n"more" "m"\n')
    expect(await written('', { app: 'new' })).toBe('"app" "new"\n')
    expect(await written('"app" "old"\n"other" "x"\n', { app: null })).toBe('"other" "x"\n')
  })
  test('a user that changes stands under a name of ours, and no second line of it stays.', async () => {
    const first = await written('"app_a" "by hand"\n"other" "x"\n', { current: 'app_a va', previous: null })
    expect(first).toBe('"other" "x"\n"app_a" "va" ; keyturn current\n')
    const second = await written(first, { current: 'app_b vb', previous: 'app_a va' })
    expect(second).toBe('"other" "x"\n"app_b" "vb" ; keyturn current\n"app_a" "va" ; keyturn previous\n')
    expect(await written(second, { current: 'app_b vb', previous: null })).toBe('"other" "x"\n"app_b" "vb" ; keyturn current\n')
    expect(await written('', { current: 'a "role" se"cret' })).toBe('"a ""role""" "se""cret" ; keyturn current\n')
  })
  test('what the file cannot hold is refused, and the file stays.', async () => {
    const path = await fileOf('"app" "old"\n')
    const store = pgbouncer(options.parse({ path }), worldOf({}))
    for (const values of [{ app: 'a\nb' }, { app: '' }, { 'a b': 'x' }, { one: 'app hunter2', two: 'app hunter3' }]) {
      const writing = store.write(callOf(), values)
      await expect(writing).rejects.toMatchObject({ code: 'ERR_OUTSIDE_REFUSED' })
      await expect(writing).rejects.not.toThrow(/hunter/)
    }
    expect(await readFile(path, 'utf8')).toBe('"app" "old"\n')
    expect((await store.check(callOf(), ['app', 'a b'])).map(({ severity }) => severity)).toEqual(['fault'])
  })
})

if (!canStartPgBouncer) console.warn('pgbouncer is not installed: the tests of the store pgbouncer with one are passed over.')

describe.skipIf(!canStartPgBouncer)('through a PgBouncer', () => {
  let postgres: PostgresServer
  let bouncer: PgBouncer
  let client: Client
  const verifierOf = (role: string) =>
    client.query('SELECT rolpassword AS kept FROM pg_authid WHERE rolname = $1', [role]).then(({ rows }) => String(rows[0].kept))
  const role = 'the role'

  const loadedAt = async () => {
    const session = new Client({ connectionString: postgres.url })
    await session.connect()
    const { rows } = await session.query('SELECT pg_conf_load_time()::text AS loaded')
    await session.end()
    return rows[0].loaded
  }

  beforeAll(async () => {
    postgres = await startPostgres()
    client = new Client({ connectionString: postgres.url })
    await client.connect()
    // PgBouncer cannot give a server that asks for the password itself what it does not have.
    const { rows } = await client.query('SELECT current_setting($1) AS file, pg_conf_load_time()::text AS loaded', ['hba_file'])
    await writeFile(rows[0].file, 'host all all 127.0.0.1/32 scram-sha-256\n')
    await client.query('SELECT pg_reload_conf()')
    // The server takes a moment; its new sessions say when it has.
    await vi.waitFor(async () => expect(await loadedAt()).not.toBe(rows[0].loaded), { timeout: 60_000 })
    await client.query(
      `CREATE ROLE app_a LOGIN PASSWORD 'from before'; CREATE ROLE app_b; CREATE ROLE "the role" LOGIN PASSWORD 'from before'`,
    )
    const users = `"the role" "${await verifierOf(role)}" ; keyturn only\n"app_a" "${await verifierOf('app_a')}"\n`
    bouncer = await startPgBouncer(Number(new URL(postgres.url).port), users)
  })
  afterAll(async () => {
    await bouncer?.stop()
    await client?.end()
    await postgres?.stop()
  })

  const world = () => worldOf({ ADMIN: postgres.url, CONSOLE: bouncer.console })
  const store = (more: object = {}) => pgbouncer(options.parse({ path: bouncer.file, console: { env: 'CONSOLE' }, ...more }), world())
  const look = (current: Credential) =>
    logins(loginOptions.parse({ url: `postgres://{user}:{password}@${bouncer.host}/postgres` })).look(callOf(), {
      before: null,
      since: 0,
      current,
      previous: null,
    })
  const logIn = async (current: Credential) => {
    const { works, sentence } = await look(current)
    if (!works) throw new Error(sentence)
  }

  test('two roles take turns, and a client that logs in through it without pause is never refused.', async () => {
    const rotator = postgresRoles(rolesOptions.parse({ admin: { env: 'ADMIN' }, roles: ['app_a', 'app_b'], endSessions: true }), world())
    const templates = { current: '{user} {verifier}', previous: '{previous.user} {previous.verifier}' }
    let current = await rotator.adopt!(callOf(), { user: 'app_a', password: 'from before' })
    const knocking = knock(() => logIn(current))
    for (let rotation = 0; rotation < count(2, 50); rotation++) {
      const previous = current
      const next = await rotator.create(callOf(), await rotator.propose!(callOf(), previous), previous)
      expect(await rotator.verify(callOf(), next)).toMatchObject({ works: true })
      await store().write(callOf(), render(templates, { current: next, previous, next: null }))
      await knocking.enough(1)
      current = next
      await knocking.enough(2)
      expect(await look(next)).toMatchObject({ works: true })
      await store().write(callOf(), render(templates, { current: next, previous: null, next: null }))
      await rotator.revoke(callOf(), previous, next)
      expect(await look(previous)).toMatchObject({ works: false })
    }
    const { tries, refused, why } = await knocking.stop()
    console.info(`pgbouncer, two roles: ${tries} log-ins, ${refused} refused`)
    expect(why).toEqual([])
  })

  test('of one role the new password is let in from the moment the file has it, and the old one no longer.', async () => {
    const rotator = postgresRole(roleOptions.parse({ admin: { env: 'ADMIN' }, role }), world())
    const old = await rotator.adopt!(callOf(), { password: 'from before' })
    await logIn(old)
    const next = await rotator.create(callOf(), await rotator.propose!(callOf(), old), old)
    // The log-in at PgBouncer is by its file, and its connection to the server is open: that says nothing.
    expect(await look(next)).toMatchObject({ works: false, later: true })
    // Made anew, it is refused by the server, after PgBouncer has let the client in.
    await store({ reconnect: true }).write(callOf(), { only: `${role} ${old.parts.verifier}` })
    expect(await look(old)).toMatchObject({ works: false, later: true })
    for (const _ of [1, 2]) await store({ reconnect: true }).write(callOf(), { only: `${role} ${next.parts.verifier}` })
    await expect.poll(() => look(next), { timeout: 60_000 }).toMatchObject({ works: true })
    expect(await look(old)).toMatchObject({ works: false })
    await rotator.reinstate!(callOf(), old)
    await store({ reconnect: true }).write(callOf(), { only: `${role} ${old.parts.verifier}` })
    await expect.poll(() => look(old), { timeout: 60_000 }).toMatchObject({ works: true })
  })

  test('a look beforehand asks its console.', async () => {
    expect(await store().check(callOf(), ['current'])).toEqual([])
    const other = pgbouncer(options.parse({ path: await fileOf(''), console: { env: 'CONSOLE' } }), world())
    expect(await other.check(callOf(), ['current'])).toMatchObject([
      { severity: 'warning', sentence: expect.stringContaining('another one') },
    ])
    const wrong = worldOf({ CONSOLE: bouncer.console.replace('console-of-the-test', 'hunter2') })
    const refused = await pgbouncer(options.parse({ path: bouncer.file, console: { env: 'CONSOLE' } }), wrong).check(callOf(), ['current'])
    expect(refused).toMatchObject([{ severity: 'fault', sentence: expect.stringMatching(/^the console of PgBouncer.*log-in failed/) }])
    expect(JSON.stringify(refused)).not.toContain('hunter2')
  })
})
