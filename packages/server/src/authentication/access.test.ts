import { describe, expect, test } from 'vitest'
import { type Answered, addUser, openPeople, type People, passwordOf, setUp, signIn } from '../../../../test/attacks/server-people.ts'
import { createPglite } from '../../../../test/harness/pglite.ts'
import { useDatabase } from '../../../../test/harness/postgres.ts'
import { pgliteState } from '../../../core/src/databases/pglite.ts'
import { pgState } from '../../../core/src/databases/postgres.ts'
import type { SqlState } from '../../../core/src/state/sql.ts'

const database = useDatabase()
let schemas = 0
/** Tables of their own for each test. */
const fresh = (): SqlState => pgState(database.pool, `people_${++schemas}`)

async function withPeople(work: (people: People, state: SqlState) => Promise<void>, state = fresh()): Promise<void> {
  const people = await openPeople(state)
  try {
    await work(people, state)
  } finally {
    await people.close()
  }
}
const eventsOf = async (state: SqlState) =>
  (await state.query(`SELECT actor, action, data FROM ${state.schema}.audit_event ORDER BY audit_event.seq`)).rows.map(
    ({ actor, action, data }) => ({ actor, action, ...JSON.parse(String(data)) }),
  )
const whoIs = async (people: People, cookies: Answered['cookies']) => (await people.ask('GET', '/v1/session', { cookies })).body.user

