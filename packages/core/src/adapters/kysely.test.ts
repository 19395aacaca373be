import { CamelCasePlugin, type Generated, Kysely, PostgresDialect, sql } from 'kysely'
import { Pool } from 'pg'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { useUsers } from '../../../../test/adapters/world.ts'
import type { Keyturn } from '../keyturn.ts'
import { withFreshKeys } from '../with-fresh-keys.ts'
import kyselyPlugin from './kysely.ts'

interface Tables {
  teams: { id: number; label: string }
  users: { id: Generated<number>; email: string; token: string | null; note: string | null; picture: Uint8Array | null }
  configs: { id: string; user_id: number; encrypted_secret: string | null; label: string | null }
}
const world = useUsers()
let keyturn: Keyturn
let db: Kysely<Tables>
const connect = () => new PostgresDialect({ pool: new Pool({ connectionString: world.server.url, max: 2 }) })

beforeEach(async () => {
  keyturn = await world.open()
  db = new Kysely<Tables>({ dialect: connect(), plugins: [kyselyPlugin(keyturn)] })
})
afterEach(() => db.destroy())

const code = (expected: string) => ({ code: expected })
const kt1 = expect.stringMatching(/^kt1\./)
const ada = { id: 1, email: 'ada', token: 'secret of ada' }
const bob = { id: 2, email: 'bob', token: 'secret of bob' }
const all = () => db.selectFrom('users').selectAll().orderBy('id').execute()

