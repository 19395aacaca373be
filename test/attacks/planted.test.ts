import { beforeEach, describe, expect, test } from 'vitest'
import blob from '../../packages/core/src/codecs/blob.ts'
import hexColon from '../../packages/core/src/codecs/hex-colon.ts'
import kt1 from '../../packages/core/src/codecs/kt1.ts'
import plain from '../../packages/core/src/codecs/plain.ts'
import postgres, { pgState } from '../../packages/core/src/databases/postgres.ts'
import { staticKeyring, staticVersion } from '../../packages/core/src/keyring/static-keyring.ts'
import type { Database } from '../../packages/core/src/rotation/database.ts'
import { rotate } from '../../packages/core/src/rotation/rotate.ts'
import { verifyFields } from '../../packages/core/src/rotation/verify.ts'
import { migrate } from '../../packages/core/src/state/schema.ts'
import { useDatabase } from '../harness/postgres.ts'
import { fieldOf, newKey, oldKey, oldKeys, rotationOf, writeOld } from '../rotation/world.ts'

const server = useDatabase()
let database: Database

// The keyring was rotated before: values stand under a retiring version and under the active one.
const keys = staticKeyring('app', [
  staticVersion('oldoldol', 1, 'retiring', oldKey),
  staticVersion('newnewne', 2, 'active', newKey),
  staticVersion('pendingp', 3, 'pending', Buffer.alloc(32, 0x33)),
])
const before = staticKeyring('app', [staticVersion('oldoldol', 1, 'active', oldKey)])
const bind = [{ column: 'owner', type: 'int' }] as const
const reads = [{ codec: hexColon({}), keyring: oldKeys }]
const field = fieldOf('tokens.token', { keyring: keys, bind, reads })
const fieldBefore = fieldOf('tokens.token', { keyring: before, bind, reads })
const foreign = (id: string) => staticKeyring('foreign', [staticVersion(id, 1, 'active', Buffer.alloc(32, 0x77))])

beforeEach(async () => {
  await server.pool.query(
    'DROP SCHEMA IF EXISTS keyturn CASCADE; DROP TABLE IF EXISTS tokens; CREATE TABLE tokens (id bigint PRIMARY KEY, owner int NOT NULL, token text)',
  )
  await migrate(pgState(server.pool))
  database = postgres({ pool: server.pool })
  for (let id = 1; id <= 40; id++) await put(id, fieldBefore.encryptSync(`token ${id}`, { owner: id }) as string)
})

async function put(id: number, token: string): Promise<void> {
  await server.pool.query('INSERT INTO tokens VALUES ($1::int, $1::int, $2) ON CONFLICT (id) DO UPDATE SET token = excluded.token', [
    id,
    token,
  ])
}
async function get(id: number): Promise<string> {
  return (await server.pool.query('SELECT token FROM tokens WHERE id = $1', [id])).rows[0].token
}
const flipped = (text: string, at: number) => text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1)

describe('A planted value is set aside with its reason, and never overwritten', () => {
  const sealed = (owner: number, more = {}) =>
    fieldOf('tokens.token', { keyring: keys, bind, reads, ...more }).encryptSync('stolen', { owner }) as string
  const attacks: readonly (readonly [string, () => string, string])[] = [
    ['a value of another row under the old version', () => fieldBefore.encryptSync('x', { owner: 8 }) as string, 'ERR_DECRYPT'],
    ['a value of another row under the active version', () => sealed(8), 'ERR_DECRYPT'],
    ['a value of another field', () => sealed(7, { name: 'other.field' }), 'ERR_DECRYPT'],
    [
      'a value of another keyring that knows the same version',
      () => sealed(7, { keyring: staticKeyring('other', [staticVersion('newnewne', 1, 'active', newKey)]) }),
      'ERR_DECRYPT',
    ],
    ['a value under another key with the active id', () => sealed(7, { keyring: foreign('newnewne') }), 'ERR_DECRYPT'],
    ['a value that is bound to nothing', () => fieldOf('tokens.token', { keyring: keys, reads }).encryptSync('x') as string, 'ERR_DECRYPT'],
    ['a value of a version that nobody knows', () => sealed(7, { keyring: foreign('zzzzzzzz') }), 'ERR_KEY_NOT_FOUND'],
    ['a value of a newer format', () => sealed(7).replace('kt1.', 'kt2.'), 'ERR_DECRYPT'],
    ['a damaged value under the active version', () => flipped(sealed(7), 30), 'ERR_DECRYPT'],
    ['a truncated value under the active version', () => sealed(7).slice(0, -1), 'ERR_DECRYPT'],
    ['only the prefix of a current value', () => 'kt1.newnewne.', 'ERR_DECRYPT'],
    ['the prefix of a current value before an old value', () => `kt1.newnewne.${writeOld('x')}`, 'ERR_DECRYPT'],
    ['a value in upper case', () => sealed(7).toUpperCase(), 'ERR_DECRYPT'],
    ['a value of the older format under the new key', () => writeOld('x', hexColon({}), keys) as string, 'ERR_DECRYPT'],
    [
      'an old value with a flipped digit',
      () => (writeOld('x') as string).replace(/.$/, (digit) => (digit === '0' ? '1' : '0')),
      'ERR_DECRYPT',
    ],
    ['plain text', () => 'sk_live_0123456789', 'ERR_DECRYPT'],
    ['the empty string', () => '', 'ERR_EMPTY_VALUE'],
    ['white space', () => ' ', 'ERR_DECRYPT'],
    ['SQL', () => `'); DROP TABLE tokens; --`, 'ERR_DECRYPT'],
  ]

  test.each(attacks)('%s', async (_, make, reason) => {
    const planted = make()
    await put(7, planted)
    const result = await rotate(rotationOf(database, [field], { accept: true }))
    expect(result).toMatchObject({ state: 'completed', total: 40, rotated: 39, failedCount: 1 })
    expect(result.failed).toEqual([{ field: 'tokens.token', row: { id: '7' }, reason }])
    expect(await get(7)).toBe(planted)
    const list = await database.runs.setAside(result.id, 10)
    expect(list.values.map(({ row, reason }) => ({ row, reason }))).toEqual([{ row: { id: '7' }, reason }])
    expect(await verifyFields({ database, fields: [field], known: list.values })).toMatchObject({
      current: 39,
      other: 0,
      failedCount: 1,
      setAside: 1,
    })
    expect(JSON.stringify([result, list.values])).not.toContain(
      planted === '' ? 'kt1.' : JSON.stringify(planted).slice(1, -1) === ' ' ? 'kt1.' : planted,
    )
  })

  test('All of them together, in transaction mode, with the rest committed', async () => {
    const planted = attacks.map(([, make]) => make().replaceAll('\0', ''))
    for (const [index, value] of planted.entries()) await put(index + 1, value)
    const result = await rotate(rotationOf(database, [field], { mode: 'transaction', accept: true, setAside: true }))
    // Row 7 and row 8 are where some of these values belong; all others stay out of place.
    const reasons = new Map(result.failed.map(({ row, reason }) => [Number(row.id), reason]))
    for (const [index, [, , reason]] of attacks.entries()) if (![7, 8].includes(index + 1)) expect(reasons.get(index + 1)).toBe(reason)
    for (const id of reasons.keys()) expect(await get(id)).toBe(planted[id - 1])
  })
})

