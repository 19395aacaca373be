import { expect, test } from 'vitest'
import { damaged, fieldOf, newKeys, writeOld } from '../../../../test/rotation/world.ts'
import hexColon from '../codecs/hex-colon.ts'
import kt1 from '../codecs/kt1.ts'
import memory from '../databases/memory.ts'
import type { Field } from '../field/field.ts'
import { sampleField } from './sample.ts'
import { tableWalks } from './walks.ts'

/** What a sample says of each field of a table with one row for each document. */
async function sample(fields: readonly Field[], docs: readonly string[], maxLength = 10_000) {
  const rows = docs.map((doc, id) => ({ id, doc }))
  const columns = [{ name: 'doc', type: 'text', maxLength }] as const
  const database = memory({ tables: [{ name: 'places', key: [{ name: 'id', type: 'int' }], columns, rows }] })
  const [table] = await tableWalks(database, fields, false)
  return await Promise.all(fields.map((_, index) => sampleField(database, table!, index)))
}

const list = fieldOf('places.doc:/list/*', { name: 'list' })
const old = (text: string) => writeOld(text) as string

test('each value of a document is looked at, and the place is named with its path', async () => {
  const current = (await list.encrypt('x')) as string
  const doc = JSON.stringify({ list: [old('a'), current, damaged(), 5, null], a: old('a') })
  const [sampled, other] = await sample([list, fieldOf('places.doc:/a', { name: 'a' })], [doc, '{}', 'no JSON'])
  expect(sampled!.field).toMatchObject({ field: 'list', column: 'public.places.doc:/list/*', sampled: 5, opened: 2, current: 1 })
  expect(other!.field).toMatchObject({ column: 'public.places.doc:/a', sampled: 2, opened: 1 })
})

test('a document that would not fit its column any more is refused, counted in characters', async () => {
  const growing = fieldOf('places.doc:/list/*', { writes: hexColon({}), reads: [{ codec: kt1(), keyring: newKeys }], name: 'list' })
  const value = () => list.encryptSync('a') as string
  const doc = (note: string) => JSON.stringify({ note: note.repeat(50), list: [value(), value()] })
  const grown = doc('x').length + 2 * (old('a').length - value().length)
  await expect(sample([growing], [doc('x')], grown - 1)).rejects.toThrow(`at most ${grown - 1} characters and the new values need ${grown}`)
  await sample([growing], [doc('x')], grown)
  // Of these each is one character and two code units.
  await sample([growing], [doc('😀')], doc('😀').length + 1)
})

test('a key that opens no value of any document is refused', async () => {
  await expect(sample([list], [JSON.stringify({ list: [damaged()] })])).rejects.toMatchObject({ code: 'ERR_SAMPLE' })
  await sample([list], ['{}'])
})
