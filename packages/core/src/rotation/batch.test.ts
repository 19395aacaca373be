import { expect, test } from 'vitest'
import { damaged, fieldOf, newKeys, oldKeys, writeOld } from '../../../../test/rotation/world.ts'
import hexColon from '../codecs/hex-colon.ts'
import kt1 from '../codecs/kt1.ts'
import memory from '../databases/memory.ts'
import type { Codec } from '../field/codec.ts'
import type { Field } from '../field/field.ts'
import type { Keyring } from '../keyring/keyring.ts'
import type { LiveKeyring } from '../keyring/live-keyring.ts'
import { staticKeyring, staticVersion } from '../keyring/static-keyring.ts'
import { sealBatch } from './batch.ts'
import { digestOf } from './cells.ts'
import { tableWalks } from './walks.ts'

const table = {
  name: 'tokens',
  key: [{ name: 'id', type: 'int' }],
  columns: [
    { name: 'token', type: 'text' },
    { name: 'second', type: 'text' },
  ],
} as const

/** Seals rows of one table, read as the engine reads them. */
async function seal(fields: readonly Field[], rows: readonly { token?: string | null; second?: string | null }[]) {
  const database = memory({
    tables: [{ ...table, rows: rows.map((row, index) => ({ id: index + 1, token: null, second: null, ...row })) }],
  })
  const [walk] = await tableWalks(database, fields, false)
  return await sealBatch(walk!, await database.scan(walk!.walk, null, 10_000))
}
const old = (text: string) => writeOld(text) as string

test('values are rewritten, left as current, or set aside, and rows change whole', async () => {
  const fields = [fieldOf('tokens.token'), fieldOf('tokens.second', { empty: 'keep' })]
  const current = (await fields[0]!.encrypt('current')) as string
  const broken = damaged()
  const batch = await seal(fields, [
    { token: old('a'), second: old('b') },
    { token: current, second: '' },
    { token: broken, second: old('c') },
    { token: '', second: null },
  ])
  expect(batch).toMatchObject({ current: 2, rows: 4, last: ['4'] })
  expect(batch.changes.map(({ cells }) => cells.length)).toEqual([2, 1])
  expect(batch.changes.map(({ key }) => key)).toEqual([['1'], ['3']])
  expect(batch.changes[1]!.to[0]).toBe(broken)
  expect(batch.setAside).toEqual([
    { field: fields[0]!.name, row: { id: '3' }, reason: 'ERR_DECRYPT', digest: digestOf(broken) },
    { field: fields[0]!.name, row: { id: '4' }, reason: 'ERR_EMPTY_VALUE', digest: digestOf('') },
  ])
  expect(await fields[1]!.decrypt(batch.changes[0]!.to[1]!)).toBe('b')
  expect(await seal(fields, [])).toMatchObject({ changes: [], last: null, rows: 0 })
})

test('a codec that writes what it does not read back stops the run before anything is written', async () => {
  const liar = (more: Partial<Codec>): Codec => {
    const codec: Codec = { ...kt1(), ...more }
    return { ...codec, encryptMany: (plaintexts, key, contexts) => plaintexts.map((each, at) => codec.encrypt(each, key, contexts[at]!)) }
  }
  const honest = kt1()
  const another = liar({ encrypt: (_, key, context) => honest.encrypt(Buffer.from('another'), key, context) })
  const elsewhere = liar({ encrypt: (plaintext) => old(Buffer.from(plaintext).toString()) })
  const broken = liar({
    encrypt: (plaintext, key, context) => {
      const value = honest.encrypt(plaintext, key, context) as string
      return value.slice(0, 20) + (value[20] === 'A' ? 'B' : 'A') + value.slice(21)
    },
  })
  for (const writes of [another, elsewhere, broken]) {
    const refused = seal([fieldOf('tokens.token', { writes })], [{ token: old('a secret text') }])
    await expect(refused).rejects.toMatchObject({ code: 'ERR_ROUND_TRIP' })
    await expect(refused).rejects.toThrow(/^(?!.*secret)/)
  }
})

