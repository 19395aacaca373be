import 'reflect-metadata'
import { DataSource, EntitySchema, IsNull, Not } from 'typeorm'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { useUsers } from '../../../../test/adapters/world.ts'
import type { Keyturn } from '../keyturn.ts'
import { withFreshKeys } from '../with-fresh-keys.ts'
import typeormSubscriber from './typeorm.ts'

interface User {
  id: number
  email: string
  token: string | null
  remark: string | null
  picture: Buffer | null
  settings: Setting[]
}
interface Setting {
  id: string
  secret: string | null
  label: string | null
  user: User
}
const userWith = (generated: boolean) =>
  new EntitySchema<User>({
    name: 'User',
    tableName: 'users',
    columns: {
      id: { type: 'int', primary: true, ...(generated && { generated: 'increment' }) },
      email: { type: 'text' },
      token: { type: 'text', nullable: true },
      remark: { type: 'text', nullable: true, name: 'note' },
      picture: { type: 'bytea', nullable: true },
    },
    relations: { settings: { type: 'one-to-many', target: 'Setting', inverseSide: 'user', cascade: true } },
  })
const users = userWith(false)
const settings = new EntitySchema<Setting>({
  name: 'Setting',
  tableName: 'configs',
  columns: {
    id: { type: 'uuid', primary: true },
    secret: { type: 'text', nullable: true, name: 'encrypted_secret' },
    label: { type: 'text', nullable: true },
  },
  relations: { user: { type: 'many-to-one', target: 'User', inverseSide: 'settings', joinColumn: { name: 'user_id' } } },
})

const world = useUsers()
let keyturn: Keyturn
let source: DataSource
let people: ReturnType<DataSource['getRepository']>

beforeEach(async () => {
  keyturn = await world.open()
  source = await new DataSource({ type: 'postgres', url: world.server.url, entities: [users, settings] }).initialize()
  source.subscribers.push(typeormSubscriber(keyturn))
  people = source.getRepository(users)
})
afterEach(() => source.destroy())

// TypeORM writes into what it saves: each save gets a copy.
const ada = Object.freeze({ id: 1, email: 'ada', token: 'secret of ada' })
const code = (expected: string) => ({ code: expected })
const kt1 = expect.stringMatching(/^kt1\./)

