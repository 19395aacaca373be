import { describe, expect, test, vi } from 'vitest'
import { createPglite } from '../../../test/harness/pglite.ts'
import { useDatabase } from '../../../test/harness/postgres.ts'
import { newKeys, writeOld } from '../../../test/rotation/world.ts'
import { defineConfig, env } from './config/config.ts'
import { type OpenOptions, open } from './open.ts'

const config = defineConfig({
  refreshMs: 100,
  keyrings: { app: { root: env('ROOT') } },
  fields: {
    'jira.token': {
      column: 'jira_configs.encryptedToken',
      keyring: 'app',
      bind: ['id'],
      insertedFirst: true,
      reads: [{ codec: 'hex-colon', key: env('OLD'), keyRule: 'hex' }],
    },
    'github.token': { column: 'github.token', keyring: 'app', reads: [{ codec: 'hex-colon', key: env('OLD'), keyRule: 'hex' }] },
  },
})
const keys = { ROOT: 'ab'.repeat(32), OLD: '11'.repeat(32) }
const tables = `CREATE TABLE jira_configs (id serial PRIMARY KEY, "encryptedToken" text); CREATE TABLE github (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), token varchar(300))`

const server = useDatabase()
const databases = [
  [
    'Postgres',
    async (): Promise<{
      options: OpenOptions
      sql: (text: string, values?: unknown[]) => Promise<{ rows: unknown[] }>
      end: () => Promise<void>
    }> => ({
      options: { pool: server.pool },
      sql: (text, values) => server.pool.query(text, values),
      end: async () => {},
    }),
  ],
  [
    'PGlite',
    async () => {
      const pglite = await createPglite()
      return { options: { pglite }, sql: (text: string, values?: unknown[]) => pglite.query(text, values), end: () => pglite.close() }
    },
  ],
] as const

describe.each(databases)('On %s', (_, start) => {
  test('values of an old format move under a new keyring, and its key rotates, while the application reads and writes', async () => {
    const { options, sql, end } = await start()
    for (const statement of tables.split(';')) await sql(statement)
    for (let n = 1; n <= 50; n++) {
      await sql('INSERT INTO jira_configs ("encryptedToken") VALUES ($1)', [writeOld(`jira ${n}`)])
      await sql('INSERT INTO github (token) VALUES ($1)', [writeOld(`github ${n}`)])
    }
    const looking = await open(config, { ...options, env: keys, readOnly: true })
    const plan = await looking.plan('app')
    expect(plan.creates).toEqual(["the schema for Keyturn's own state", 'one new key version'])
    expect((await sql(`SELECT count(*)::int AS n FROM pg_namespace WHERE nspname = 'keyturn'`)).rows).toEqual([{ n: 0 }])
    await looking.close()

    const keyturn = await open(config, { ...options, env: keys })
    const token = keyturn.field('jira.token')
    expect(
      await token.decrypt(
        (await sql('SELECT "encryptedToken" AS t FROM jira_configs WHERE id = 7')).rows.map((row) => (row as { t: string }).t)[0] ?? '',
        { id: 7 },
      ),
    ).toBe('jira 7')
    const result = await keyturn.rotate('app')
    expect(result).toMatchObject({ state: 'completed', total: 100, rotated: 100, failedCount: 0, rows: 100, tables: 2 })
    const again = await keyturn.rotate('app')
    expect(again).toMatchObject({ state: 'completed', total: 100, rotated: 100, failedCount: 0 })
    const { rows } = await sql('SELECT id, "encryptedToken" AS t FROM jira_configs ORDER BY id')
    for (const row of rows as { id: number; t: string }[]) expect(await token.decrypt(row.t, { id: row.id })).toBe(`jira ${row.id}`)
    expect(await keyturn.verify()).toMatchObject({ total: 100, current: 100, other: 0, failedCount: 0 })
    const status = await keyturn.status('app')
    expect(status.keyrings[0]?.versions.map(({ state }) => state)).toEqual(['retiring', 'retiring', 'active'])
    expect(status.rotations.map(({ state }) => state)).toEqual(['completed', 'completed'])
    await keyturn.close()
    await end()
  })
})

