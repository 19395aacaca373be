import { inspect } from 'node:util'
import { beforeEach, expect, test } from 'vitest'
import { useDatabase } from '../../../../test/harness/postgres.ts'
import { pgState } from '../databases/postgres.ts'
import { KeyMaterial } from '../keyring/key-version.ts'
import type { LiveKeyring } from '../keyring/live-keyring.ts'
import type { Sql } from '../state/sql.ts'
import tableKeyring, { type TableKeyringOptions } from './table.ts'

const server = useDatabase()
let loads = 0
let unwrapped: string[] = []
const warnings: string[] = []
beforeEach(async () => {
  await server.pool.query('DROP TABLE IF EXISTS dek; CREATE TABLE dek (id text, key text, made timestamptz)')
  loads = 0
  unwrapped = []
  warnings.length = 0
})
const add = (id: string | null, key: string | null, made = '2024-01-01T00:00:00Z') =>
  server.pool.query('INSERT INTO dek VALUES ($1, $2, $3)', [id, key, made])
const openTable = (more: Partial<TableKeyringOptions> = {}): Promise<LiveKeyring> => {
  const state = pgState(server.pool)
  const sql: Sql = {
    ...state,
    query: async (text, values) => {
      loads++
      return await state.query(text, values)
    },
  }
  return tableKeyring({
    sql,
    name: 'old',
    table: '"dek"',
    columns: { id: 'id', wrapped: 'key', createdAt: 'made' },
    // The wrapped text is the byte that the key is made of; what is no number does not open.
    unwrap: async (wrapped) => {
      unwrapped.push(String(wrapped))
      return /^\d+$/.test(String(wrapped)) ? new KeyMaterial(new Uint8Array(32).fill(Number(wrapped))) : null
    },
    roots: 'KEK',
    warn: (sentence) => warnings.push(sentence),
    ...more,
  })
}

test('its versions are the rows, numbered in the order of their dates; none is active, and nothing is encrypted with them', async () => {
  await add('b', '2', '2025-01-01T00:00:00Z')
  await add('a', '1')
  const keyring = await openTable()
  expect(keyring.snapshot.versions.map(({ id, number, state, createdAt }) => [id, number, state, createdAt.getUTCFullYear()])).toEqual([
    ['a', 1, 'retiring', 2024],
    ['b', 2, 'retiring', 2025],
  ])
  expect(keyring.snapshot.decryptOnly).toBe(true)
  expect(() => keyring.snapshot.active).toThrow('keyring "old" only decrypts')
  expect(() => keyring.spend(1)).toThrow('keyring "old" only decrypts')
  await expect(keyring.reserve(1)).rejects.toMatchObject({ code: 'ERR_USAGE' })
  expect(inspect(keyring.snapshot)).toContain("active: 'none'")
})

test('a key is unwrapped once, and stays the same object for as long as its row says the same', async () => {
  await add('a', '1')
  await add('b', '2')
  const keyring = await openTable()
  const before = keyring.snapshot.get('a')?.material
  await server.pool.query(`UPDATE dek SET key = '3' WHERE id = 'b'`)
  await keyring.reload()
  expect(unwrapped).toEqual(['1', '2', '3'])
  expect(keyring.snapshot.get('a')?.material).toBe(before)
  expect(keyring.snapshot.get('b')?.material?.exportPlaintextKey()[0]).toBe(3)
})

test('an id that is not known has the table read once, also for many who ask together, and is then known to be nobody’s', async () => {
  await add('a', '1')
  const keyring = await openTable()
  await keyring.reload('a')
  expect(loads).toBe(1)
  await add('b', '2')
  const found = await Promise.all(Array.from({ length: 20 }, () => keyring.reload('b')))
  expect(found.every((snapshot) => snapshot.get('b') !== undefined)).toBe(true)
  expect(loads).toBe(2)
  await keyring.reload('nobody')
  expect(loads).toBe(3)
  // For at least a second, which this takes no part of: it is not asked again.
  await keyring.reload('nobody')
  for (const impossible of ['', 'with a space', 'x'.repeat(65), "'"]) await keyring.reload(impossible)
  expect(loads).toBe(3)
})

test('an id that is met while the table is read is looked for by a question that is sent afterwards', async () => {
  await add('a', '1')
  const state = pgState(server.pool)
  let release = () => {}
  const gate = new Promise<void>((resolve) => {
    release = resolve
  })
  let asked = 0
  const slow: Sql = {
    ...state,
    query: async (text, values) => {
      const result = await state.query(text, values)
      if (++asked === 2) await gate
      return result
    },
  }
  const keyring = await openTable({ sql: slow })
  const first = keyring.reload()
  await expect.poll(() => asked).toBe(2)
  await add('b', '2')
  const second = keyring.reload('b')
  release()
  expect((await first).get('b')).toBeUndefined()
  expect((await second).get('b')?.id).toBe('b')
})

test('keys that do not open are told once, and again when others do not', async () => {
  await add('a', '1')
  await add('b', 'damaged')
  const keyring = await openTable()
  await keyring.reload()
  expect(warnings).toEqual(['keyring "old": keys that do not open under KEK: b. Values that name them do not open either.'])
  await add('c', 'damaged too')
  await keyring.reload()
  expect(warnings).toHaveLength(2)
  await server.pool.query(`UPDATE dek SET key = '9' WHERE id <> 'a'`)
  await keyring.reload()
  expect(keyring.snapshot.get('c')?.material).not.toBeNull()
  expect(warnings).toHaveLength(2)
})

test.each([
  [
    'two rows with one id',
    [
      ['a', '1'],
      ['a', '2'],
    ],
    'keyrings.old.columns.id: two rows have the same id',
  ],
  ['a row without an id', [[null, '1']], 'expected ids of 1 to 64'],
  ['an id that is no id', [['a secret, perhaps', '1']], 'expected ids of 1 to 64'],
] as [string, [string | null, string][], string][])('%s is refused, without the text', async (_, rows, message) => {
  for (const [id, key] of rows) await add(id, key)
  const error: Error = await openTable().then(
    () => Promise.reject(new Error('it opened')),
    (thrown) => thrown,
  )
  expect(error).toMatchObject({ code: 'ERR_CONFIG', message: expect.stringContaining(message) })
  expect(error.message).not.toContain('perhaps')
})