describe('Writing and reading', () => {
  test('What is inserted is encrypted in the table and decrypted in what is returned and selected.', async () => {
    const given = { ...ada, note: 'a remark', picture: Buffer.from([1, 2, 255]) }
    expect(await db.insertInto('users').values(given).returningAll().executeTakeFirst()).toEqual(given)
    expect(await world.stored('token')).toEqual([kt1])
    expect(await world.stored('note')).toEqual([kt1])
    expect(((await world.stored('picture'))[0] as Buffer).subarray(0, 2).toString()).toBe('kt')
    expect(await all()).toEqual([given])
    await db
      .insertInto('users')
      .values([bob, { id: 3, email: 'c', note: 'third' }])
      .execute()
    expect(await all()).toMatchObject([ada, bob, { token: null, note: 'third' }])
  })

  test('An update binds the row that its where names, and NULL stays NULL.', async () => {
    await db.insertInto('users').values([ada, bob]).execute()
    const update = db.updateTable('users').set({ token: 'new', note: null }).where('id', '=', 1)
    expect(await update.returning(['token', 'note']).execute()).toEqual([{ token: 'new', note: null }])
    await db
      .updateTable('users as u')
      .set({ token: 'by alias' })
      .where((eb) => eb.and([eb('u.id', '=', 2), eb('u.email', '=', 'bob')]))
      .execute()
    expect(await all()).toMatchObject([{ token: 'new', note: null }, { token: 'by alias' }])
    await db.updateTable('users').set({ token: null, note: 'unbound' }).execute()
    expect(await all()).toMatchObject([
      { token: null, note: 'unbound' },
      { token: null, note: 'unbound' },
    ])
  })

  test('What is asked for to open a value is not in the rows, also in joins and under other names.', async () => {
    const id = world.newId()
    await db.insertInto('users').values(ada).execute()
    await db.insertInto('configs').values({ id, user_id: 1, encrypted_secret: 'below', label: 'x' }).execute()
    expect(await db.selectFrom('users').select('token').execute()).toEqual([{ token: ada.token }])
    expect(await db.selectFrom('users as u').select(['u.token as t', 'u.id as key']).execute()).toEqual([{ t: ada.token, key: 1 }])
    const joined = db.selectFrom('users as u').innerJoin('configs as c', 'c.user_id', 'u.id')
    expect(await joined.select(['u.token', 'c.encrypted_secret as secret', 'label']).execute()).toEqual([
      { token: ada.token, secret: 'below', label: 'x' },
    ])
    expect(await joined.selectAll('u').select('c.encrypted_secret').execute()).toMatchObject([{ ...ada, encrypted_secret: 'below' }])
    expect(await db.deleteFrom('users').using('configs').where('configs.label', '=', 'none').returning('users.token').execute()).toEqual([])
  })

  test('A bound column is not taken from another table that has one of the same name.', async () => {
    await world.server.pool.query('DROP TABLE IF EXISTS teams; CREATE TABLE teams (id int, label text)')
    await world.server.pool.query(`INSERT INTO teams VALUES (7, 'ada')`)
    await db.insertInto('users').values(ada).execute()
    const joined = db.selectFrom('users').innerJoin('teams', 'teams.label', 'users.email')
    const opened = { token: ada.token, id: 7 }
    expect(await joined.selectAll().execute()).toMatchObject([opened])
    expect(await joined.selectAll('users').selectAll('teams').execute()).toMatchObject([opened])
    expect(await joined.selectAll('users').select('teams.id').execute()).toMatchObject([opened])
    expect(await joined.select(['users.token', 'users.id as own', 'teams.id']).execute()).toEqual([{ ...opened, own: 1 }])
    expect(await db.selectFrom('users').selectAll().select('email as id').execute()).toMatchObject([{ token: ada.token, id: 'ada' }])
  })

  test('A row of a conflict is written where it is the row that was to be inserted, and refused where it may be another.', async () => {
    const upsert = (token: string) => db.insertInto('users').values({ ...ada, token, note: 'n' })
    await upsert('one').execute()
    await upsert('two')
      .onConflict((c) => c.column('id').doUpdateSet((eb) => ({ token: eb.ref('excluded.token') })))
      .execute()
    expect(await all()).toMatchObject([{ token: 'two' }])
    await upsert('three')
      .onConflict((c) => c.column('id').doUpdateSet({ token: 'given', note: 'changed' }))
      .execute()
    expect(await all()).toMatchObject([{ token: 'given', note: 'changed' }])
    const byEmail = upsert('four').onConflict((c) => c.column('email').doUpdateSet((eb) => ({ token: eb.ref('excluded.token') })))
    await expect(byEmail.execute()).rejects.toMatchObject(code('ERR_ROW_UNKNOWN'))
    const moving = upsert('four').onConflict((c) => c.column('id').doUpdateSet((eb) => ({ id: 9, token: eb.ref('excluded.token') })))
    await expect(moving.execute()).rejects.toMatchObject(code('ERR_ROW_UNKNOWN'))
    await upsert('five')
      .onConflict((c) => c.column('email').doUpdateSet((eb) => ({ note: eb.ref('excluded.note') })))
      .execute()
    expect(await all()).toMatchObject([{ token: 'given', note: 'n' }])
  })

  test('Writes within other queries are encrypted as well.', async () => {
    await db
      .with('made', (qb) => qb.insertInto('users').values(ada).returning('id'))
      .selectFrom('made')
      .selectAll()
      .execute()
    expect(await world.stored('token')).toEqual([kt1])
    expect(await all()).toMatchObject([ada])
  })

  test('CamelCasePlugin may stand before it.', async () => {
    const camel = new Kysely<{ configs: { id: string; userId: number; encryptedSecret: string } }>({
      dialect: connect(),
      plugins: [new CamelCasePlugin(), kyselyPlugin(keyturn)],
    })
    try {
      await db.insertInto('users').values(ada).execute()
      const row = { id: world.newId(), userId: 1, encryptedSecret: 'below' }
      await camel.insertInto('configs').values(row).execute()
      expect(await camel.selectFrom('configs').select('encryptedSecret').execute()).toEqual([{ encryptedSecret: 'below' }])
      expect(await db.selectFrom('configs').select('encrypted_secret').execute()).toEqual([{ encrypted_secret: 'below' }])
    } finally {
      await camel.destroy()
    }
  })

  test('Where it stands behind this plugin, nothing is written: its names are not known here yet.', async () => {
    const camel = new Kysely<{ configs: { id: string; userId: number; encryptedSecret: string } }>({
      dialect: connect(),
      plugins: [kyselyPlugin(keyturn), new CamelCasePlugin()],
    })
    try {
      await db.insertInto('users').values(ada).execute()
      const id = world.newId()
      await expect(camel.insertInto('configs').values({ id, userId: 1, encryptedSecret: 'secret-x' }).execute()).rejects.toMatchObject({
        ...code('ERR_USAGE'),
        message: expect.stringContaining('CamelCasePlugin'),
      })
      await expect(camel.updateTable('configs').set({ encryptedSecret: 'secret-x' }).execute()).rejects.toMatchObject(code('ERR_USAGE'))
      await camel
        .insertInto('configs')
        .values({ id, userId: 1 } as never)
        .execute()
    } finally {
      await camel.destroy()
    }
  })

  test('Texts that the field keeps are given as they stand; a value in another row does not open.', async () => {
    await db.insertInto('users').values([ada, bob]).execute()
    await world.server.pool.query(`UPDATE users SET note = 'none'`)
    expect(await db.selectFrom('users').select('note').distinct().execute()).toEqual([{ note: 'none' }])
    await world.server.pool.query('UPDATE users SET token = (SELECT token FROM users WHERE id = 1) WHERE id = 2')
    await expect(all()).rejects.toMatchObject(code('ERR_DECRYPT'))
  })
})