test('A value under a pending version opens, and is rewritten under the active one', async () => {
  await put(
    7,
    fieldOf('tokens.token', {
      keyring: staticKeyring('app', [staticVersion('pendingp', 3, 'active', Buffer.alloc(32, 0x33))]),
      bind,
    }).encryptSync('early', { owner: 7 }) as string,
  )
  expect(await rotate(rotationOf(database, [field]))).toMatchObject({ rotated: 40, failedCount: 0 })
  expect(field.decryptSync(await get(7), { owner: 7 })).toBe('early')
})

test('A field that reads plain text encrypts plain text, and none of what could be a ciphertext', async () => {
  const open = fieldOf('tokens.token', { keyring: keys, bind, reads: [...reads, { codec: plain({ looksLike: '.+' }), keyring: null }] })
  const sealed = field.encryptSync('x', { owner: 7 }) as string
  const never = [
    sealed.replace('kt1.', 'kt2.'),
    sealed.replace('kt1.', 'kt9.'),
    flipped(sealed, 40),
    sealed.slice(0, 40),
    sealed.slice(1),
    sealed.toUpperCase(),
    (writeOld('x') as string).slice(0, -1),
    (writeOld('x') as string).toUpperCase(),
    `${writeOld('x')}0`,
    fieldBefore.encryptSync('x', { owner: 9 }) as string,
  ]
  for (const [index, value] of never.entries()) await put(index + 1, value)
  await put(30, 'plain as day')
  const result = await rotate(rotationOf(database, [open], { accept: true }))
  expect(result).toMatchObject({ state: 'completed', total: 40, rotated: 40 - never.length, failedCount: never.length })
  for (const [index, value] of never.entries()) expect(await get(index + 1)).toBe(value)
  expect(field.decryptSync(await get(30), { owner: 30 })).toBe('plain as day')
})

test('A value copied into a bytea field, and one that a foreign format wrote, stay as they are', async () => {
  await server.pool.query('DROP TABLE tokens; CREATE TABLE tokens (id bigint PRIMARY KEY, owner int NOT NULL, token bytea)')
  const codec = blob({ encoding: 'bytes' })
  const bytes = fieldOf('tokens.token', { keyring: keys, bind, writes: kt1({ encoding: 'bytes' }), reads: [{ codec, keyring: oldKeys }] })
  const good = Buffer.from(writeOld('good', codec) as Uint8Array)
  const planted = [
    bytes.encryptSync('x', { owner: 99 }),
    Buffer.from(field.encryptSync('x', { owner: 2 }) as string),
    Buffer.from([0x6b, 0x74, 0x02, 1, 2]),
    good.subarray(0, 20),
  ]
  for (const [index, value] of [...planted, good].entries())
    await server.pool.query('INSERT INTO tokens VALUES ($1::int, $1::int, $2)', [index + 1, value])
  const result = await rotate(rotationOf(database, [bytes], { accept: true }))
  expect(result).toMatchObject({ state: 'completed', rotated: 1, failedCount: planted.length })
  const { rows } = await server.pool.query('SELECT token FROM tokens ORDER BY id')
  for (const [index, value] of planted.entries()) expect(Buffer.compare(rows[index].token, Buffer.from(value as Uint8Array))).toBe(0)
  expect(await bytes.decrypt(rows[4].token, { owner: 5 })).toBe('good')
})
