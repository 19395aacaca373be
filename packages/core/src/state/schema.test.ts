import { describe, expect, test } from 'vitest'
import { createPglite, usePglite } from '../../../../test/harness/pglite.ts'
import { useDatabase } from '../../../../test/harness/postgres.ts'
import { pgliteState, pgState } from '../databases/postgres/sql.ts'
import { isKeyturnError } from '../errors.ts'
import { migrations, migrationTable } from './migrations.ts'
import { assertKnown, migrate, schemaSql } from './schema.ts'
import type { SqlState } from './sql.ts'

const tables = [
  'audit_event',
  'audit_head',
  'certificate',
  'field',
  'key_version',
  'key_wrapping',
  'keyring',
  'migration',
  'rotation',
  'sealed',
  'set_aside',
  'setting',
  'token_count',
]
/** As the table of migrations lists them. */
const applied = migrations.map(({ number }) => ({ package: 'core', number }))

async function tablesOf(state: SqlState, schema: string): Promise<unknown[]> {
  const { rows } = await state.query('SELECT tablename FROM pg_tables WHERE schemaname = $1::text ORDER BY 1', [schema])
  return rows.map(({ tablename }) => tablename)
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'no error',
    (error: unknown) => (isKeyturnError(error) ? `${error.code}: ${error.message}` : String(error)),
  )
}

describe('on Postgres', () => {
  const database = useDatabase()

  test('many processes that migrate at once leave one schema', async () => {
    const state = pgState(database.pool, 'Keys "of" Ada')
    await Promise.all(Array.from({ length: 5 }, () => migrate(state)))
    await migrate(state)
    expect(await tablesOf(state, 'Keys "of" Ada')).toEqual(tables)
    expect((await state.query(`SELECT package, number FROM ${state.schema}.migration ORDER BY number`)).rows).toEqual(applied)
    await assertKnown(state)
  })

  test('a state that a newer Keyturn has migrated is refused by every opener', async () => {
    const state = pgState(database.pool, 'newer')
    await migrate(state)
    await state.query(`INSERT INTO ${state.schema}.migration (package, number) VALUES ('core', 99)`)
    const message = `ERR_STATE_NEWER: the state in schema "newer" was written by a newer Keyturn (migration 99; this one knows ${applied.length}). Upgrade Keyturn`
    expect(await codeOf(migrate(state))).toBe(message)
    expect(await codeOf(assertKnown(state))).toBe(message)
  })

  test('a state of the first migration is brought to the latest, with what stands in it', async () => {
    const state = pgState(database.pool, 'older')
    const [first] = migrations
    await state.exec(`CREATE SCHEMA ${state.schema}; ${migrationTable(state.schema)} ${first?.sql(state.schema)}
      INSERT INTO ${state.schema}.migration (package, number) VALUES ('core', 1);
      INSERT INTO ${state.schema}.setting (name, value) VALUES ('kept', '\\x01')`)
    expect(await codeOf(assertKnown(state))).toContain(
      'ERR_STATE_OLDER: the state in schema "older" was made by an older Keyturn (migration 1',
    )
    await migrate(state)
    await assertKnown(state)
    expect(await tablesOf(state, 'older')).toEqual(tables)
    expect((await state.query(`SELECT name FROM ${state.schema}.setting`)).rows).toEqual([{ name: 'kept' }])
  })

  test('a migration of another package does not count as ours', async () => {
    const state = pgState(database.pool, 'other_package')
    await migrate(state)
    await state.query(`INSERT INTO ${state.schema}.migration (package, number) VALUES ('server', 99)`)
    await assertKnown(state)
  })

  test('another package has its tables made after ours, counted by itself, once by however many processes', async () => {
    const state = pgState(database.pool, 'two_packages')
    const step = (number: number, table: string) => ({ number, sql: (schema: string) => `CREATE TABLE ${schema}.${table} (id int);` })
    const first = { package: 'guest', migrations: [step(1, 'guest_one')] }
    await Promise.all([migrate(state, first), migrate(state, first), migrate(state)])
    const second = { package: 'guest', migrations: [...first.migrations, step(2, 'guest_two')] }
    await migrate(state, second)
    expect(await tablesOf(state, 'two_packages')).toEqual([...tables, 'guest_one', 'guest_two'].sort())
    const { rows } = await state.query(`SELECT number FROM ${state.schema}.migration WHERE package = 'guest' ORDER BY 1`)
    expect(rows).toEqual([{ number: 1 }, { number: 2 }])
    expect(await codeOf(migrate(state, first))).toContain('ERR_STATE_NEWER')
    await assertKnown(state)
  })

  test('a user who may not create the schema is told what to give to the DBA', async () => {
    const role = `poor_${Date.now()}`
    await database.pool.query(`CREATE ROLE ${role} LOGIN PASSWORD '${role}'`)
    const url = new URL(database.url)
    url.username = role
    url.password = role
    const { Pool } = await import('pg')
    const pool = new Pool({ connectionString: url.href, max: 2 })
    try {
      const state = pgState(pool, 'for_dba')
      expect(await codeOf(assertKnown(state))).toContain('ERR_STATE_MISSING')
      expect(await codeOf(migrate(state))).toBe(
        'ERR_STATE_MISSING: the tables of Keyturn are not there, in schema "for_dba". "keyturn init" makes them; if this user may not, give the output of "keyturn init --sql" to your DBA',
      )
      await database.pool.query(schemaSql('"for_dba"'))
      expect(await codeOf(migrate(state))).toContain('ERR_PRIVILEGE: the database user lacks the privilege USAGE on schema "for_dba"')
      await database.pool.query(`GRANT USAGE ON SCHEMA for_dba TO ${role}`)
      expect(await codeOf(assertKnown(state))).toContain('lacks the privilege SELECT on the tables of schema "for_dba"')
      await database.pool.query(
        `GRANT USAGE ON SCHEMA for_dba TO ${role}; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA for_dba TO ${role}`,
      )
      await migrate(state)
      await assertKnown(state)
    } finally {
      await pool.end()
      await database.pool.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
    }
  })

  test('the SQL for a DBA leaves what migrate leaves', async () => {
    const shape = async (schema: string) => {
      const { rows } = await database.pool.query(
        'SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns WHERE table_schema = $1 ORDER BY 1, 2',
        [schema],
      )
      return rows
    }
    await database.pool.query(schemaSql('"by_hand"'))
    await migrate(pgState(database.pool, 'by_code'))
    expect(await shape('by_hand')).toEqual(await shape('by_code'))
    expect((await shape('by_hand')).length).toBeGreaterThan(40)
  })
})

describe('on PGlite', () => {
  const pglite = usePglite()

  test('migrates once and is known', async () => {
    const state = pgliteState(pglite())
    expect(await codeOf(assertKnown(state))).toContain('ERR_STATE_MISSING')
    await migrate(state)
    await migrate(state)
    expect(await tablesOf(state, 'keyturn')).toEqual(tables)
    await assertKnown(state)
  })

  test('the SQL for a DBA runs', async () => {
    const db = await createPglite()
    await db.exec(schemaSql('"keyturn"'))
    await assertKnown(pgliteState(db))
    await db.close()
  })
})
