import { beforeEach, describe, expect, test } from 'vitest'
import { useDatabase } from '../../../../test/harness/postgres.ts'
import type { FieldEvent } from '../field/event.ts'
import { open } from '../open.ts'
import { type Config, defineConfig, env, type FieldConfig } from './config.ts'

const server = useDatabase()
const keys = { ROOT: 'ab'.repeat(32), OLD: '11'.repeat(32) }
const declare = (fields: Config['fields'], more: object = {}) =>
  defineConfig({ refreshMs: 100, keyrings: { app: { root: env('ROOT'), ...more } }, fields })
const openFields = (fields: Config['fields'], more: object = {}) => open(declare(fields), { pool: server.pool, env: keys, ...more })

/** What our own state holds, to see that nothing of it was changed. */
async function kept(): Promise<unknown[]> {
  const { rows: exists } = await server.pool.query(`SELECT 1 FROM pg_namespace WHERE nspname = 'keyturn'`)
  if (exists.length === 0) return []
  // Counts of messages are reserved when a keyring is opened, and wasted when the opening fails later.
  const tables = ['field', 'keyring', '(SELECT id, state FROM keyturn.key_version) AS version', 'audit_event']
  const named = (table: string) => (table.startsWith('(') ? table : `keyturn.${table}`)
  return await Promise.all(tables.map(async (table) => (await server.pool.query(`SELECT * FROM ${named(table)} ORDER BY 1`)).rows))
}

beforeEach(async () => {
  await server.pool.query(`
    DROP SCHEMA IF EXISTS keyturn CASCADE; DROP TABLE IF EXISTS secrets;
    CREATE TABLE secrets (id int, token text, value text, key_id text, raw bytea, doc jsonb, n int, PRIMARY KEY (id, token))`)
})

describe('what does not fit the table is refused, and nothing is made', () => {
  const on = (column: string, more: Partial<FieldConfig> = {}): FieldConfig => ({ column, keyring: 'app', ...more })
  const keyed = { writes: 'hex-colon' } as const
  test.each<[string, Config['fields'], string]>([
    [
      'a column of key ids that is not there',
      { x: on('secrets.value', { ...keyed, keyId: 'keyid' }) },
      'has no column "keyid". Did you mean "key_id"?',
    ],
    [
      'a column of key ids that holds numbers',
      { x: on('secrets.value', { ...keyed, keyId: 'n' }) },
      'fields.x.keyId: it needs a text column, and "n" is of type integer',
    ],
    [
      'a column of key ids that holds bytes',
      { x: on('secrets.value', { ...keyed, keyId: 'raw' }) },
      'fields.x.keyId: it needs a text column',
    ],
    [
      'bytes that are kept by a pattern',
      { x: on('secrets.raw', { keep: 'none' }) },
      'fields.x.keep: it describes text, and column "raw" holds bytes',
    ],
    [
      'a sensitive column that is not there',
      { x: on('secrets.value', { sensitive: ['tokem'] }) },
      'has no column "tokem". Did you mean "token"?',
    ],
    [
      'a sensitive column outside the key',
      { x: on('secrets.value', { sensitive: ['token', 'n'] }) },
      'fields.x.sensitive[1]: column "n" is not part of the key by which rows are named (id, token)',
    ],
    [
      'one column under two spellings of its table',
      { x: on('secrets.value'), y: on('public.secrets.value') },
      'fields.y.column: field "x" stands there already',
    ],
  ])('%s', async (_, fields, sentence) => {
    await expect(openFields(fields)).rejects.toThrow(sentence)
    expect(await kept()).toEqual([])
    await (await openFields({ fine: on('secrets.value') })).close()
    const before = await kept()
    await expect(openFields(fields)).rejects.toThrow(sentence)
    expect(await kept()).toEqual(before)
  })
})

test('the field has what was declared, and a value inside a document is text', async () => {
  const keyturn = await openFields({
    doc: { column: 'secrets.doc:/keys/*', keyring: 'app', where: { type: 'oauth' }, was: ['older'], sensitive: ['token'], keep: 'none' },
    value: { column: 'secrets.value', keyring: 'app', writes: 'blob', keyId: 'key_id' },
  })
  const field = keyturn.field('doc')
  expect(field).toMatchObject({ where: { type: 'oauth' }, was: ['older'], sensitive: ['token'], keyId: null })
  expect(field.location).toEqual({ schema: null, table: 'secrets', column: 'doc', path: ['keys', null] })
  expect([field.isKept('none'), field.isKept('none at all')]).toEqual([true, false])
  expect(await field.encrypt('secret')).toMatch(/^kt1\./)
  expect(keyturn.field('value')).toMatchObject({ keyId: 'key_id', keep: null, was: [] })
  await keyturn.close()
})

