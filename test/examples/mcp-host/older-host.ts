import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import type { Pool } from 'pg'

/** AES-256-GCM as the host has always had it: base64 of IV, tag and ciphertext. */
export function seal(key: Buffer, plaintext: string | Buffer): string {
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, iv)
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()])
  return Buffer.concat([iv, cipher.getAuthTag(), ciphertext]).toString('base64')
}

/** @throws Error where it does not open */
export function unsealBytes(key: Uint8Array, value: string): Buffer {
  const bytes = Buffer.from(value, 'base64')
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12)).setAuthTag(bytes.subarray(12, 28))
  return Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()])
}
export const unseal = (key: Uint8Array, value: string) => unsealBytes(key, value).toString('utf8')

/** What the host had before Keyturn: its tables, versions as numbers, data keys in `encryption_keys`. */
const tables = `
  CREATE TABLE encryption_keys (
    version int PRIMARY KEY, "wrappedDek" text NOT NULL, active boolean NOT NULL DEFAULT false,
    "rotatedBy" text, "createdAt" timestamptz NOT NULL DEFAULT now(), "retiredAt" timestamptz
  );
  CREATE TABLE servers (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL UNIQUE, url text NOT NULL, "createdAt" timestamptz NOT NULL DEFAULT now()
  );
  CREATE TABLE secrets (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), "serverId" uuid NOT NULL REFERENCES servers ON DELETE CASCADE, name text NOT NULL,
    value text NOT NULL, "keyId" int REFERENCES encryption_keys (version), "updatedAt" timestamptz NOT NULL DEFAULT now(),
    "updatedBy" text NOT NULL, UNIQUE ("serverId", name)
  )`

/** A server of before, and under which key its secret stands; null: under the KEK itself. */
export interface OlderServer {
  readonly id: string
  readonly keyId: number | null
}

/** A deployment of before: two data keys, of which the second is active, and a server for each of `keyIds`. */
export async function fillOlder(pool: Pool, kekHex: string, servers: readonly { url: string; secret: string; keyId: number | null }[]) {
  await pool.query(tables)
  const kek = Buffer.from(kekHex, 'hex')
  const deks = [randomBytes(32), randomBytes(32)]
  for (const [index, dek] of deks.entries())
    await pool.query('INSERT INTO encryption_keys (version, "wrappedDek", active, "rotatedBy") VALUES ($1, $2, $3, $4)', [
      index + 1,
      seal(kek, dek),
      index === 1,
      'user:grace',
    ])
  const made: OlderServer[] = []
  for (const [index, { url, secret, keyId }] of servers.entries()) {
    const { rows } = await pool.query('INSERT INTO servers (name, url) VALUES ($1, $2) RETURNING id', [`older ${index}`, url])
    const { id } = rows[0]
    const value = seal(keyId === null ? kek : (deks[keyId - 1] as Buffer), secret)
    await pool.query(
      `INSERT INTO secrets ("serverId", name, value, "keyId", "updatedBy") VALUES ($1, 'Authorization', $2, $3, 'user:grace')`,
      [id, value, keyId],
    )
    made.push({ id, keyId })
  }
  return made
}
