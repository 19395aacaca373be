import type { PGlite } from '@electric-sql/pglite'
import { env, open } from '@keyturn/core'
import type { Pool } from 'pg'
import { storeConformance } from '../../../../test/conformance/secrets/store.ts'
import { createDatabase } from '../../../../test/harness/postgres.ts'

const table = `CREATE TABLE connectors (id int PRIMARY KEY, name text NOT NULL, api_key text, previous_key text);
  INSERT INTO connectors VALUES (41, 'other', 'no value of this field', NULL), (42, 'billing', NULL, NULL)`
const application = {
  fields: {
    'connectors.api_key': { column: 'connectors.api_key', keyring: 'app', bind: ['id', 'name'] },
    'connectors.previous_key': { column: 'connectors.previous_key', keyring: 'app', bind: ['id'] },
  },
}
const config = {
  store: 'field',
  field: { value: 'connectors.api_key', old: 'connectors.previous_key' },
  row: { id: '42' },
}
const given = { keyrings: { app: { root: env('ROOT') } }, ...application }

/** The application reads its row as it always does. */
async function underTest(
  database: { readonly pool: Pool } | { readonly pglite: PGlite },
  query: (sql: string) => Promise<{ rows: unknown[] }>,
) {
  const keyturn = await open(given, { ...database, env: { ROOT: '5e'.repeat(32) }, warn: () => {} })
  const rowOf = async (id: number) =>
    (await query(`SELECT id, name, api_key, previous_key FROM connectors WHERE id = ${id}`)).rows[0] as {
      readonly id: number
      readonly name: string
      readonly api_key: string | null
      readonly previous_key: string | null
    }
  return {
    config,
    application,
    names: ['value', 'old'] as const,
    read: async () => {
      const { id, name, api_key, previous_key } = await rowOf(42)
      return {
        ...(api_key && { value: String(await keyturn.field('connectors.api_key').decrypt(api_key, { id, name })) }),
        ...(previous_key && { old: String(await keyturn.field('connectors.previous_key').decrypt(previous_key, { id })) }),
      }
    },
    others: async () => [await rowOf(41), (await rowOf(42)).name],
    close: () => keyturn.close(),
  }
}

storeConformance('field, on PGlite', async (pglite) => {
  await pglite.exec(table)
  return await underTest({ pglite }, (sql) => pglite.query(sql))
})

storeConformance('field, on PostgreSQL', async () => {
  const database = await createDatabase()
  await database.pool.query(table)
  const { close, ...under } = await underTest({ pool: database.pool }, (sql) => database.pool.query(sql))
  return {
    ...under,
    pool: database.pool,
    close: async () => {
      await close()
      await database.drop()
    },
  }
})
