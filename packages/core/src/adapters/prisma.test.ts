import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PrismaPg } from '@prisma/adapter-pg'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { prismaSchema } from '../../../../test/adapters/prisma-schema.ts'
import { useUsers } from '../../../../test/adapters/world.ts'
import { root, runChild } from '../../../../test/harness/child.ts'
import { usePrisma } from '../../../../test/harness/prisma.ts'
import { defineConfig, env } from '../config/config.ts'
import { open } from '../open.ts'
import prismaExtension from './prisma.ts'

const world = useUsers()
const folder = usePrisma(prismaSchema)
// The client is generated when the test runs: its types are checked by a test below, in TypeScript's own words.
// biome-ignore lint/suspicious/noExplicitAny: no types before there is a client
type Client = any
let prisma: Client
let plain: Client

beforeEach(async () => {
  await world.server.pool.query('ALTER TABLE users ADD data jsonb')
  const { PrismaClient } = await import(join(folder, 'client/client.ts'))
  const adapter = new PrismaPg({ connectionString: world.server.url })
  plain = new PrismaClient({ adapter })
  prisma = plain.$extends(prismaExtension(await world.open()))
})
afterEach(() => plain.$disconnect())

const code = (expected: string) => ({ code: expected })
const ada = { id: 1, email: 'ada@example.org', token: 'secret of ada' }
const bob = { id: 2, email: 'bob@example.org', token: 'secret of bob' }