describe('Entities', () => {
  test('are encrypted in the table, and have their plaintexts before and after.', async () => {
    const user = people.create({ ...ada, remark: 'a remark', picture: Buffer.from([1, 2, 255]) })
    await people.save(user)
    expect(user).toMatchObject({ ...ada, remark: 'a remark' })
    expect(await world.stored('token')).toEqual([kt1])
    expect(await world.stored('note')).toEqual([kt1])
    expect(((await world.stored('picture'))[0] as Buffer).subarray(0, 2).toString()).toBe('kt')
    expect(await people.findOneByOrFail({ id: 1 })).toEqual({ ...ada, remark: 'a remark', picture: Buffer.from([1, 2, 255]) })
    expect(await people.createQueryBuilder('u').getMany()).toMatchObject([{ token: ada.token }])
  })

  test('are written where they changed, and nowhere else.', async () => {
    await people.save({ ...ada, remark: 'a remark' })
    const [before] = await world.stored('token')
    const user = await people.findOneByOrFail({ id: 1 })
    user.remark = 'another'
    await people.save(user)
    expect(user).toMatchObject({ token: ada.token, remark: 'another' })
    expect(await world.stored('token')).toEqual([before])
    user.token = 'new'
    await people.save(user)
    expect(await people.findOneByOrFail({ id: 1 })).toMatchObject({ token: 'new', remark: 'another' })
    await people.save({ id: 1, token: 'of a part' })
    expect(await people.findOneByOrFail({ id: 1 })).toMatchObject({ token: 'of a part', remark: 'another' })
  })

  test('keep NULL as NULL, which can be looked for.', async () => {
    await people.save([
      { id: 1, email: 'a' },
      { id: 2, email: 'b', token: 'set' },
    ])
    expect((await people.findBy({ token: IsNull() })).map(({ id }) => id)).toEqual([1])
    expect(await people.findBy({ token: Not(IsNull()) })).toMatchObject([{ id: 2, token: 'set' }])
    await people.save({ id: 2, token: null })
    expect(await world.stored('token')).toEqual([null, null])
  })

  test('are opened below relations, whichever way leads to them, and saved with them.', async () => {
    const [a, b] = [world.newId(), world.newId()]
    await people.save({
      ...ada,
      settings: [
        { id: a, secret: 'of a' },
        { id: b, secret: 'of b' },
      ],
    })
    const { rows } = await world.server.pool.query('SELECT encrypted_secret AS secret FROM configs')
    expect(rows).toEqual([{ secret: kt1 }, { secret: kt1 }])
    for (const relationLoadStrategy of ['join', 'query'] as const) {
      const [user] = await people.find({
        relations: { settings: { user: true } },
        relationLoadStrategy,
        order: { settings: { secret: 'ASC' } },
      })
      expect(user?.settings.map(({ secret }: Setting) => secret).sort()).toEqual(['of a', 'of b'])
      expect(user?.settings[0].user.token).toBe(ada.token)
    }
    expect(await source.getRepository(settings).findOne({ where: { id: a }, relations: { user: true } })).toMatchObject({
      secret: 'of a',
      user: ada,
    })
  })

  test('that are inserted, upserted or updated without being loaded are encrypted where the row is known.', async () => {
    await people.insert([{ ...ada }, { id: 2, email: 'bob', remark: 'unbound' }])
    expect(await people.findOneByOrFail({ id: 1 })).toMatchObject(ada)
    await people.update({ id: 2 }, { remark: 'changed' })
    expect(await people.findOneByOrFail({ id: 2 })).toMatchObject({ remark: 'changed' })
    await people.upsert({ ...ada, token: 'upserted' }, ['id'])
    expect(await people.findOneByOrFail({ id: 1 })).toMatchObject({ token: 'upserted' })
    await expect(people.update({ id: 1 }, { token: 'secret-x' })).rejects.toMatchObject(code('ERR_ROW_UNKNOWN'))
    await expect(people.save({ email: 'c', token: 'secret-x' })).rejects.toMatchObject(code('ERR_ROW_UNKNOWN'))
    await expect(people.insert({ id: 3, email: 'c', remark: () => `'computed'` })).rejects.toMatchObject(code('ERR_USAGE'))
    expect((await world.stored('note')).filter((stored) => stored !== null)).toEqual([kt1])
  })

  test('are encrypted also where a subscriber before this one has set the value.', async () => {
    await people.save({ ...ada, remark: 'a remark' })
    source.subscribers.unshift({
      beforeUpdate: ({ entity }) => void Object.assign(entity ?? {}, { token: 'of a subscriber' }),
      beforeInsert: ({ entity }) => void Object.assign(entity, { token: 'of a subscriber' }),
    })
    await people.save({ id: 1, remark: 'another' })
    await people.save({ id: 2, email: 'bob' })
    expect(await world.stored('token')).toEqual([kt1, kt1])
    expect(await people.find({ order: { id: 'ASC' } })).toMatchObject([{ token: 'of a subscriber' }, { token: 'of a subscriber' }])
  })

  test('keep what a value is bound to, unless the value is given with it, whichever way the row is changed.', async () => {
    await people.save({ ...ada })
    const refused = code('ERR_ROW_UNKNOWN')
    await expect(people.update({ id: 1 }, { id: 7 })).rejects.toMatchObject(refused)
    await expect(people.increment({ id: 1 }, 'id', 6)).rejects.toMatchObject(refused)
    await expect(
      people.createQueryBuilder().update().set({ id: 7, email: 'x' }).where('email = :e', { e: 'ada' }).execute(),
    ).rejects.toMatchObject(refused)
    expect(await people.find()).toMatchObject([ada])
    await people.update({ id: 1 }, { id: 7, token: 'moved' })
    expect(await people.find()).toMatchObject([{ id: 7, token: 'moved' }])
  })

  test('of one table, of which some have no encrypted column, are saved and loaded each as it is.', async () => {
    class Person {
      declare id: number
      declare email: string
    }
    class Bearer extends Person {
      declare token: string | null
    }
    class Guest extends Person {}
    await world.server.pool.query('ALTER TABLE users ADD kind text')
    const columns = { id: { type: 'int', primary: true }, email: { type: 'text' } } as const
    const kind = { kind: { type: 'text' } } as const
    const entities = [
      new EntitySchema({
        target: Person,
        name: 'Person',
        tableName: 'users',
        columns: { ...columns, ...kind },
        inheritance: { pattern: 'STI', column: 'kind' },
      } as never),
      new EntitySchema({
        target: Bearer,
        name: 'Bearer',
        type: 'entity-child',
        columns: { ...columns, token: { type: 'text', nullable: true } },
      } as never),
      new EntitySchema({ target: Guest, name: 'Guest', type: 'entity-child', columns } as never),
    ]
    const one = await new DataSource({ type: 'postgres', url: world.server.url, entities }).initialize()
    try {
      one.subscribers.push(typeormSubscriber(keyturn, { fields: ['user.token'] }))
      await one.getRepository(Bearer).save({ ...ada })
      await one.getRepository(Guest).save({ id: 2, email: 'bob' })
      expect(await world.stored('token')).toEqual([kt1, null])
      expect(await one.getRepository(Guest).find()).toMatchObject([{ id: 2 }])
      expect(await one.getRepository(Person).find({ order: { id: 'ASC' } })).toMatchObject([ada, { id: 2 }])
    } finally {
      await one.destroy()
    }
  })

  test('whose id the database counts up get their bound values once they have it.', async () => {
    const counted = await new DataSource({ type: 'postgres', url: world.server.url, entities: [userWith(true), settings] }).initialize()
    try {
      counted.subscribers.push(typeormSubscriber(keyturn))
      const repository = counted.getRepository('User')
      await expect(repository.save({ email: 'a', token: 'secret-x' })).rejects.toMatchObject(code('ERR_ROW_UNKNOWN'))
      // TypeORM inserts the next id and not this one.
      await expect(repository.save({ id: 77, email: 'a', token: 'secret-x' })).rejects.toMatchObject(code('ERR_ROW_UNKNOWN'))
      const user = await counted.transaction(async (manager) => {
        const saved = await manager.save('User', repository.create({ email: 'a' }))
        return await manager.save('User', Object.assign(saved, { token: 'of a' }))
      })
      expect(await repository.findOneByOrFail({ email: 'a' })).toMatchObject({ id: user.id, token: 'of a' })
    } finally {
      await counted.destroy()
    }
  })

  test('are not read without what they are bound to, nor where a value stands in another row.', async () => {
    await people.save([{ ...ada }, { id: 2, email: 'bob', token: 'secret of bob' }])
    await world.server.pool.query('UPDATE users SET token = (SELECT token FROM users WHERE id = 1) WHERE id = 2')
    await expect(people.findOneBy({ id: 2 })).rejects.toMatchObject(code('ERR_DECRYPT'))
    expect(await people.find({ where: { id: 1 }, select: { id: true, token: true } })).toEqual([{ id: 1, token: ada.token }])
  })
})

