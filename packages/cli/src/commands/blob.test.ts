import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { keyturn, NEW, OLD, secrets, useUsers } from '../../../../test/harness/users.ts'

const { database } = useUsers()

/** A value as one blob: IV, ciphertext, tag. */
function sealed(plaintext: string, key: string): Buffer {
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', Buffer.from(key, 'hex'), iv)
  return Buffer.concat([iv, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
}

function opened(blob: Buffer, key: string): string {
  const decipher = createDecipheriv('aes-256-gcm', Buffer.from(key, 'hex'), blob.subarray(0, 12)).setAuthTag(blob.subarray(-16))
  return decipher.update(blob.subarray(12, -16), undefined, 'utf8') + decipher.final('utf8')
}

test.each([
  ['text', (blob: Buffer) => blob.toString('base64'), (stored: string) => Buffer.from(stored, 'base64')],
  ['bytea', (blob: Buffer) => blob, (stored: Buffer) => stored],
] as const)('--format blob rewrites a %s column under the new key', async (type, pack, unpack) => {
  await database.pool.query(`DROP TABLE users; CREATE TABLE users (id bigint PRIMARY KEY, token ${type})`)
  for (let id = 1; id <= 20; id++) {
    const stored = pack(sealed(`marked-plaintext ${id}`, OLD))
    if (typeof stored === 'string') secrets.add(stored)
    await database.pool.query('INSERT INTO users VALUES ($1, $2)', [id, stored])
  }
  const flags = ['--database', database.url, '--field', 'users.token', '--format', 'blob', '--old-env', 'OLD_KEY', '--new-env', 'NEW_KEY']
  const planned = await keyturn(['plan', ...flags])
  expect([planned.code, planned.stdout]).toEqual([0, expect.stringMatching(/users\.token +blob /)])
  const rotated = await keyturn(['rotate', ...flags, '--yes', '--max'])
  expect([rotated.code, rotated.stdout]).toEqual([0, expect.stringContaining('20 rows re-encrypted')])
  const { rows } = await database.pool.query('SELECT token FROM users ORDER BY id')
  expect(rows.map(({ token }) => opened(unpack(token as never), NEW))).toEqual(rows.map((_, n) => `marked-plaintext ${n + 1}`))
  expect((await keyturn(['verify', ...flags])).code).toBe(0)
})