describe('Writing and reading', () => {
  test('What is created is encrypted in the database and decrypted in the result.', async () => {
    const created = await prisma.user.create({ data: { ...ada, remark: 'a remark', picture: Buffer.from([1, 2, 255]) } })
    expect(created).toEqual({ ...ada, remark: 'a remark', picture: expect.any(Uint8Array), data: null })
    expect([...created.picture]).toEqual([1, 2, 255])
    expect(await world.stored('token')).toEqual([expect.stringMatching(/^kt1\./)])
    expect(await world.stored('note')).toEqual([expect.stringMatching(/^kt1\./)])
    expect(((await world.stored('picture'))[0] as Buffer).subarray(0, 3).toString('hex')).toBe('6b7401')
    expect(await prisma.user.findUnique({ where: { id: 1 } })).toEqual(created)
    expect(await plain.user.findUnique({ where: { id: 1 } })).toMatchObject({ token: expect.stringMatching(/^kt1\./) })
  })

  test('NULL stays NULL, and what is left out stays out.', async () => {
    expect(await prisma.user.create({ data: { ...ada, token: null } })).toMatchObject({ token: null, remark: null })
    await prisma.user.update({ where: { id: 1 }, data: { token: 'set' } })
    expect(await prisma.user.update({ where: { id: 1 }, data: { token: undefined, email: 'a@example.org' } })).toMatchObject({
      token: 'set',
    })
    expect(await prisma.user.update({ where: { id: 1 }, data: { token: null } })).toMatchObject({ token: null })
    expect(await world.stored('token')).toEqual([null])
  })

  test('An update binds the row that its where names, in every way to name it.', async () => {
    await prisma.user.create({ data: ada })
    for (const [where, data, token] of [
      [{ id: 1 }, { token: 'one' }, 'one'],
      [{ id: 1 }, { token: { set: 'two' } }, 'two'],
      [{ email: ada.email, AND: [{ id: { equals: 1 } }] }, { token: 'three' }, 'three'],
    ] as const) {
      expect(await prisma.user.update({ where, data })).toMatchObject({ id: 1, token })
      expect(await prisma.user.findFirst({ where: { id: 1 } })).toMatchObject({ token })
    }
    expect(await prisma.user.updateMany({ where: { id: 1 }, data: { token: 'four' } })).toEqual({ count: 1 })
    expect(await prisma.user.updateManyAndReturn({ where: { id: 1 }, data: { token: 'five' } })).toMatchObject([{ token: 'five' }])
  })

  test('An upsert encrypts whichever of its two it does.', async () => {
    const upsert = (token: string) => prisma.user.upsert({ where: { id: 1 }, create: { ...ada, token }, update: { token } })
    expect(await upsert('created')).toMatchObject({ id: 1, token: 'created' })
    expect(await upsert('updated')).toMatchObject({ id: 1, token: 'updated' })
    expect(await prisma.user.findMany()).toMatchObject([{ token: 'updated' }])
  })

  test('Many rows at once are each bound to their own.', async () => {
    expect(await prisma.user.createMany({ data: [ada, bob] })).toEqual({ count: 2 })
    const three = { id: 3, email: 'c@example.org', token: 'third' }
    expect(await prisma.user.createManyAndReturn({ data: [three], select: { token: true } })).toEqual([{ token: 'third' }])
    expect(await prisma.user.findMany({ orderBy: { id: 'asc' } })).toMatchObject([ada, bob, three])
    await world.server.pool.query('UPDATE users SET token = (SELECT token FROM users WHERE id = 1) WHERE id = 2')
    await expect(prisma.user.findMany()).rejects.toMatchObject(code('ERR_DECRYPT'))
  })

  test('Rows below relations are encrypted and decrypted as well, whatever writes them.', async () => {
    const [a, b, c, d] = Array.from({ length: 4 }, world.newId) as [string, string, string, string]
    const include = { settings: { orderBy: { label: 'asc' } } }
    await prisma.user.create({ data: { ...ada, settings: { create: { id: a, secret: 'of a', label: 'a' } } } })
    const user = await prisma.user.update({
      where: { id: 1 },
      data: {
        settings: {
          createMany: { data: [{ id: b, secret: 'of b', label: 'b' }] },
          connectOrCreate: { where: { id: c }, create: { id: c, secret: 'of c', label: 'c' } },
          update: { where: { id: a }, data: { secret: 'new a' } },
          upsert: { where: { id: d }, create: { id: d, secret: 'of d', label: 'd' }, update: { secret: 'never' } },
        },
      },
      include,
    })
    const secrets = ['new a', 'of b', 'of c', 'of d']
    expect(user.token).toBe(ada.token)
    expect(user.settings.map(({ secret }: { secret: string }) => secret)).toEqual(secrets)
    const { rows } = await world.server.pool.query('SELECT encrypted_secret FROM configs')
    for (const row of rows) expect(row.encrypted_secret).toMatch(/^kt1\./)
    await prisma.config.update({ where: { id: a }, data: { user: { update: { where: { id: 1 }, data: { token: 'from below' } } } } })
    expect(await prisma.config.findUnique({ where: { id: a }, include: { user: true } })).toMatchObject({ user: { token: 'from below' } })
    expect(await prisma.config.findUnique({ where: { id: a }, select: { user: { select: { token: true } } } })).toEqual({
      user: { token: 'from below' },
    })
  })

  test('A model may have a field that is called "data": its values are encrypted all the same.', async () => {
    const id = world.newId()
    await prisma.user.create({ data: { ...ada, settings: { create: { id } } } })
    const change = (update: object) => prisma.config.update({ where: { id }, data: { user: { update } } })
    await change({ data: { theme: 'dark' }, remark: 'first' })
    expect(await world.stored('note')).toEqual([expect.stringMatching(/^kt1\./)])
    expect(await prisma.user.findFirst()).toMatchObject({ data: { theme: 'dark' }, remark: 'first' })
    await change({ data: { remark: 'second' } })
    await change({ where: { email: ada.email }, data: { data: { theme: 'light' } } })
    expect(await prisma.user.findFirst()).toMatchObject({ data: { theme: 'light' }, remark: 'second' })
  })

  test('What is reached from a row by a call is decrypted as well.', async () => {
    const id = world.newId()
    await prisma.user.create({ data: { ...ada, settings: { create: { id, secret: 'below' } } } })
    const found = () => prisma.user.findUnique({ where: { id: 1 } })
    expect(await found().settings()).toEqual([{ id, userId: 1, secret: 'below', label: null }])
    expect(await found().settings({ select: { secret: true } })).toEqual([{ secret: 'below' }])
    expect(await prisma.config.findUnique({ where: { id } }).user({ select: { token: true } })).toEqual({ token: ada.token })
    expect(await found().settings({ where: { id } })).toMatchObject([{ secret: 'below' }])
    await expect(found().settings({ where: { secret: 'below' } })).rejects.toMatchObject(code('ERR_NOT_SEARCHABLE'))
  })

  test('What is asked for to open a value is not in the result.', async () => {
    const id = world.newId()
    await prisma.user.create({ data: { ...ada, settings: { create: { id, secret: 'below' } } } })
    expect(await prisma.user.findFirst({ select: { token: true } })).toEqual({ token: ada.token })
    expect(await prisma.user.findFirst({ omit: { id: true } })).toEqual({
      email: ada.email,
      token: ada.token,
      remark: null,
      picture: null,
      data: null,
    })
    expect(await prisma.user.findFirst({ select: { email: true, settings: { select: { secret: true } } } })).toEqual({
      email: ada.email,
      settings: [{ secret: 'below' }],
    })
    const given = { where: { id: 1 }, select: { token: true } }
    await prisma.user.findFirst(given)
    expect(given).toEqual({ where: { id: 1 }, select: { token: true } })
  })

  test('So it is where the client itself leaves out bound columns.', async () => {
    const id = world.newId()
    await prisma.user.create({ data: { ...ada, settings: { create: { id, secret: 'below', label: 'x' } } } })
    const { PrismaClient } = await import(join(folder, 'client/client.ts'))
    const adapter = new PrismaPg({ connectionString: world.server.url })
    const lean = new PrismaClient({ adapter, omit: { user: { id: true }, config: { id: true, userId: true } } })
    const opened = lean.$extends(prismaExtension(await world.open()))
    const left = { email: ada.email, token: ada.token, remark: null, picture: null, data: null }
    expect(await opened.user.findFirst()).toEqual(left)
    expect(await opened.user.findFirst({ include: { settings: true } })).toEqual({ ...left, settings: [{ secret: 'below', label: 'x' }] })
    expect(await opened.user.findFirst({ omit: { id: false, email: true, data: true } })).toEqual({
      id: 1,
      token: ada.token,
      remark: null,
      picture: null,
    })
    await lean.$disconnect()
  })

  test('Texts that the field keeps are given as they stand; the fields named are taken care of, and no others.', async () => {
    await prisma.user.create({ data: ada })
    await world.server.pool.query(`UPDATE users SET note = 'none'`)
    expect(await prisma.user.findFirst()).toMatchObject({ remark: 'none' })
    const some = plain.$extends(prismaExtension(await world.open(), { fields: ['user.note'] }))
    expect(await some.user.findFirst()).toMatchObject({ token: expect.stringMatching(/^kt1\./) })
  })
})