test('what is opened for looking encrypts nothing under a keyring that is not stored yet: its key would be nowhere', async () => {
  await server.pool.query('CREATE TABLE webhooks (id int PRIMARY KEY, secret text)')
  const fields = { 'webhook.secret': { column: 'webhooks.secret', keyring: 'later' } }
  const declared = defineConfig({ keyrings: { later: { root: env('ROOT') } }, fields })
  const looking = await open(declared, { pool: server.pool, env: keys, readOnly: true })
  const secret = looking.field('webhook.secret')
  await expect(secret.encrypt('whsec')).rejects.toMatchObject({ code: 'ERR_KEYRING_NOT_FOUND' })
  expect(() => secret.encryptSync('whsec')).toThrow(expect.objectContaining({ code: 'ERR_KEYRING_NOT_FOUND' }))
  expect((await looking.plan('later')).creates).toContain('one new key version')
  await looking.close()
})

test('a process in production takes no development key, also when its keys do not come from its environment', async () => {
  const keyrings = { app: { primary: env('MAIN'), development: [env('OTHER')] } }
  const declared = defineConfig({ keyrings, fields: {} })
  const given = { pool: server.pool, env: { OTHER: 'a secret of something else' }, warn: () => {} }
  await (await open(declared, given)).close()
  vi.stubEnv('NODE_ENV', 'production')
  try {
    await expect(open(declared, given)).rejects.toMatchObject({ code: 'ERR_KEY_MISSING' })
  } finally {
    vi.unstubAllEnvs()
  }
})

test('a rotation is gone back on: the version before it is active again, its values are moved back, and every reader opens them all along', async () => {
  await server.pool.query('CREATE TABLE turned (id int PRIMARY KEY, token text)')
  const declared = defineConfig({
    refreshMs: 100,
    keyrings: { turned: { root: env('ROOT') } },
    fields: { 'turned.token': { column: 'turned.token', keyring: 'turned', bind: ['id'] } },
  })
  const given = { pool: server.pool, env: keys }
  const [keyturn, reader] = [await open(declared, given), await open(declared, given)]
  const token = keyturn.field('turned.token')
  for (let id = 1; id <= 10; id++)
    await server.pool.query('INSERT INTO turned VALUES ($1, $2)', [id, await token.encrypt(`t ${id}`, { id })])
  const all = async () => {
    const { rows } = await server.pool.query('SELECT id, token FROM turned ORDER BY id')
    for (const { id, token: value } of rows) expect(await reader.field('turned.token').decrypt(value, { id })).toBe(`t ${id}`)
  }
  await keyturn.rotate('turned')
  const [to, from] = (await keyturn.keyrings('turned'))[0]!.versions.map(({ id }) => id) as [string, string]
  const stop = AbortSignal.abort()
  const { id } = await keyturn.rotate('turned', { newVersion: false, signal: stop })
  await expect(keyturn.goBack('turned', { from, to })).rejects.toMatchObject({ code: 'ERR_ROTATION_RUNNING' })
  await keyturn.cancel(id)
  await keyturn.goBack('turned', { from, to })
  await all()
  expect(await keyturn.rotate('turned', { newVersion: false })).toMatchObject({ state: 'completed', rotated: 10 })
  await all()
  await keyturn.retire('turned', { versions: [from] })
  expect((await keyturn.keyrings('turned'))[0]?.versions.map(({ state }) => state)).toEqual(['active', 'retired'])
  expect(await keyturn.missingFences('turned')).toEqual([])
  const { rows } = await server.pool.query(
    `SELECT conname FROM pg_constraint WHERE conname LIKE 'keyturn_%' AND conrelid = 'turned'::regclass`,
  )
  await server.pool.query(`ALTER TABLE turned DROP CONSTRAINT "${rows[0]?.conname}"`)
  expect(await keyturn.missingFences('turned')).toMatchObject([{ column: 'token', keyId: from }])
  await keyturn.close()
  await reader.close()
})

