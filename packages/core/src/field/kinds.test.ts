import { expect, test } from 'vitest'
import { useDatabase } from '../../../../test/harness/postgres.ts'
import { type Config, defineConfig, env } from '../config/config.ts'
import type { Keyturn } from '../keyturn.ts'
import { open } from '../open.ts'
import type { Field } from './field.ts'
import type { DecryptedText, EncryptedValue } from './kinds.ts'

const keys = { ROOT: '1a'.repeat(32) }
const config = defineConfig({
  keyrings: { app: { root: env('ROOT') } },
  fields: {
    'user.token': { column: 'users.token', keyring: 'app', bind: ['id'] },
    'user.pair': { column: 'users.pair', keyring: 'app', bind: ['tenant', 'id'] },
    'user.note': { column: 'users.note', keyring: 'app' },
  },
})
const database = useDatabase()

async function opened(): Promise<Keyturn<typeof config>> {
  await database.pool.query('CREATE TABLE IF NOT EXISTS users (id int PRIMARY KEY, tenant text NOT NULL, token text, pair text, note text)')
  return await open(config, { pool: database.pool, env: keys })
}

// What must not compile is marked: tsc fails where such a line compiles ("npm run types").
test('A stored value and a decrypted one are different types, and neither is taken for the other.', async () => {
  const keyturn = await opened()
  const note = keyturn.field('user.note')
  const stored: EncryptedValue = await note.encrypt('plain')
  const plain: DecryptedText = await note.decrypt(stored)
  expect(plain).toBe('plain')

  // @ts-expect-error what was decrypted is no stored value
  const wrong: EncryptedValue = plain
  // @ts-expect-error what is stored was not decrypted
  const other: DecryptedText = stored
  // @ts-expect-error what was decrypted does not open
  await expect(note.decrypt(plain)).rejects.toMatchObject({ code: 'ERR_DECRYPT' })
  // @ts-expect-error what is encrypted is not encrypted again
  const twice: Promise<EncryptedValue> = note.encrypt(stored)
  // @ts-expect-error nor in the sync form
  expect(note.decryptSync(note.encryptSync(stored))).toBe(stored)
  expect([wrong, other, await note.decrypt(await twice)]).toEqual([plain, stored, stored])

  // What a driver or a form gives is a text like any other.
  const fromDriver: string = String(stored)
  expect(await note.decrypt(fromDriver)).toBe('plain')
  const parameter: string | Uint8Array = stored
  expect(await note.decrypt(await note.encrypt(plain))).toBe('plain')
  expect(parameter).toBe(stored)
  await keyturn.close()
})

test('A bound field asks for its bound columns, and no field takes others.', async () => {
  const keyturn = await opened()
  const [token, pair, note] = [keyturn.field('user.token'), keyturn.field('user.pair'), keyturn.field('user.note')]
  const stored = await token.encrypt('secret', { id: 1 })
  expect(await token.decrypt(stored, { id: 1 })).toBe('secret')
  expect(await pair.decrypt(await pair.encrypt('both', { id: 1, tenant: 'a' }), { tenant: 'a', id: 1 })).toBe('both')

  const refused = { code: 'ERR_BOUND_VALUE' }
  // @ts-expect-error the id is missing
  await expect(token.encrypt('secret')).rejects.toMatchObject(refused)
  // @ts-expect-error the id is missing
  await expect(token.decrypt(stored)).rejects.toMatchObject(refused)
  // @ts-expect-error the id is missing
  expect(() => token.encryptSync('secret', {})).toThrow(expect.objectContaining(refused))
  // @ts-expect-error null is no value to be bound to
  await expect(token.encrypt('secret', { id: null })).rejects.toMatchObject(refused)
  // @ts-expect-error it is bound to another column
  await expect(token.encrypt('secret', { uid: 1 })).rejects.toMatchObject(refused)
  // @ts-expect-error one of two is not enough
  await expect(pair.encrypt('both', { id: 1 })).rejects.toMatchObject(refused)
  // @ts-expect-error it is bound to nothing
  await expect(note.encrypt('plain', { id: 1 })).rejects.toMatchObject(refused)
  await keyturn.close()
})

test('A configuration whose type says nothing leaves the question to the call.', async () => {
  const keyturn: Keyturn<typeof config> = await opened()
  const untyped: Keyturn = keyturn
  const name: string = 'user.token'
  const field: Field = untyped.field(name)
  const stored = await field.encrypt('secret', { id: 1 })
  expect(await keyturn.field(name).decrypt(stored, { id: 1 })).toBe('secret')
  await expect(field.decrypt(stored)).rejects.toMatchObject({ code: 'ERR_BOUND_VALUE' })
  const written: Config = config
  expect(Object.keys(written.fields)).toHaveLength(3)
  await keyturn.close()
})

test('A property that does not exist is an error where the configuration is written.', () => {
  const keyrings = { app: { root: env('ROOT') } }
  // @ts-expect-error there is no such property of a field
  const field = defineConfig({ keyrings, fields: { a: { column: 't.c', keyring: 'app', bound: ['id'] } } })
  // @ts-expect-error there is no such property of a configuration
  const top = defineConfig({ keyrings, fields: {}, key: 1 })
  expect([field, top]).toHaveLength(2)
})