test('An extension before this one has plaintexts, one behind it has what is stored.', async () => {
  const seen: unknown[] = []
  const spy = (name: string) => ({
    query: {
      user: {
        create: async ({ args, query }: { args: { data: { token: string } }; query: (args: object) => Promise<{ token: string }> }) => {
          const result = await query(args)
          seen.push([name, args.data.token, result.token])
          return result
        },
      },
    },
  })
  const extended = plain
    .$extends(spy('before'))
    .$extends(prismaExtension(await world.open()))
    .$extends(spy('behind'))
  await extended.user.create({ data: ada })
  const [stored] = await world.stored('token')
  expect(seen).toEqual([
    ['behind', stored, stored],
    ['before', ada.token, ada.token],
  ])
})

describe('Refusals', () => {
  test('A bound value is not written where the query does not say which row it is, and nothing is.', async () => {
    const refused = code('ERR_ROW_UNKNOWN')
    await expect(prisma.user.create({ data: { email: 'x', token: 'secret-x' } })).rejects.toMatchObject(refused)
    await prisma.user.create({ data: ada })
    await expect(prisma.user.update({ where: { email: ada.email }, data: { token: 'secret-x' } })).rejects.toMatchObject(refused)
    await expect(prisma.user.updateMany({ data: { token: 'secret-x' } })).rejects.toMatchObject(refused)
    await expect(prisma.user.updateMany({ where: { OR: [{ id: 1 }] }, data: { token: 'secret-x' } })).rejects.toMatchObject(refused)
    await expect(prisma.user.updateMany({ where: { id: { in: [1] } }, data: { token: 'secret-x' } })).rejects.toMatchObject(refused)
    const error = await prisma.user.update({ where: { email: ada.email }, data: { token: 'secret-x' } }).catch((error: Error) => error)
    expect(error.message).toContain('"where"')
    expect(error.message).not.toContain('secret-x')
    // Where nothing bound is written, there is nothing to know.
    await prisma.user.update({ where: { email: ada.email }, data: { remark: 'unbound', token: null } })
    expect(await prisma.user.findMany()).toMatchObject([{ remark: 'unbound', token: null }])
  })

  test('A bound column is not changed under a value; together with it it is.', async () => {
    await prisma.user.create({ data: ada })
    await expect(prisma.user.update({ where: { id: 1 }, data: { id: 7 } })).rejects.toMatchObject(code('ERR_ROW_UNKNOWN'))
    await expect(prisma.user.updateMany({ data: { id: { increment: 1 } } })).rejects.toMatchObject(code('ERR_ROW_UNKNOWN'))
    expect(await prisma.user.update({ where: { id: 1 }, data: { id: 1, email: 'same' } })).toMatchObject({ token: ada.token })
    expect(await prisma.user.update({ where: { id: 1 }, data: { id: 7, token: 'moved' } })).toMatchObject({ id: 7, token: 'moved' })
  })

  test('Nor is it bound to what the database computes, or what it compares in its own way.', async () => {
    await prisma.user.create({ data: ada })
    const refused = code('ERR_ROW_UNKNOWN')
    const moved = prisma.user.update({ where: { id: 1 }, data: { id: { increment: 6 }, token: 'secret-x' } })
    await expect(moved).rejects.toMatchObject(refused)
    const byEmail = defineConfig({
      keyrings: { other: { root: env('ROOT') } },
      fields: { 'token.by-email': { column: 'users.token', keyring: 'other', bind: ['email'] } },
    })
    const keyturn = await open(byEmail, { pool: world.server.pool, env: { ROOT: 'ef'.repeat(32) } })
    const other = plain.$extends(prismaExtension(keyturn))
    const update = (email: object) => other.user.updateMany({ where: { email }, data: { token: 'secret-x' } })
    await expect(update({ equals: ada.email.toUpperCase(), mode: 'insensitive' })).rejects.toMatchObject(refused)
    expect(await update({ equals: ada.email })).toEqual({ count: 1 })
    expect(await other.user.findFirst()).toMatchObject({ token: 'secret-x' })
    await keyturn.close()
  })

  test('What would become a text only later is not written.', async () => {
    const refused = code('ERR_USAGE')
    for (const remark of [{ toJSON: () => 'secret-x' }, ['secret-x'], new Date(0), 5])
      await expect(prisma.user.create({ data: { ...ada, remark } })).rejects.toMatchObject(refused)
    expect(await world.stored('note')).toEqual([])
  })

  test('An encrypted column is not compared or sorted by, also below relations; null can be asked for.', async () => {
    await prisma.user.create({ data: ada })
    await prisma.user.create({ data: { ...bob, token: null } })
    const refused = code('ERR_NOT_SEARCHABLE')
    for (const query of [
      { where: { token: 'secret of ada' } },
      { where: { OR: [{ token: { startsWith: 's' } }] } },
      { where: { NOT: { token: { not: 'x' } } } },
      { where: { settings: { some: { secret: 'x' } } } },
      { orderBy: { token: 'asc' } },
      { orderBy: [{ id: 'asc' }, { remark: 'asc' }] },
      { distinct: ['token'] },
      { include: { settings: { where: { secret: 'x' } } } },
      { include: { _count: { select: { settings: { where: { secret: 'x' } } } } } },
    ])
      await expect(prisma.user.findMany(query), JSON.stringify(query)).rejects.toMatchObject(refused)
    await expect(prisma.config.findMany({ where: { user: { is: { token: 'x' } } } })).rejects.toMatchObject(refused)
    await expect(prisma.config.findMany({ where: { user: { token: 'x' } } })).rejects.toMatchObject(refused)
    await expect(prisma.config.findMany({ orderBy: { user: { token: 'asc' } } })).rejects.toMatchObject(refused)
    await expect(prisma.user.count({ where: { token: 'x' } })).rejects.toMatchObject(refused)
    await expect(prisma.user.deleteMany({ where: { token: 'x' } })).rejects.toMatchObject(refused)
    await expect(prisma.user.groupBy({ by: ['token'] })).rejects.toMatchObject(refused)
    await expect(prisma.user.aggregate({ _max: { token: true } })).rejects.toMatchObject(refused)
    await expect(prisma.user.update({ where: { id: 1 }, data: { settings: { deleteMany: { secret: 'x' } } } })).rejects.toMatchObject(
      refused,
    )
    expect(await prisma.user.findMany({ where: { token: null } })).toMatchObject([{ id: 2 }])
    expect(await prisma.user.findMany({ where: { token: { not: null } } })).toMatchObject([{ id: 1 }])
    expect(await prisma.user.count()).toBe(2)
    expect(await prisma.config.findUnique({ where: { userId_label: { userId: 1, label: 'x' } } })).toBeNull()
  })

  test('A model that lacks a bound column is refused when the client is extended, and so is a field without a model, and what is no client.', async () => {
    const keyturn = await world.open()
    expect(() => prismaExtension(keyturn)({})).toThrow(expect.objectContaining(code('ERR_USAGE')))
    const without = { ...plain._runtimeDataModel.models.User, fields: [{ name: 'token', kind: 'scalar', type: 'String' }] }
    const client = { $extends: () => ({}), _runtimeDataModel: { models: { User: without } } }
    expect(() => prismaExtension(keyturn)(client)).toThrow(expect.objectContaining(code('ERR_UNKNOWN_COLUMN')))
    const { Config } = plain._runtimeDataModel.models
    const other = { $extends: () => ({}), _runtimeDataModel: { models: { Config } } }
    expect(() => prismaExtension(keyturn, { fields: ['user.note'] })(other)).toThrow('"user.note"')
    expect(() => prismaExtension(keyturn)({ ...other, _runtimeDataModel: { models: {} } })).toThrow('no model of this client')
    expect(prismaExtension(keyturn)(other)).toEqual({})
  })
})

