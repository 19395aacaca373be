import { randomBytes } from 'node:crypto'
import { Pool } from 'pg'
import { beforeEach, expect, test } from 'vitest'
import postgres from '../../packages/core/src/databases/postgres.ts'
import { fitsPreset, type Preset } from '../../packages/presets/src/index.ts'
import { useDatabase } from '../harness/postgres.ts'
import { langfuseEncrypt } from './langfuse-cipher.ts'

const server = useDatabase()
const writes = { codec: 'hex-colon', order: 'iv.ct.tag' } as const
const preset: Preset = {
  name: 'example',
  application: 'Example',
  tested: 'example@0000000 (2026-01-01)',
  source: { repository: 'example/example', commit: '0'.repeat(40), paths: ['src/crypto.ts'] },
  key: { env: 'KEY', rule: 'hex', note: '' },
  mode: 'online',
  online: true,
  fields: {
    'example.token': { column: 'accounts.token', bind: ['id'], writes },
    'example.hook': { column: 'side.accounts.hooks:/list/*/secret', where: { on: true }, writes, optional: true },
  },
  alsoUsedFor: [],
  notAffected: [],
}
const secret = langfuseEncrypt('secret', '01'.repeat(32))
const gaps = async (pool = server.pool, of = preset) =>
  (await fitsPreset(of, postgres({ pool }))).warnings.map((warning) => warning.replace(/ holds values that look encrypted .*$/, ''))

beforeEach(async () => {
  await server.pool.query(`
    DROP SCHEMA public CASCADE; CREATE SCHEMA public; DROP SCHEMA IF EXISTS side CASCADE; CREATE SCHEMA side;
    CREATE TABLE accounts (id int PRIMARY KEY, token text, note text);
    CREATE TABLE side.accounts (id int PRIMARY KEY, hooks text, token text)`)
})

test('a document in a text column is looked into; what the preset covers is no gap, and what it covers only elsewhere is one', async () => {
  const hooks = (list: object[]) => JSON.stringify({ list, other: 'x' })
  const save = (text: string) =>
    server.pool.query('INSERT INTO side.accounts VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET hooks = $1', [text])
  await save(hooks([{ secret, on: true }]))
  expect(await gaps()).toEqual([])
  await save(
    hooks([
      { secret, on: false },
      { secret, on: true, deeper: { secret } },
    ]),
  )
  expect(await gaps()).toEqual([
    'column "side.accounts.hooks", at /list/*/secret,',
    'column "side.accounts.hooks", at /list/*/deeper/secret,',
  ])
  await save(`${hooks([{ secret }])} and no document`)
  expect(await gaps()).toEqual([])
})

test('of two tables of one name each is looked at as its own', async () => {
  await server.pool.query('INSERT INTO accounts VALUES (1, $1, $1)', [secret])
  await server.pool.query('INSERT INTO side.accounts VALUES (1, $1, $1)', [secret])
  const beside = ['column "side.accounts.hooks"', 'column "side.accounts.token"']
  expect(await gaps()).toEqual(['column "accounts.note"', ...beside])
  const { 'example.hook': hook } = preset.fields
  const onlySide = { ...preset, fields: { 'example.hook': hook! } }
  expect(await gaps(server.pool, onlySide)).toEqual([...beside, 'column "accounts.token"', 'column "accounts.note"'])
})

test('tables that cannot be walked, cannot be read or are Keyturn’s own are passed over', async () => {
  await server.pool.query(
    'CREATE TABLE logs (line text); CREATE TABLE hidden (id int PRIMARY KEY, line text); CREATE SCHEMA IF NOT EXISTS keyturn',
  )
  await server.pool.query('CREATE TABLE keyturn.own (id int PRIMARY KEY, line text); CREATE VIEW lines AS SELECT * FROM hidden')
  await server.pool.query('INSERT INTO logs VALUES ($1)', [secret])
  for (const table of ['hidden', 'keyturn.own']) await server.pool.query(`INSERT INTO ${table} VALUES (1, $1)`, [secret])
  expect(await gaps()).toEqual(['column "hidden.line"'])
  const role = `keyturn_reader_${randomBytes(4).toString('hex')}`
  await server.pool.query(`CREATE ROLE ${role} LOGIN PASSWORD 'reader'; GRANT USAGE ON SCHEMA public, side TO ${role}`)
  await server.pool.query(`GRANT SELECT ON accounts, side.accounts TO ${role}`)
  const limited = new Pool({ connectionString: Object.assign(new URL(server.url), { username: role, password: 'reader' }).href, max: 2 })
  try {
    expect(await gaps(limited)).toEqual([])
  } finally {
    await limited.end()
    await server.pool.query(`DROP OWNED BY ${role} CASCADE; DROP ROLE ${role}; DROP SCHEMA keyturn CASCADE`)
  }
})

test('of a table with long rows fewer are read: it is a sample', async () => {
  const long = (length: number) => randomBytes(length / 2).toString('hex')
  await server.pool.query(
    'CREATE TABLE pages (id int PRIMARY KEY, body text, token text); ALTER TABLE pages ALTER body SET STORAGE EXTERNAL',
  )
  for (const id of [1, 2, 3])
    await server.pool.query('INSERT INTO pages VALUES ($1, $2, $3)', [id, long(3_000_000), id === 2 ? secret : null])
  await server.pool.query('ANALYZE pages')
  expect(await gaps()).toEqual([])
  await server.pool.query('UPDATE pages SET token = $1 WHERE id = 1', [secret])
  expect(await gaps()).toEqual(['column "pages.token"'])
})

test('every fault is named at once, each place once', async () => {
  await server.pool.query('DROP TABLE accounts; CREATE TABLE account (id int PRIMARY KEY)')
  const both = {
    ...preset,
    fields: { ...preset.fields, 'example.again': { column: 'accounts.note', writes }, 'example.third': { column: 'users.token', writes } },
  }
  await expect(fitsPreset(both, postgres({ pool: server.pool }))).rejects.toMatchObject({
    code: 'ERR_PRESET_FIT',
    message:
      'preset "example" does not fit this database: there is no table "accounts" (the nearest is "account"); there is no table "users". It was tested with example@0000000 (2026-01-01). Is this the database of that application, and a version near that one?',
  })
})