describe('Keys', () => {
  test('A value under a key that this process has not loaded opens.', async () => {
    await people.save({ ...ada })
    await world.rotate()
    expect(await people.findOneByOrFail({ id: 1 })).toMatchObject(ada)
  })

  test('A save under a key that the database refuses is done again with the new one, and encrypts once.', async () => {
    const user = await people.save({ ...ada })
    await world.retire()
    Object.assign(user, { token: 'after', remark: 'new' })
    let tries = 0
    await withFreshKeys(keyturn, async () => {
      tries++
      // TypeORM would load the new values, and with them the new key, if the user were loaded: an insert loads nothing.
      await people.insert({ id: 2, email: 'bob', token: 'of bob' })
    })
    expect(tries).toBe(2)
    await people.save(user)
    expect(user).toMatchObject({ token: 'after', remark: 'new' })
    expect(await people.find({ order: { id: 'ASC' } })).toMatchObject([{ token: 'after' }, { token: 'of bob' }])
  })

  test('An entity whose save failed is encrypted once when it is saved again.', async () => {
    await people.save({ ...ada })
    const bob = people.create({ id: 2, email: 'ada', token: 'of bob' })
    await expect(people.save(bob)).rejects.toMatchObject({ code: '23505' })
    bob.email = 'bob'
    await people.save(bob)
    expect(bob.token).toBe('of bob')
    expect(await people.findOneByOrFail({ id: 2 })).toMatchObject({ token: 'of bob' })
  })
})
