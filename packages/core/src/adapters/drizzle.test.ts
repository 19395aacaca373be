import { eq, isNull, relations, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { integer, pgTable, serial, text, uuid } from 'drizzle-orm/pg-core'
import { beforeEach, describe, expect, test } from 'vitest'
import { useUsers } from '../../../../test/adapters/world.ts'
import type { Keyturn } from '../keyturn.ts'
import { withFreshKeys } from '../with-fresh-keys.ts'
import drizzleColumn from './drizzle.ts'

const world = useUsers()
let keyturn: Keyturn
beforeEach(async () => {
  keyturn = await world.open()
})

// Asked each time: a schema is made once, and each test has a configuration of its own.
const schema = () => {
  const users = pgTable('users', {
    id: serial('id').primaryKey(),
    email: text('email').notNull(),
    token: text('token'),
    note: drizzleColumn(() => keyturn.field('user.note'))('note'),
    picture: drizzleColumn(() => keyturn.field('user.picture'), { bytes: true })('picture'),
  })
  const configs = pgTable('configs', { id: uuid('id').primaryKey(), userId: integer('user_id').notNull(), label: text('label') })
  const configRelations = relations(configs, ({ one }) => ({ user: one(users, { fields: [configs.userId], references: [users.id] }) }))
  return { users, configs, configRelations }
}
const connect = () => {
  const tables = schema()
  return { db: drizzle(world.server.pool, { schema: tables }), ...tables }
}
const code = (expected: string) => expect.objectContaining({ code: expected })
const ada = { id: 1, email: 'ada', note: 'a remark', picture: 'drawn' }

describe('A Drizzle column', () => {
  test('is encrypted in the table and decrypted in the application, as text and as bytes.', async () => {
    const { db, users } = connect()
    expect(await db.insert(users).values(ada).returning()).toEqual([{ ...ada, token: null }])
    expect(await world.stored('note')).toEqual([expect.stringMatching(/^kt1\./)])
    expect(((await world.stored('picture'))[0] as Buffer).subarray(0, 2).toString()).toBe('kt')
    await db.update(users).set({ note: 'another' }).where(eq(users.id, 1))
    expect(await db.select({ remark: users.note }).from(users)).toEqual([{ remark: 'another' }])
  })

  test('leaves NULL as NULL, by which it can be looked for; nothing else finds anything.', async () => {
    const { db, users } = connect()
    await db.insert(users).values([{ email: 'a' }, { email: 'b', note: 'set' }, { email: 'c', note: null }])
    expect((await world.stored('note')).map((stored) => stored === null)).toEqual([true, false, true])
    expect(await db.select({ email: users.email }).from(users).where(isNull(users.note)).orderBy(users.email)).toEqual([
      { email: 'a' },
      { email: 'c' },
    ])
    expect(await db.select().from(users).where(eq(users.note, 'set'))).toEqual([])
  })

  test('is encrypted anew at each call of a prepared statement, and NULL stays NULL there.', async () => {
    const { db, users } = connect()
    const values = { email: sql.placeholder('email'), note: sql.placeholder('note'), picture: sql.placeholder('picture') }
    const insert = db.insert(users).values(values).prepare('insert_users')
    for (const email of ['a', 'b']) await insert.execute({ email, note: 'set', picture: 'drawn' })
    await insert.execute({ email: 'c', note: null, picture: null })
    const [a, b, c] = await world.stored('note')
    expect([a, b, c]).toEqual([expect.stringMatching(/^kt1\./), expect.stringMatching(/^kt1\./), null])
    expect(a).not.toBe(b)
    const upsert = db.insert(users).values({ id: 1, email: 'a', note: 'x' })
    await upsert.onConflictDoUpdate({ target: users.id, set: { note: 'given' } })
    await db
      .insert(users)
      .values({ id: 2, email: 'b', note: 'excluded' })
      .onConflictDoUpdate({ target: users.id, set: { note: sql`excluded.note` } })
    expect(await db.select({ note: users.note, picture: users.picture }).from(users).orderBy(users.email)).toEqual([
      { note: 'given', picture: 'drawn' },
      { note: 'excluded', picture: 'drawn' },
      { note: null, picture: null },
    ])
  })

  test('is decrypted in relational queries, which bring rows as JSON.', async () => {
    const { db, users, configs } = connect()
    await db.insert(users).values(ada)
    await db.insert(configs).values({ id: world.newId(), userId: 1 })
    expect(await db.query.configs.findFirst({ with: { user: true } })).toMatchObject({ user: ada })
  })

  test('gives what the field keeps as it stands, and refuses what does not open.', async () => {
    const { db, users } = connect()
    await db.insert(users).values({ email: 'a' })
    await db.execute(sql`UPDATE users SET note = 'none'`)
    expect(await db.select({ note: users.note }).from(users)).toEqual([{ note: 'none' }])
    await db.execute(sql`UPDATE users SET note = 'planted'`)
    await expect(db.select().from(users)).rejects.toMatchObject({ code: 'ERR_DECRYPT' })
  })

  test('is refused for a bound field, when it is declared or first used.', async () => {
    expect(() => drizzleColumn(keyturn.field('user.token'))).toThrow(code('ERR_USAGE'))
    const users = pgTable('users', { email: text('email'), token: drizzleColumn(() => keyturn.field('user.token'))('token') })
    const { db } = connect()
    const insert = async () => await db.insert(users).values({ email: 'a', token: 'secret-a' })
    const error = await insert().catch((error: Error) => error)
    expect(String((error as Error).message)).toContain('bound to "id"')
    expect(await world.stored('token')).toEqual([])
  })
})

describe('withFreshKeys', () => {
  test('loads a key that is new, and reads again.', async () => {
    const { db, users } = connect()
    await db.insert(users).values(ada)
    await world.rotate()
    await expect(db.select().from(users)).rejects.toMatchObject({ code: 'ERR_KEY_NOT_LOADED' })
    expect(await withFreshKeys(keyturn, () => db.select({ note: users.note }).from(users))).toEqual([{ note: ada.note }])
    expect(await db.select({ note: users.note }).from(users)).toEqual([{ note: ada.note }])
  })

  test('loads the new key when the database refuses the old one, and writes again, a transaction from its beginning.', async () => {
    const { db, users } = connect()
    await db.insert(users).values(ada)
    await world.retire()
    const work = () =>
      db.transaction(async (tx) => {
        await tx.insert(users).values({ email: 'bob', note: 'first' })
        await tx.update(users).set({ note: 'after' }).where(eq(users.id, 1))
      })
    await withFreshKeys(keyturn, work)
    expect(await db.select({ email: users.email, note: users.note }).from(users).orderBy(users.email)).toEqual([
      { email: 'ada', note: 'after' },
      { email: 'bob', note: 'first' },
    ])
  })

  test('says ERR_KEY_FENCED, without the row that the database quotes, when the key is refused again.', async () => {
    const { db, users } = connect()
    await db.insert(users).values(ada)
    const [stored] = await world.stored('note')
    const keyId = await world.retire()
    let tries = 0
    const error = await withFreshKeys(keyturn, async () => {
      tries++
      await db.execute(sql`UPDATE users SET note = ${stored}`)
    }).catch((error: Error) => error)
    expect({ tries, error }).toEqual({ tries: 2, error: code('ERR_KEY_FENCED') })
    expect((error as Error).message).toContain(keyId)
    expect(JSON.stringify([(error as Error).message, (error as Error).cause, (error as Error).stack])).not.toContain(stored)
  })

  test('reserves more messages when more is encrypted at once than was reserved.', async () => {
    const { db, users } = connect()
    const many = Array.from({ length: 1_500 }, (_, index) => ({ email: `user ${index}`, note: `note ${index}` }))
    await expect(db.insert(users).values(many)).rejects.toMatchObject({ code: 'ERR_KEY_NOT_LOADED' })
    expect(await world.stored('note')).toEqual([])
    await withFreshKeys(keyturn, () => db.insert(users).values(many))
    expect(await world.stored('note')).toHaveLength(1_500)
  })

  test('lets every other error through, and does not run again.', async () => {
    let tries = 0
    const failing = () => {
      tries++
      throw new Error('of the application')
    }
    await expect(withFreshKeys(keyturn, failing)).rejects.toThrow('of the application')
    expect(tries).toBe(1)
  })
})