test('root keys after the first may be unset, on their way in or out; what is wrapped under one that is unset is refused', async () => {
  const declared = defineConfig({ keyrings: { rooted: { root: [env('ROOT'), env('NEXT'), env('PREVIOUS')] } }, fields: {} })
  const [one, other] = [keys.ROOT, 'cd'.repeat(32)]
  const opened = async (given: { [name: string]: string }) => await (await open(declared, { pool: server.pool, env: given })).close()
  await opened({ ROOT: one })
  await opened({ ROOT: one, NEXT: other })
  await opened({ ROOT: other, PREVIOUS: one })
  await expect(opened({ ROOT: other })).rejects.toMatchObject({ code: 'ERR_ROOT_KEY' })
  await expect(opened({ NEXT: one })).rejects.toMatchObject({ code: 'ERR_ENV_MISSING' })
})

describe('What a new user does wrong', () => {
  const flags = (read: string) =>
    defineConfig({
      keyrings: { command: { primary: env('NEW'), keyRule: 'hex' } },
      fields: {
        'users.token': { column: 'users.token', keyring: 'command', writes: 'hex-colon', reads: [{ codec: 'hex-colon', key: env(read) }] },
      },
    })
  const flagKeys = { NEW: '22'.repeat(32), OLD: '11'.repeat(32), WRONG: '33'.repeat(32) }

  test('a rotation is not resumed with another old key, and values that were set aside under it open again with the right one', async () => {
    await server.pool.query('DROP TABLE IF EXISTS users; CREATE TABLE users (id int PRIMARY KEY, token text)')
    for (let id = 1; id <= 30; id++) await server.pool.query('INSERT INTO users VALUES ($1, $2)', [id, writeOld(`token ${id}`)])
    const right = await open(flags('OLD'), { pool: server.pool, env: flagKeys })
    const stop = new AbortController()
    stop.abort()
    const paused = await right.rotate('command', { signal: stop.signal })
    expect(paused.state).toBe('paused')
    const wrong = await open(flags('WRONG'), { pool: server.pool, env: flagKeys })
    await expect(wrong.resume(paused.id)).rejects.toMatchObject({ code: 'ERR_RESUME_KEYS' })
    expect(await wrong.verify()).toMatchObject({ failedCount: 30 - paused.rotated, setAside: 0 })
    expect(await right.resume(paused.id)).toMatchObject({ state: 'completed', total: 30, failedCount: 0 })
  })

  test('a value that was set aside and opens now is counted as one under another key', async () => {
    await server.pool.query('TRUNCATE users')
    for (let id = 1; id <= 10; id++) await server.pool.query('INSERT INTO users VALUES ($1, $2)', [id, writeOld(`token ${id}`)])
    await server.pool.query('INSERT INTO users VALUES (11, $1)', [writeOld('current', undefined, newKeys)])
    const wrong = await open(flags('WRONG'), { pool: server.pool, env: flagKeys })
    expect(await wrong.rotate('command', { accept: true })).toMatchObject({ state: 'completed', failedCount: 10 })
    const right = await open(flags('OLD'), { pool: server.pool, env: flagKeys })
    expect(await right.verify()).toMatchObject({ total: 11, current: 1, other: 10, failedCount: 0, setAside: 0 })
    expect(await right.rotate('command')).toMatchObject({ state: 'completed', rotated: 10, failedCount: 0 })
  })

  test('a configuration that cannot be opened leaves no schema and no keyring behind', async () => {
    const pglite = await createPglite()
    await pglite.exec('CREATE TABLE users (id int PRIMARY KEY, token text)')
    const bad = defineConfig({
      keyrings: { app: { root: env('ROOT') } },
      fields: { 'users.token': { column: 'users.token', keyring: 'app', reads: [{ codec: 'plain', looksLike: '^half' }] } },
    })
    await expect(open(bad, { pglite, env: keys })).rejects.toMatchObject({ code: 'ERR_CONFIG' })
    expect((await pglite.query(`SELECT 1 FROM pg_namespace WHERE nspname = 'keyturn'`)).rows).toEqual([])
    await pglite.close()
  })
})