/** A keyring that counts what it is asked for. */
function counting(keyring: LiveKeyring, after: Keyring = keyring.snapshot) {
  const asked = { reserved: [] as number[], reloads: [] as (string | undefined)[] }
  let snapshot = keyring.snapshot
  let left = 0
  const live: LiveKeyring = {
    ...keyring,
    get snapshot() {
      return snapshot
    },
    reserve: async (messages) => {
      asked.reserved.push(messages)
      left = Math.max(left, messages)
    },
    spend: (messages) => {
      if (left < messages) throw new Error('more was spent than was reserved')
      left -= messages
      return snapshot.active
    },
    reload: async (id) => {
      asked.reloads.push(id)
      snapshot = after
      return snapshot
    },
  }
  return { live, asked }
}

test('messages are reserved in one sum for each keyring, before they are spent', async () => {
  const [one, two] = [counting(newKeys), counting(staticKeyring('two', newKeys.snapshot.versions))]
  const fields = [fieldOf('tokens.token', { keyring: one.live }), fieldOf('tokens.second', { keyring: two.live })]
  const rows = Array.from({ length: 10 }, (_, index) => ({ token: index === 0 ? null : old('a'), second: index < 3 ? old('b') : null }))
  await seal(fields, rows)
  expect([one.asked.reserved, two.asked.reserved]).toEqual([[9], [3]])
  const shared = counting(newKeys)
  await seal([fieldOf('tokens.token', { keyring: shared.live }), fieldOf('tokens.second', { keyring: shared.live })], rows)
  expect(shared.asked.reserved).toEqual([12])
})

test('a key that is not known here is asked for once, and opens when the keyring knows it by then', async () => {
  const later = staticKeyring('app', [...newKeys.snapshot.versions, staticVersion('aaaqeaye', 2, 'retiring', Buffer.alloc(32, 9))])
  const context = { keyring: 'app', field: 'tokens.token', bound: [] }
  const value = kt1().encrypt(Buffer.from('a'), later.snapshot.get('aaaqeaye')!, context) as string
  const knows = counting(newKeys, later.snapshot)
  const found = await seal([fieldOf('tokens.token', { keyring: knows.live })], [{ token: value }, { token: value }])
  expect([found.changes.length, found.setAside, knows.asked.reloads]).toEqual([2, [], ['aaaqeaye']])
  const knowsNot = counting(newKeys)
  const lost = await seal([fieldOf('tokens.token', { keyring: knowsNot.live })], [{ token: value }])
  expect([lost.changes, lost.setAside[0]?.reason, knowsNot.asked.reloads]).toEqual([[], 'ERR_KEY_NOT_FOUND', ['aaaqeaye']])
  expect(oldKeys.snapshot.get('aaaqeaye')).toBeUndefined()
})

/** Rows of one table with a document and a key id, sealed by these fields. */
async function sealPlaces(
  fields: readonly Field[],
  rows: readonly { token?: string | null; doc?: string | null; key_id?: string | null }[],
) {
  const columns = [
    { name: 'token', type: 'text' },
    { name: 'doc', type: 'text' },
    { name: 'key_id', type: 'text' },
  ] as const
  const filled = rows.map((row, index) => ({ id: index + 1, token: null, doc: null, key_id: null, ...row }))
  const database = memory({ tables: [{ name: 'places', key: [{ name: 'id', type: 'int' }], columns, rows: filled }] })
  const [walk] = await tableWalks(database, fields, false)
  return await sealBatch(walk!, await database.scan(walk!.walk, null, 10_000))
}