describe('Keys', () => {
  test('A value under a key that this process has not loaded opens, also below relations.', async () => {
    await prisma.user.create({ data: { ...ada, settings: { create: { id: world.newId(), secret: 'below' } } } })
    await world.rotate()
    expect(await prisma.user.findFirst({ include: { settings: true } })).toMatchObject({
      token: ada.token,
      settings: [{ secret: 'below' }],
    })
  })

  test('A write under a key that the database refuses is encrypted under the new one and tried again, once.', async () => {
    await prisma.user.create({ data: ada })
    const retired = await world.retire()
    expect(await prisma.user.update({ where: { id: 1 }, data: { token: 'after' } })).toMatchObject({ token: 'after' })
    const [stored] = await world.stored('token')
    expect(stored).not.toContain(retired)
    expect(await prisma.user.findFirst()).toMatchObject({ token: 'after' })
  })

  test('Within a transaction it is ERR_KEY_FENCED, and the whole transaction can be tried again.', async () => {
    await prisma.user.create({ data: ada })
    const retired = await world.retire()
    const work = () =>
      prisma.$transaction(async (tx: Client) => {
        await tx.user.updateMany({ data: { email: 'changed' } })
        return await tx.user.update({ where: { id: 1 }, data: { token: 'after' } })
      })
    const error = await work().catch((error: unknown) => error)
    expect(error).toMatchObject(code('ERR_KEY_FENCED'))
    expect(error.message).toContain(retired)
    expect(error.cause).toBeUndefined()
    expect(await prisma.user.findFirst()).toMatchObject({ email: ada.email, token: ada.token })
    expect(await work()).toMatchObject({ email: 'changed', token: 'after' })
  })

  test('So it is in a batch of queries, which is one transaction.', async () => {
    await prisma.user.create({ data: ada })
    await world.retire()
    const work = () => prisma.$transaction([prisma.user.update({ where: { id: 1 }, data: { token: 'after' } }), prisma.user.count()])
    await expect(work()).rejects.toMatchObject(code('ERR_KEY_FENCED'))
    expect((await work())[0]).toMatchObject({ token: 'after' })
  })

  test('Another refusal of the database stays what it is.', async () => {
    await prisma.user.create({ data: ada })
    await expect(prisma.user.create({ data: ada })).rejects.toMatchObject({ code: 'P2002' })
    await expect(prisma.user.findUniqueOrThrow({ where: { id: 9 } })).rejects.toMatchObject({ code: 'P2025' })
  })
})