describe('Refusals', () => {
  test('A bound value is not written where the query does not say which row it is.', async () => {
    const refused = code('ERR_ROW_UNKNOWN')
    const set = { token: 'secret-x' }
    await db.insertInto('users').values(ada).execute()
    await expect(
      db
        .insertInto('users')
        .values({ email: 'x', ...set })
        .execute(),
    ).rejects.toMatchObject(refused)
    await expect(db.updateTable('users').set(set).execute()).rejects.toMatchObject(refused)
    await expect(db.updateTable('users').set(set).where('email', '=', 'ada').execute()).rejects.toMatchObject(refused)
    await expect(db.updateTable('users').set(set).where('id', 'in', [1]).execute()).rejects.toMatchObject(refused)
    await expect(
      db
        .updateTable('users')
        .set(set)
        .where((eb) => eb.or([eb('id', '=', 1), eb('id', '=', 2)]))
        .execute(),
    ).rejects.toMatchObject(refused)
    await expect(db.updateTable('users').set({ id: 7 }).where('id', '=', 1).execute()).rejects.toMatchObject(refused)
    await expect(db.selectFrom('users').select('token').distinct().execute()).rejects.toMatchObject(refused)
    const other = db.updateTable('users').from('configs').set(set).where(sql.ref('configs.label'), '=', 'x')
    await expect(other.execute()).rejects.toMatchObject(refused)
    await db.updateTable('users').set({ id: 7, token: 'moved' }).where('id', '=', 1).execute()
    expect(await all()).toMatchObject([{ id: 7, token: 'moved' }])
  })

  test('An encrypted column is not compared or sorted by; null can be asked for.', async () => {
    await db
      .insertInto('users')
      .values([ada, { id: 2, email: 'bob' }])
      .execute()
    const users = db.selectFrom('users').select('email')
    for (const query of [
      users.where('token', '=', 'secret of ada'),
      users.where('users.note', 'like', 'a%'),
      users.where((eb) => eb.not(eb('token', 'in', ['a']))),
      users.orderBy('token'),
      users.where(({ eb, refTuple, tuple }) => eb(refTuple('id', 'token'), 'in', [tuple(1, 'x')])),
      users.where((eb) => eb.exists(eb.selectFrom('configs').select('id').where('encrypted_secret', '=', 'x'))),
      db.updateTable('users').set({ email: 'x' }).where('token', '=', 'x'),
      db.deleteFrom('users').where('token', '=', 'x'),
      db.selectFrom('users').select('note').groupBy('note'),
    ])
      await expect((query as typeof users).execute()).rejects.toMatchObject(code('ERR_NOT_SEARCHABLE'))
    expect(await users.where('token', 'is', null).execute()).toEqual([{ email: 'bob' }])
    expect(await users.where('token', 'is not', null).execute()).toEqual([{ email: 'ada' }])
  })

  test('What the database computes is not written to an encrypted column.', async () => {
    const refused = code('ERR_USAGE')
    await db.insertInto('users').values(ada).execute()
    await expect(db.updateTable('users').set({ note: sql`upper(email)` }).execute()).rejects.toMatchObject(refused)
    await expect(
      db
        .updateTable('users')
        .set((eb) => ({ note: eb.ref('email') }))
        .execute(),
    ).rejects.toMatchObject(refused)
    await expect(db.insertInto('users').values({ id: 2, email: 'b', note: sql`'x'` }).execute()).rejects.toMatchObject(refused)
    const copied = db
      .insertInto('users')
      .columns(['email', 'note'])
      .expression((eb) => eb.selectFrom('users').select(['token', 'email']))
    await expect(copied.execute()).rejects.toMatchObject(refused)
    const whole = db.insertInto('users').expression((eb) => eb.selectFrom('users').selectAll())
    await expect(whole.execute()).rejects.toMatchObject(refused)
    await expect(
      db
        .updateTable('users')
        .set(sql.ref('note') as never, 'secret-x' as never)
        .execute(),
    ).rejects.toMatchObject(refused)
    const merged = db.mergeInto('users').using('configs', 'configs.user_id', 'users.id').whenMatched().thenUpdateSet({ note: 'x' })
    await expect(merged.execute()).rejects.toMatchObject(refused)
  })

  test('The conflict of an insert that writes no encrypted column is encrypted as well.', async () => {
    await db.insertInto('users').values(ada).execute()
    const copied = db
      .insertInto('users')
      .columns(['id', 'email'])
      .expression((eb) => eb.selectFrom('users').select(['id', 'email']))
    await copied.onConflict((c) => c.column('email').doUpdateSet({ note: 'given' })).execute()
    expect(await world.stored('note')).toEqual([kt1])
    expect(await all()).toMatchObject([{ token: ada.token, note: 'given' }])
    await expect(copied.onConflict((c) => c.column('id').doUpdateSet({ token: 'x' })).execute()).rejects.toMatchObject(
      code('ERR_ROW_UNKNOWN'),
    )
    await expect(db.insertInto('users').defaultValues().execute()).rejects.toMatchObject(code('23502'))
  })
})

describe('Keys', () => {
  test('A value under a key that this process has not loaded opens.', async () => {
    await db.insertInto('users').values(ada).execute()
    await world.rotate()
    expect(await all()).toMatchObject([ada])
  })

  test('A write under a key that the database refuses is made and tried again by withFreshKeys.', async () => {
    await db.insertInto('users').values(ada).execute()
    const keyId = await world.retire()
    const insert = () => db.insertInto('users').values(bob).execute()
    const error = await insert().catch((error: unknown) => error)
    expect(error).toMatchObject({ code: '23514', constraint: expect.stringContaining(keyId) })
    await withFreshKeys(keyturn, insert)
    expect(await all()).toMatchObject([ada, bob])
  })
})
