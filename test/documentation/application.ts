import { createCipheriv, randomBytes } from 'node:crypto'
import type { Pool } from 'pg'
import { type Config, defineConfig, env } from '../../packages/core/src/config/config.ts'

/** Environment of the example application: the key it has, and the ones it gets. */
export const environment = {
  ENCRYPTION_KEY: '5e'.repeat(32),
  NEW_ENCRYPTION_KEY: 'a7'.repeat(32),
  KEYTURN_ROOT_KEY: '4f'.repeat(32),
  NEXT_ROOT_KEY: 'c3'.repeat(32),
  SIGNING_KEY: 'e1'.repeat(32),
  JWT_SECRET: '7d'.repeat(32),
}

/** Its configuration, for examples that show only its use. */
export const config: Config = defineConfig({
  database: env('DATABASE_URL'),
  keyrings: { app: { root: env('KEYTURN_ROOT_KEY') } },
  fields: { 'jira.token': { column: 'jira_configs.encryptedToken', keyring: 'app', bind: ['id'], insertedFirst: true } },
})

const tables = { jira_configs: 800, github_configs: 400 }

/**
 * The tables of the application that the documents speak of, with tokens encrypted under ENCRYPTION_KEY as `iv:tag:ciphertext`; and
 * one table of secrets that are not encrypted yet. The database assigns the ids, as it does in most applications.
 */
export async function createApplication(pool: Pool): Promise<void> {
  for (const [table, rows] of Object.entries(tables)) {
    await pool.query(`CREATE TABLE ${table} (id serial PRIMARY KEY, "encryptedToken" text NOT NULL)`)
    const values = Array.from({ length: rows }, (_, index) => encrypted(`token-${table}-${index + 1}`))
    await pool.query(`INSERT INTO ${table} ("encryptedToken") SELECT unnest($1::text[])`, [values])
    await pool.query(`ANALYZE ${table}`)
  }
  await pool.query('CREATE TABLE webhooks (id serial PRIMARY KEY, secret text NOT NULL)')
  await pool.query(`INSERT INTO webhooks (secret) SELECT 'whsec_' || repeat('a1', 12) || n FROM generate_series(1, 100) AS n`)
  await pool.query('ANALYZE webhooks')
}

function encrypted(text: string): string {
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', Buffer.from(environment.ENCRYPTION_KEY, 'hex'), iv)
  const ciphertext = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
  return [iv, cipher.getAuthTag(), ciphertext].map((part) => part.toString('hex')).join(':')
}