test('The extended client has the types of the client.', async () => {
  const core = join(root, 'packages/core/src')
  writeFileSync(
    join(folder, 'typed.ts'),
    `import type { Keyturn } from '${core}/index.ts'
import prismaExtension from '${core}/adapters/prisma.ts'
import { PrismaClient } from './client/client.ts'
declare const keyturn: Keyturn
declare const adapter: ConstructorParameters<typeof PrismaClient>[0]['adapter'] & object
const prisma = new PrismaClient({ adapter }).$extends(prismaExtension(keyturn))
const user = await prisma.user.findFirstOrThrow({ include: { settings: true } })
const [token, secret]: [string | null, string | null | undefined] = [user.token, user.settings[0]?.secret]
const { count }: { count: number } = await prisma.user.createMany({ data: [{ email: 'a', token: 'b' }] })
// @ts-expect-error a token is a text
await prisma.user.update({ where: { id: 1 }, data: { token: 5 } })
await prisma.$transaction(async (tx) => void (await tx.user.findMany({ select: { token: true } })))
export { count, secret, token }
`,
  )
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ extends: '../../../tsconfig.json', include: ['typed.ts'], exclude: [] }))
  const { stdout } = await runChild('node_modules/typescript/bin/tsc', ['-p', folder], { node: [] })
  expect(stdout.split('\n').filter((line) => line.includes('typed.ts'))).toEqual([])
})
