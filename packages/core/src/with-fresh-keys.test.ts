import { afterEach, beforeEach, expect, test } from 'vitest'
import { useDatabase } from '../../../test/harness/postgres.ts'
import { defineConfig, env } from './config/config.ts'
import type { Keyturn } from './keyturn.ts'
import { open } from './open.ts'
import { withFreshKeys } from './with-fresh-keys.ts'

const blob = { codec: 'blob', order: 'iv.tag.ct' } as const
/** One field for column types, and another that reads keys of the application's own table, which only decrypt. */
const configOf = (refreshMs: number) =>
  defineConfig({
    refreshMs,
    keyrings: {
      app: { root: env('ROOT') },
      old: { table: 'encryption_keys', columns: { id: 'version', wrapped: 'wrapped' }, wrapped: blob, key: env('KEK') },
    },
    fields: {
      token: { column: 'tokens.token', keyring: 'app' },
      secret: { column: 'secrets.value', keyId: 'keyId', keyring: 'app', writes: blob, reads: [{ ...blob, keyring: 'old' }] },
    },
  })

const server = useDatabase()
let keyturn: Keyturn
beforeEach(async () => {
  await server.pool.query('DROP SCHEMA IF EXISTS keyturn CASCADE; DROP TABLE IF EXISTS encryption_keys, tokens, secrets')
  await server.pool.query('CREATE TABLE encryption_keys (version int PRIMARY KEY, wrapped text)')
  await server.pool.query('CREATE TABLE tokens (id int PRIMARY KEY, token text)')
  await server.pool.query('CREATE TABLE secrets (id int PRIMARY KEY, value text, "keyId" text)')
})
afterEach(() => keyturn.close())

const start = async (refreshMs: number) => {
  keyturn = await open(configOf(refreshMs), { pool: server.pool, env: { ROOT: 'ab'.repeat(32), KEK: 'cd'.repeat(32) } })
}
const code = (expected: string) => expect.objectContaining({ code: expected })
const encrypt = (text: string) => keyturn.field('token').encryptSync(text)

test('More messages are reserved beside a keyring that only decrypts.', async () => {
  await start(3_600_000)
  const many = () => Array.from({ length: 1_500 }, (_, index) => encrypt(`text ${index}`))
  expect(many).toThrow(code('ERR_KEY_NOT_LOADED'))
  expect(await withFreshKeys(keyturn, many)).toHaveLength(1_500)
})

test('A process that slept loads its keyrings and goes on.', async () => {
  await start(500)
  // Nothing else runs meanwhile, as in a machine that is suspended.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_500)
  expect(() => encrypt('text')).toThrow(code('ERR_KEYRING_STALE'))
  const stored = await withFreshKeys(keyturn, () => encrypt('text'))
  expect(await keyturn.field('token').decrypt(stored)).toBe('text')
})
