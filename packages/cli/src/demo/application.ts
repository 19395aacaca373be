import { createCipheriv, createSecretKey, randomBytes } from 'node:crypto'
import type { PGlite } from '@electric-sql/pglite'
import { type Config, defineConfig, env } from '@keyturn/core'

/** The example application: four tables with the tokens of third parties, all encrypted under one key of its environment. */
export const fields = [
  { name: 'jira.token', table: 'jira_configs', column: 'encryptedToken', prefix: 'ATATT3x' },
  { name: 'github.token', table: 'github_configs', column: 'encryptedToken', prefix: 'ghp_' },
  { name: 'slack.token', table: 'slack_configs', column: 'encryptedToken', prefix: 'xoxb-' },
  { name: 'hook.secret', table: 'webhooks', column: 'encryptedSecret', prefix: 'whsec_' },
] as const
export type DemoField = (typeof fields)[number]

/** Its configuration: values are read in the old format under the old key, and written in Keyturn's own under a keyring. */
export const config: Config = defineConfig({
  refreshMs: 500,
  signing: { key: env('SIGNING_KEY') },
  keyrings: { app: { root: env('KEYTURN_ROOT_KEY'), period: '90d' } },
  fields: Object.fromEntries(
    fields.map(({ name, table, column }) => [
      name,
      {
        column: `${table}.${column}`,
        keyring: 'app',
        bind: ['id'],
        insertedFirst: true,
        reads: [{ codec: 'hex-colon', key: env('ENCRYPTION_KEY') }],
      },
    ]),
  ),
})

/** Values damaged on purpose: how, and how many of each kind in each table. */
const damages: readonly ((value: string) => string)[] = [
  (value) => value.slice(0, -6),
  (value) => value.replace(/[0-9a-f]$/, (digit) => (digit === '0' ? '1' : '0')),
  () => 'null',
]

/** A database as the application left it: which values opened before. */
export interface Seeded {
  /** Plaintext by `table id`. */
  readonly plaintexts: Map<string, string>
  /** Rows whose value was damaged, by `table id`. */
  readonly damaged: Set<string>
  readonly total: number
}

/** Makes the tables and fills them, as the application did over the years. */
export async function seed(db: PGlite, rows: number, encryptionKey: string): Promise<Seeded> {
  const key = createSecretKey(Buffer.from(encryptionKey, 'hex'))
  const plaintexts = new Map<string, string>()
  const damaged = new Set<string>()
  for (const [index, { table, column, prefix }] of fields.entries()) {
    await db.exec(`CREATE TABLE ${table} (id integer PRIMARY KEY, name text NOT NULL, "${column}" text)`)
    const count = Math.floor(rows / fields.length) + (index < rows % fields.length ? 1 : 0)
    const values: string[] = []
    for (let id = 1; id <= count; id++) {
      const plaintext = `${prefix}${randomBytes(18).toString('base64url')}`
      const damage = count > 100 ? damages[id - Math.floor(count / 3)] : undefined
      if (damage === undefined) plaintexts.set(`${table} ${id}`, plaintext)
      else damaged.add(`${table} ${id}`)
      values.push(damage?.(encrypt(plaintext, key)) ?? encrypt(plaintext, key))
    }
    await db.query(`INSERT INTO ${table} SELECT n, 'account ' || n, v FROM unnest($1::text[]) WITH ORDINALITY AS u(v, n)`, [values])
    await db.exec(`ANALYZE ${table}`)
  }
  return { plaintexts, damaged, total: rows }
}

/**
 * Damages some values that name a key, as an unlucky script would: they open under nothing any more, and still say which key they were
 * under.
 *
 * @returns how many
 */
export async function damage(db: PGlite, { plaintexts, damaged }: Seeded, count: number): Promise<number> {
  const [, { table, column }] = fields
  const { rows } = await db.query<{ id: number }>(
    `UPDATE ${table} SET "${column}" = left("${column}", -4) || 'AAAA'
     WHERE id IN (SELECT id FROM ${table} WHERE "${column}" LIKE 'kt1.%' ORDER BY id LIMIT $1) RETURNING id`,
    [count],
  )
  for (const { id } of rows) {
    plaintexts.delete(`${table} ${id}`)
    damaged.add(`${table} ${id}`)
  }
  return rows.length
}

/** As the application does it: hex(iv):hex(tag):hex(ciphertext), AES-256-GCM. */
function encrypt(plaintext: string, key: ReturnType<typeof createSecretKey>): string {
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, iv)
  const ciphertext = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final()])
  return [iv, cipher.getAuthTag(), ciphertext].map((part) => part.toString('hex')).join(':')
}