test('fields that share a document change it together, and leave everything else in it as it was', async () => {
  const [plain, secret] = [
    fieldOf('places.doc:/*/v', { name: 'v', where: { secret: true } }),
    fieldOf('places.doc:/list/*', { name: 'list' }),
  ]
  const current = (await secret.encrypt('current')) as string
  const doc = (...values: string[]) =>
    `{ "a":{"v":"${values[0]}" ,"secret":true},"b":{"v":"plain","secret":false},\n"list":["${values[1]}",null,"${current}"], "n":1.0 }`
  const broken = damaged()
  const batch = await sealPlaces(
    [plain, secret],
    [{ doc: doc(old('a'), old('l')) }, { doc: doc(broken, old('l')) }, { doc: '[]' }, { doc: 'no JSON' }],
  )
  expect(batch.changes.map(({ key, cells }) => [key[0], cells.length])).toEqual([
    ['1', 2],
    ['2', 1],
  ])
  const written = JSON.parse(batch.changes[0]!.to[0] as string)
  expect([await plain.decrypt(written.a.v), await secret.decrypt(written.list[0])]).toEqual(['a', 'l'])
  expect(batch.changes[0]!.to[0]).toBe(doc(written.a.v, written.list[0]))
  expect(batch.current).toBe(2)
  expect(batch.setAside.map(({ field, row, path, reason }) => [field, row.id, path, reason])).toEqual([
    ['v', '2', '/a/v', 'ERR_DECRYPT'],
    ['v', '4', undefined, 'ERR_DOCUMENT'],
    ['list', '4', undefined, 'ERR_DOCUMENT'],
  ])
  expect(batch.setAside[0]!.digest).toEqual(digestOf(broken))
})

test('a value that two fields claim stops the run: nobody knows whose it is', async () => {
  const fields = [fieldOf('places.doc:/*', { name: 'any' }), fieldOf('places.doc:/a', { name: 'a' })]
  expect((await sealPlaces(fields, [{ doc: JSON.stringify({ b: old('b') }) }])).changes.length).toBe(1)
  await expect(sealPlaces(fields, [{ doc: JSON.stringify({ a: old('a') }) }])).rejects.toMatchObject({ code: 'ERR_CONFIG' })
})

test('what a field keeps is left as it is, in columns and in documents', async () => {
  const fields = [fieldOf('places.token', { keep: /env:.*/ }), fieldOf('places.doc:/a', { name: 'doc', keep: /env:.*/, empty: 'keep' })]
  const batch = await sealPlaces(fields, [
    { token: 'env:TOKEN', doc: '{"a":"env:X"}' },
    { token: old('x'), doc: '{"a":""}' },
  ])
  expect([batch.current, batch.setAside, batch.changes.map(({ to }) => to[1])]).toEqual([3, [], ['{"a":""}']])
})

test('a value and its key id change together, from an older key and from the form without one', async () => {
  const keyring = staticKeyring('app', [...newKeys.snapshot.versions, staticVersion('oldoldol', 2, 'retiring', Buffer.alloc(32, 0x11))])
  const reads = [{ codec: hexColon({}), keyring: oldKeys }]
  const field = fieldOf('places.token', { keyring, writes: hexColon({}), reads, keyId: 'key_id' })
  const { value, keyId } = await field.encryptKeyed('current')
  const batch = await sealPlaces(
    [field],
    [
      { token: old('a'), key_id: 'oldoldol' },
      { token: old('b'), key_id: null },
      { token: value as string, key_id: keyId },
      { token: old('c'), key_id: 'unknown' },
      { token: null, key_id: 'oldoldol' },
    ],
  )
  expect([batch.current, batch.setAside.map(({ row, reason }) => [row.id, reason])]).toEqual([1, [['4', 'ERR_KEY_NOT_FOUND']]])
  for (const [index, text] of ['a', 'b'].entries()) {
    const [token, id] = batch.changes[index]!.to as [string, string]
    expect([id, await field.decryptKeyed({ value: token, keyId: id })]).toEqual(['newnewne', text])
  }
})