test('a value and its key id live in two columns, an older one in one, and both are read', async () => {
  const field = {
    column: 'secrets.value',
    keyring: 'app',
    writes: 'hex-colon',
    keyId: 'key_id',
    reads: [{ codec: 'hex-colon', key: env('OLD') }],
  }
  const before = await open(
    defineConfig({
      keyrings: { old: { primary: env('OLD') } },
      fields: { v: { column: 'secrets.value', keyring: 'old', writes: 'hex-colon' } },
    }),
    {
      pool: server.pool,
      env: keys,
    },
  )
  await server.pool.query(`INSERT INTO secrets (id, token, value) VALUES (1, 'a', $1)`, [await before.field('v').encrypt('older')])
  const events: FieldEvent[] = []
  const keyturn = await openFields({ v: field }, { onEvent: (event: FieldEvent) => events.push(event) })
  const pair = await keyturn.field('v').encryptKeyed('newer')
  await server.pool.query(`INSERT INTO secrets (id, token, value, key_id) VALUES (2, 'b', $1, $2)`, [pair.value, pair.keyId])
  const { rows } = await server.pool.query('SELECT value, key_id AS "keyId" FROM secrets ORDER BY id')
  expect(await Promise.all(rows.map((row) => keyturn.field('v').decryptKeyed(row)))).toEqual(['older', 'newer'])
  expect(events).toEqual([{ event: 'encryption-rewrap-needed', field: 'v', keyring: 'v.reads', keyId: null, codec: 'hex-colon' }])
  await Promise.all([before.close(), keyturn.close()])
})

describe('a renamed field', () => {
  const bound = (more: Partial<FieldConfig>): FieldConfig => ({ column: 'secrets.value', keyring: 'app', bind: ['id'], ...more })

  test('reads what was sealed under its older name', async () => {
    const before = await openFields({ old: bound({}) })
    const stored = await before.field('old').encrypt('secret', { id: 1 })
    await before.close()
    const without = await openFields({ renamed: bound({}) })
    await expect(without.field('renamed').decrypt(stored, { id: 1 })).rejects.toMatchObject({ code: 'ERR_DECRYPT' })
    await without.close()
    const events: FieldEvent[] = []
    const after = await openFields({ renamed: bound({ was: ['old'] }) }, { onEvent: (event: FieldEvent) => events.push(event) })
    expect(await after.field('renamed').decrypt(stored, { id: 1 })).toBe('secret')
    expect(events).toMatchObject([{ event: 'encryption-rewrap-needed', field: 'renamed', codec: 'kt1' }])
    await after.close()
  })

  test('is written under its name by the next rotation, although its values begin as current ones, and needs the older one no more', async () => {
    const before = await openFields({ old: bound({}) })
    await server.pool.query(`INSERT INTO secrets (id, token, value) VALUES (1, 'a', $1)`, [
      await before.field('old').encrypt('secret', { id: 1 }),
    ])
    await before.close()
    const during = await openFields({ renamed: bound({ was: ['old'] }) })
    expect(await during.rotate('app', { newVersion: false })).toMatchObject({ state: 'completed', rotated: 1, failedCount: 0 })
    await during.close()
    const after = await openFields({ renamed: bound({}) })
    const { rows } = await server.pool.query('SELECT value FROM secrets')
    expect(await after.field('renamed').decrypt(rows[0].value, { id: 1 })).toBe('secret')
    await after.close()
  })

  test('is bound as it was under its older name, and nothing is kept of it otherwise', async () => {
    await (await openFields({ old: bound({}) })).close()
    const before = await kept()
    const others = { another: { column: 'secrets.token', keyring: 'app' }, renamed: bound({ bind: [], was: ['old'] }) }
    await expect(openFields(others)).rejects.toThrow('field "renamed" was first written bound to (id int) and is now declared bound to ()')
    expect(await kept()).toEqual(before)
  })
})

test('what is due is said with its time and the messages that are left', async () => {
  const keyturn = await open(declare({}, { period: '2w', messages: 3000, horizon: '35d', alsoUsedFor: { cookies: 'all log in again' } }), {
    pool: server.pool,
    env: keys,
  })
  const [status] = (await keyturn.status('app')).keyrings
  // A process reserves its first 1,024 messages when it opens.
  expect(status).toMatchObject({ due: [], messagesLeft: 3000 - 1024 })
  const activatedAt = new Date(status?.versions[0]?.activatedAt ?? '')
  expect(status?.dueAt).toBe(new Date(activatedAt.getTime() + 14 * 86_400_000).toISOString())
  await keyturn.close()
  const again = await open(declare({}, { messages: 1500 }), { pool: server.pool, env: keys })
  const [due] = (await again.status('app')).keyrings
  expect(due).toMatchObject({
    due: [expect.stringMatching(/^rotate: .* 2,048 messages; its limit is 1,500$/)],
    messagesLeft: 0,
    dueAt: null,
  })
  await again.close()
  const environment = defineConfig({ keyrings: { web: { primary: env('OLD') } }, fields: {} })
  const web = await open(environment, { pool: server.pool, env: keys })
  expect((await web.status()).keyrings).toMatchObject([{ due: [], dueAt: null, messagesLeft: null }])
  await web.close()
})
