import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import type { Pool } from 'pg'
import { defineConfig, env } from '../../packages/core/src/config/config.ts'

/** What the host of servers has in its environment. */
export const keys = { ROOT: 'ab'.repeat(32), SECRETS_ENCRYPTION_KEY: '5e'.repeat(32), SIGNING_KEY: '33'.repeat(32) }
const kek = Buffer.from(keys.SECRETS_ENCRYPTION_KEY, 'hex')

/** The tables as that host has them: key ids are versions, in a column of text. */
export const tables = `
  CREATE TABLE encryption_keys (
    version int PRIMARY KEY, "wrappedDek" text, active boolean NOT NULL DEFAULT false,
    "rotatedBy" text, "createdAt" timestamptz NOT NULL DEFAULT now(), "retiredAt" timestamptz
  );
  CREATE TABLE secrets (id int PRIMARY KEY, name text, value text NOT NULL, "keyId" text)`

/** How the host maps its tables: its own keys are read, and Keyturn's are written. */
export const config = defineConfig({
  refreshMs: 200,
  signing: { key: env('SIGNING_KEY') },
  keyrings: {
    app: { root: env('ROOT') },
    old: {
      table: 'encryption_keys',
      columns: { id: 'version', wrapped: 'wrappedDek', createdAt: 'createdAt' },
      wrapped: { codec: 'blob', order: 'iv.tag.ct' },
      key: env('SECRETS_ENCRYPTION_KEY'),
    },
  },
  fields: {
    'server.secret': {
      column: 'secrets.value',
      keyId: 'keyId',
      keyring: 'app',
      writes: { codec: 'blob', order: 'iv.tag.ct' },
      reads: [
        { codec: 'blob', order: 'iv.tag.ct', keyring: 'old' },
        { codec: 'blob', order: 'iv.tag.ct', key: env('SECRETS_ENCRYPTION_KEY') },
      ],
    },
  },
})

export const fast = { throttle: { share: 1 } }

function seal(key: Buffer, plaintext: Buffer): string {
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, iv)
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()])
  return Buffer.concat([iv, cipher.getAuthTag(), ciphertext]).toString('base64')
}

function unseal(key: Buffer, value: string): Buffer {
  const bytes = Buffer.from(value, 'base64')
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12)).setAuthTag(bytes.subarray(12, 28))
  return Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()])
}

/** The host as it was before Keyturn, from its own code: an instance of it may run beside the new one during a roll-out. */
export function oldHost(pool: Pick<Pool, 'query'>) {
  const keysOf = async () => {
    const { rows } = await pool.query('SELECT version, "wrappedDek", active FROM encryption_keys')
    return rows as { version: number; wrappedDek: string; active: boolean }[]
  }
  return {
    /** A fresh key, which is the active one from now on. */
    makeKey: async (version: number) => {
      await pool.query('UPDATE encryption_keys SET active = false, "retiredAt" = now() WHERE active')
      await pool.query(`INSERT INTO encryption_keys (version, "wrappedDek", active, "rotatedBy") VALUES ($1, $2, true, 'admin')`, [
        version,
        seal(kek, randomBytes(32)),
      ])
    },
    encryptSecret: async (text: string): Promise<{ value: string; keyId: string }> => {
      const active = (await keysOf()).find((key) => key.active)
      if (active === undefined) throw new Error('no active key')
      return { value: seal(unseal(kek, active.wrappedDek), Buffer.from(text)), keyId: String(active.version) }
    },
    /** The form from before there were keys in a table. */
    encryptLegacy: (text: string): { value: string; keyId: null } => ({ value: seal(kek, Buffer.from(text)), keyId: null }),
  }
}

/** Rows 1 to `rows` in turn under the active key of the table, the older form, and an older key of the table: `secret N`. */
export async function fillOld(pool: Pick<Pool, 'query'>, rows: number): Promise<void> {
  const host = oldHost(pool)
  await host.makeKey(1)
  const first = await host.encryptSecret('to know its key')
  await host.makeKey(2)
  for (let id = 1; id <= rows; id++) {
    const { value, keyId } = id % 3 === 0 ? host.encryptLegacy(`secret ${id}`) : await host.encryptSecret(`secret ${id}`)
    await pool.query('INSERT INTO secrets VALUES ($1, $2, $3, $4)', [id, `name ${id}`, value, keyId])
  }
  // One under the key that was retired long ago.
  await pool.query('INSERT INTO secrets VALUES (0, $1, $2, $3)', ['the oldest', first.value, first.keyId])
}