describe('set-up', () => {
  test('the first start gives a link, and its token makes the first admin, who is signed in', () =>
    withPeople(async (people, state) => {
      expect((await people.ask('GET', '/v1/session')).body).toEqual({ user: null, token: null, setup: true })
      const cookies = await setUp(people)
      expect(await whoIs(people, cookies)).toMatchObject({ name: 'ada', role: 'admin' })
      expect((await people.ask('GET', '/v1/session')).body).toEqual({ user: null, token: null, setup: false })
      expect(await eventsOf(state)).toEqual([
        { actor: 'user:ada', action: 'user.create', name: 'ada', role: 'admin', address: '203.0.113.7', by: 'set-up link' },
      ])
    }))

  test('the link is printed where nobody else is told of it', async () => {
    const { openAccess } = await import('./access.ts')
    const lines: unknown[] = []
    const log = { warn: (line: unknown) => lines.push(line) } as never
    const access = await openAccess({ state: fresh(), log, prefix: '/admin', secure: false })
    await access.close()
    expect(lines).toEqual([expect.stringMatching(/ \/admin\/setup#[\w-]{43}$/)])
  })

  test('a link makes one admin, once, also of two that use it at once', () =>
    withPeople(async (people, state) => {
      const body = (name: string) => ({ token: people.link, name, password: passwordOf(name) })
      const both = await Promise.all(['ada', 'bob'].map((name) => people.ask('POST', '/v1/setup', { body: body(name) })))
      expect(both.map(({ status }) => status).sort()).toEqual([201, 401])
      expect((await people.ask('POST', '/v1/setup', { body: body('eve') })).status).toBe(401)
      expect((await state.query(`SELECT count(*)::int AS n FROM ${state.schema}.user_account`)).rows).toEqual([{ n: 1 }])
    }))

  test('links of servers that start together make one admin, and none makes a second', async () => {
    const state = fresh()
    await withPeople(async (one) => {
      await withPeople(async (two) => {
        await setUp(one)
        const body = { token: two.link, name: 'eve', password: passwordOf('eve') }
        expect((await two.ask('POST', '/v1/setup', { body })).status).toBe(401)
      }, state)
      await withPeople(async (three) => expect(three.link).toBe(''), state)
    }, state)
  })

  test('without users, as after the last admin lost the password, the next start gives a link again, and tokens stay', () =>
    withPeople(async (people, state) => {
      const cookies = await setUp(people)
      const { body } = await people.ask('POST', '/v1/tokens', { cookies, body: { name: 'ci', role: 'viewer' } })
      await state.query(`DELETE FROM ${state.schema}.user_account`)
      expect(await whoIs(people, cookies)).toBeNull()
      await withPeople(async (next) => {
        expect(await whoIs(next, await setUp(next))).toMatchObject({ name: 'ada' })
        expect((await next.ask('GET', '/v1/session', { bearer: String(body.secret) })).body.token).toMatchObject({ name: 'ci' })
      }, state)
    }))

  test('a link ends after a day', () =>
    withPeople(async (people) => {
      people.pass(24 * 3600 + 1)
      const body = { token: people.link, name: 'ada', password: passwordOf('ada') }
      expect((await people.ask('POST', '/v1/setup', { body })).status).toBe(401)
    }))

  test('a password that is refused leaves the link as it was', () =>
    withPeople(async (people) => {
      const body = { token: people.link, name: 'ada', password: 'short' }
      expect(await people.ask('POST', '/v1/setup', { body })).toMatchObject({ status: 400, body: { field: '/password' } })
      await setUp(people)
    }))
})

describe('sessions', () => {
  test('cookies are out of reach of scripts and other sites, and of other hosts where there is TLS', async () => {
    const attributes = async (secure: boolean) => {
      const people = await openPeople(fresh(), { secure })
      const body = { token: people.link, name: 'ada', password: passwordOf('ada') }
      const { headers } = await people.ask('POST', '/v1/setup', { body })
      await people.close()
      return (headers['set-cookie'] as string[]).map((cookie) => cookie.replace(/=[\w-]{43};/, '=…;'))
    }
    expect(await attributes(true)).toEqual([
      '__Host-keyturn=…; Path=/; HttpOnly; SameSite=Strict; Secure',
      '__Host-keyturn-browser=…; Path=/; HttpOnly; SameSite=Strict; Secure; Max-Age=15552000',
    ])
    expect(await attributes(false)).toEqual([
      'keyturn=…; Path=/; HttpOnly; SameSite=Strict',
      'keyturn-browser=…; Path=/; HttpOnly; SameSite=Strict; Max-Age=15552000',
    ])
  })

  test('a session ends an hour after its last use, and twelve hours after it began', () =>
    withPeople(async (people) => {
      const idle = await setUp(people)
      people.pass(3599)
      const { cookies: busy } = await signIn(people, 'ada')
      people.pass(2)
      expect(await whoIs(people, idle)).toBeNull()
      for (const _ of Array(13)) {
        people.pass(3300)
        expect(await whoIs(people, busy)).toMatchObject({ name: 'ada' })
      }
      people.pass(301)
      expect(await whoIs(people, busy)).toBeNull()
      const { body } = await people.ask('GET', '/v1/users', { cookies: (await signIn(people, 'ada')).cookies })
      expect(body.items).toMatchObject([{ name: 'ada', lastSeenAt: expect.stringMatching(/^2026-/) }])
    }))

  test('signing out ends this session, or all of the user', () =>
    withPeople(async (people, state) => {
      const [one, two, three] = [
        await setUp(people),
        (await signIn(people, 'ada')).cookies,
        (await signIn(people, 'ADA', { password: passwordOf('ada') })).cookies,
      ]
      const out = await people.ask('DELETE', '/v1/session', { cookies: one })
      expect(out).toMatchObject({ status: 204, cookies: { keyturn: '' } })
      expect([await whoIs(people, one), await whoIs(people, two)]).toEqual([null, expect.anything()])
      expect((await people.ask('DELETE', '/v1/session?everywhere=true', { cookies: two })).status).toBe(204)
      expect([await whoIs(people, two), await whoIs(people, three)]).toEqual([null, null])
      expect((await eventsOf(state)).filter(({ action }) => action === 'session.end')).toMatchObject([
        { actor: 'user:ada', everywhere: false, count: 1 },
        { actor: 'user:ada', everywhere: true, count: 2 },
      ])
    }))

  test('of sessions, links, tokens and browsers only hashes are in the database', () =>
    withPeople(async (people, state) => {
      const cookies = await setUp(people)
      const made = await people.ask('POST', '/v1/tokens', { cookies, body: { name: 'ci', role: 'viewer' } })
      await signIn(people, 'ada', { password: 'a password that is wrong' })
      const { rows: tables } = await state.query('SELECT table_name FROM information_schema.tables WHERE table_schema = $1', [
        state.schema.replaceAll('"', ''),
      ])
      let text = ''
      for (const { table_name: table } of tables)
        for (const { line } of (await state.query(`SELECT t::text AS line FROM ${state.schema}.${table} t`)).rows) text += `${line}\n`
      const bytes = (secret: string) => Buffer.from(secret, 'base64url').toString('hex')
      const secrets = [people.link, ...Object.values(cookies), String(made.body.secret), passwordOf('ada'), 'a password that is wrong']
      expect(text).toContain('$argon2id$')
      expect(secrets.every((secret) => secret.length >= 20)).toBe(true)
      for (const secret of secrets) for (const form of [secret, bytes(secret)]) expect(text.includes(form)).toBe(false)
    }))
})

describe('users', () => {
  test('names are one whatever their case, and come in pages', () =>
    withPeople(async (people) => {
      const cookies = await setUp(people)
      for (const name of ['Zoe', 'bob', 'Cy']) await addUser(people, cookies, name, 'viewer')
      const taken = await people.ask('POST', '/v1/users', { cookies, body: { name: 'BOB', role: 'admin', password: passwordOf('x') } })
      expect(taken).toMatchObject({ status: 409, body: { code: 'ERR_NAME_TAKEN' } })
      const first = (await people.ask('GET', '/v1/users?limit=3', { cookies })).body
      expect(first.items).toMatchObject([{ name: 'ada' }, { name: 'bob' }, { name: 'Cy' }])
      const rest = (await people.ask('GET', `/v1/users?limit=3&after=${first.next}`, { cookies })).body
      expect(rest).toMatchObject({ items: [{ name: 'Zoe', role: 'viewer', lastSeenAt: null }], next: null })
      expect((await signIn(people, 'zOE')).status).toBe(401)
      expect((await signIn(people, 'zOE', { password: passwordOf('Zoe') })).status).toBe(201)
    }))

  test('a change of role or password ends the sessions, and renews that of who makes it', () =>
    withPeople(async (people, state) => {
      const ada = await setUp(people)
      const id = await addUser(people, ada, 'bob', 'admin')
      const bob = (await signIn(people, 'bob')).cookies
      const changed = await people.ask('PATCH', `/v1/users/${id}`, { cookies: ada, body: { role: 'operator' } })
      expect(changed).toMatchObject({ status: 200, body: { name: 'bob', role: 'operator' } })
      expect(await whoIs(people, bob)).toBeNull()
      expect(await whoIs(people, ada)).toMatchObject({ name: 'ada' })
      const adaId = String((await people.ask('GET', '/v1/session', { cookies: ada })).body.user?.['id' as never])
      const own = await people.ask('PATCH', `/v1/users/${adaId}`, { cookies: ada, body: { password: 'another long password' } })
      expect(await whoIs(people, ada)).toBeNull()
      expect(await whoIs(people, own.cookies)).toMatchObject({ name: 'ada' })
      expect((await signIn(people, 'ada')).status).toBe(401)
      expect((await signIn(people, 'ada', { password: 'another long password' })).status).toBe(201)
      expect((await eventsOf(state)).filter(({ action }) => action === 'user.change')).toMatchObject([
        { actor: 'user:ada', name: 'bob', changed: ['role'], role: 'operator', sessions: 1 },
        { actor: 'user:ada', name: 'ada', changed: ['password'], role: 'admin', sessions: 1 },
      ])
    }))

  test('everybody can change their own password, who knows it', () =>
    withPeople(async (people) => {
      await addUser(people, await setUp(people), 'bob', 'viewer')
      const { cookies } = await signIn(people, 'bob')
      const change = (password: string, newPassword: string) =>
        people.ask('PATCH', '/v1/session', { cookies, body: { password, newPassword } })
      expect(await change('what is not the password', 'a new long password')).toMatchObject({ status: 403, body: { field: '/password' } })
      expect(await change(passwordOf('bob'), 'short')).toMatchObject({ status: 400, body: { field: '/newPassword' } })
      const changed = await change(passwordOf('bob'), 'a new long password')
      expect(changed).toMatchObject({ status: 200, body: { user: { name: 'bob' } } })
      expect([await whoIs(people, cookies), await whoIs(people, changed.cookies)]).toEqual([null, expect.anything()])
      expect((await signIn(people, 'bob', { password: 'a new long password' })).status).toBe(201)
    }))

  test('the last admin cannot be removed or demoted, also not by two who do it to each other at once', () =>
    withPeople(async (people, state) => {
      const ada = await setUp(people)
      const bobId = await addUser(people, ada, 'bob', 'admin')
      const bob = (await signIn(people, 'bob')).cookies
      const adaId = (await people.ask('GET', '/v1/users', { cookies: ada })).body.items?.[0 as never]?.['id' as never]
      const both = await Promise.all([
        people.ask('DELETE', `/v1/users/${bobId}`, { cookies: ada }),
        people.ask('PATCH', `/v1/users/${adaId}`, { cookies: bob, body: { role: 'viewer' } }),
      ])
      // The second one is refused as the last admin's, or because its own session has ended by then.
      expect(both.filter(({ status }) => status < 300)).toHaveLength(1)
      const { rows } = await state.query(`SELECT id FROM ${state.schema}.user_account WHERE role = 'admin'`)
      expect(rows).toHaveLength(1)
      const cookies = (await signIn(people, rows[0]?.id === bobId ? 'bob' : 'ada')).cookies
      for (const [method, body] of [['DELETE'], ['PATCH', { role: 'operator' }]] as const) {
        const refused = await people.ask(method, `/v1/users/${rows[0]?.id}`, { cookies, ...(body && { body }) })
        expect(refused).toMatchObject({ status: 409, body: { code: 'ERR_LAST_ADMIN' } })
      }
    }))

  test('a password that is changed while somebody signs in with the old one lets nobody in', () =>
    withPeople(async (people, state) => {
      const ada = await setUp(people)
      const id = await addUser(people, ada, 'bob', 'operator')
      let meanwhile = async () => {}
      const slow: SqlState = {
        ...state,
        query: async (text, values) => {
          const result = await state.query(text, values)
          if (text.includes('password FROM')) await meanwhile()
          return result
        },
      }
      await withPeople(async (late) => {
        meanwhile = async () => {
          meanwhile = async () => {}
          await people.ask('PATCH', `/v1/users/${id}`, { cookies: ada, body: { password: 'another long password' } })
        }
        expect(await signIn(late, 'bob')).toMatchObject({ status: 401, cookies: {} })
        const { rows } = await state.query(`SELECT 1 FROM ${state.schema}.user_session WHERE user_id = $1::text`, [id])
        expect(rows).toEqual([])
        expect((await signIn(late, 'bob', { password: 'another long password' })).status).toBe(201)
      }, slow)
    }))

  test('a user who is removed is nobody at once, and the id leads nowhere', () =>
    withPeople(async (people) => {
      const ada = await setUp(people)
      const id = await addUser(people, ada, 'bob', 'operator')
      const bob = (await signIn(people, 'bob')).cookies
      expect((await people.ask('DELETE', `/v1/users/${id}`, { cookies: ada })).status).toBe(204)
      expect(await whoIs(people, bob)).toBeNull()
      expect((await signIn(people, 'bob')).status).toBe(401)
      expect((await people.ask('PATCH', `/v1/users/${id}`, { cookies: ada, body: { role: 'admin' } })).status).toBe(404)
    }))

  test('a hash of older parameters is made anew when its password is used', () =>
    withPeople(async (people, state) => {
      await setUp(people)
      const argon2 = await import('@node-rs/argon2')
      const old = await argon2.hash(passwordOf('ada'), { memoryCost: 8192, timeCost: 1, parallelism: 1 })
      await state.query(`UPDATE ${state.schema}.user_account SET password = $1::text`, [old])
      expect((await signIn(people, 'ada', { password: 'a wrong password' })).status).toBe(401)
      const stored = async () => (await state.query(`SELECT password FROM ${state.schema}.user_account`)).rows[0]?.password
      expect(await stored()).toBe(old)
      expect((await signIn(people, 'ada')).status).toBe(201)
      expect(await stored()).toMatch(/m=19456,t=2,p=1/)
      expect((await signIn(people, 'ada')).status).toBe(201)
    }))
})

describe('tokens', () => {
  test('a token is shown once, acts with its role, and says when it was used last', () =>
    withPeople(async (people, state) => {
      const cookies = await setUp(people)
      const { status, body: made } = await people.ask('POST', '/v1/tokens', { cookies, body: { name: 'ci', role: 'admin' } })
      expect([status, made]).toMatchObject([201, { name: 'ci', role: 'admin', createdBy: 'user:ada', expiresAt: null, lastUsedAt: null }])
      const bearer = String(made.secret)
      expect((await people.ask('GET', '/v1/session', { bearer })).body).toEqual({
        user: null,
        token: { id: made.id, name: 'ci' },
        setup: false,
      })
      const listed = async () => (await people.ask('GET', '/v1/tokens', { bearer, headers: { 'x-keyturn': '' } })).body
      const { secret, ...item } = made
      expect(await listed()).toMatchObject({ items: [{ ...item, lastUsedAt: expect.any(String) }], next: null })
      expect(JSON.stringify(await listed())).not.toContain('kt_')
      const usedAt = async () => (await listed()).items?.[0 as never]?.['lastUsedAt' as never]
      const before = await usedAt()
      people.pass(59)
      expect(await usedAt()).toBe(before)
      people.pass(2)
      expect(await usedAt()).not.toBe(before)
      const taken = await people.ask('POST', '/v1/tokens', { bearer, body: { name: 'CI', role: 'viewer' } })
      expect(taken).toMatchObject({ status: 409, body: { code: 'ERR_NAME_TAKEN' } })
      expect((await eventsOf(state)).filter(({ action }) => action === 'token.create')).toEqual([
        { actor: 'user:ada', action: 'token.create', name: 'ci', role: 'admin', expiresAt: null },
      ])
    }))

  test('a token ends when it expires, and cannot be made to have expired', () =>
    withPeople(async (people) => {
      const cookies = await setUp(people)
      const make = (expiresAt: string) => people.ask('POST', '/v1/tokens', { cookies, body: { name: 'ci', role: 'viewer', expiresAt } })
      expect(await make('2026-01-01T00:00:00Z')).toMatchObject({ status: 400, body: { field: '/expiresAt' } })
      for (const wrong of ['tomorrow', '2027-01-01', '2027-01-01T00:00:00+01:00', '99999-01-01T00:00:00Z'])
        expect((await make(wrong)).status).toBe(400)
      const { body } = await make('2099-01-01T00:00:00Z')
      expect(body).toMatchObject({ expiresAt: '2099-01-01T00:00:00.000Z' })
      const bearer = String(body.secret)
      expect((await people.ask('GET', '/v1/session', { bearer })).body.token).not.toBeNull()
      people.pass(75 * 366 * 86_400)
      expect((await people.ask('GET', '/v1/session', { bearer })).body.token).toBeNull()
      people.pass(-75 * 366 * 86_400)
    }))

  test('a token has no session and no password', () =>
    withPeople(async (people) => {
      const cookies = await setUp(people)
      const bearer = String((await people.ask('POST', '/v1/tokens', { cookies, body: { name: 'ci', role: 'admin' } })).body.secret)
      expect((await people.ask('DELETE', '/v1/session', { bearer })).status).toBe(403)
      const caller = await people.access.callerOf({ headers: { authorization: `Bearer ${bearer}` }, method: 'GET' } as never)
      expect(caller).toMatchObject({ kind: 'token', actor: 'token:ci' })
      expect(await people.access.passwordHolds(caller as never, passwordOf('ada'))).toBe(false)
    }))
})

test('an embedded database keeps users as well', async () => {
  const pglite = await createPglite()
  await withPeople(async (people, state) => {
    const cookies = await setUp(people)
    await addUser(people, cookies, 'bob', 'viewer')
    expect((await signIn(people, 'bob', { password: 'a wrong password' })).status).toBe(401)
    expect((await signIn(people, 'bob')).status).toBe(201)
    expect(await people.report()).toMatchObject([{ count: 1, reasons: { password: 1 }, users: { bob: 1 } }])
    expect((await eventsOf(state)).map(({ action }) => action)).toContain('session.create')
  }, pgliteState(pglite))
  await pglite.close()
})
