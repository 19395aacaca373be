import { beforeEach, describe, expect, test } from 'vitest'
import type { Change, Database, Row, Walk, WalkColumn } from '../../packages/core/src/rotation/database.ts'
import { type DatabaseUnderTest, documentTexts } from './database-under-test.ts'

const names = ['plain', 'bin', 'packed', 'short'] as const
const holds = { plain: 'json', bin: 'jsonb', packed: 'text', short: 'text' } as const

/** The duties of every Database towards documents, and towards key ids that stand beside their values. */
export function conformsWithDocuments(under: () => DatabaseUnderTest): void {
  const database = (): Database => under().database
  const application = () => under().application
  beforeEach(async () => {
    for (const { id } of await application().rows('documents')) await application().delete('documents', { id: id as number })
  })
  const walkOf = async (columns: readonly WalkColumn[]): Promise<Walk> => {
    const [shape] = await database().inspect(columns.map(({ column }) => ({ schema: null, table: 'documents', column })))
    if (shape === null || shape === undefined) throw new Error('the suite has a table documents')
    return await database().walk(shape, columns, [])
  }
  const documents = () => walkOf(names.map((column) => ({ field: column, column, holds: holds[column], currentPrefix: null })))
  const swap = (walk: Walk, changes: readonly Change[]) => database().transaction((tx) => tx.swap(walk, changes))
  const insert = (id: number, texts: Partial<Record<(typeof names)[number] | 'key_id', string>>) =>
    application().insert('documents', { id, plain: null, bin: null, packed: null, short: null, key_id: null, ...texts })

  describe('documents', () => {
    test('their columns are told apart, and how long they may be', async () => {
      const [shape] = await database().inspect([{ schema: null, table: 'documents', column: 'plain' }])
      const columns = Object.fromEntries(shape?.columns.map((column) => [column.name, column]) ?? [])
      expect(names.map((name) => columns[name]?.holds)).toEqual(['json', 'jsonb', 'text', 'text'])
      expect([columns.plain?.boundType, columns.bin?.boundType, columns.short?.maxLength]).toEqual([null, null, 40])
    })

    test('they are read as the text that they are, sampled, and replaced by text', async () => {
      for (const [id, text] of documentTexts.entries()) await insert(id, { plain: text, bin: text, packed: text })
      const walk = await documents()
      const rows = await database().scan(walk, null, 100)
      expect(rows.map(({ values }) => [values[0], values[2]])).toEqual(documentTexts.map((text) => [text, text]))
      for (const { values } of rows) expect(JSON.parse(values[1] as string)).toEqual(JSON.parse(values[2] as string))
      expect((await database().sample(walk, 1, 4)).length).toBeGreaterThanOrEqual(4)
      const to = (text: string | Uint8Array | null) => (text === null ? null : ` [${text}]`)
      expect(
        await swap(
          walk,
          rows.map(({ key, values }) => ({ key, from: values, to: values.map(to) })),
        ),
      ).toEqual([])
      const after = await database().scan(walk, null, 100)
      expect(after.map(({ values }) => values[0])).toEqual(documentTexts.map((text) => ` [${text}]`))
      for (const [index, { values }] of after.entries())
        expect(JSON.parse(values[1] as string)).toEqual([JSON.parse(documentTexts[index] as string)])
    })

    test('one that was edited anywhere since it was read is not replaced', async () => {
      for (const id of [1, 2, 3, 4]) await insert(id, { plain: '{"a":"x"}', bin: '{"a":"x"}', packed: '{"a":"x"}' })
      const walk = await documents()
      const rows = await database().scan(walk, null, 9)
      await application().update('documents', { id: 2 }, { plain: '{"a":"x" }' })
      await application().update('documents', { id: 3 }, { bin: '{"a":"x","b":1}' })
      await application().update('documents', { id: 4 }, { packed: '{ "a":"x"}' })
      const changes = rows.map(({ key, values }) => ({ key, from: values, to: ['{"a":"y"}', '{"a":"y"}', '{"a":"y"}', null] }))
      expect([...(await swap(walk, changes))].sort()).toEqual([1, 2, 3])
      const after = await database().scan(walk, null, 9)
      expect(after.map(({ values }) => JSON.parse(values[0] as string).a)).toEqual(['y', 'x', 'x', 'x'])
    })

    test('one that grows too long is refused as a row', async () => {
      await insert(1, { short: '{"a":"x"}' })
      const walk = await documents()
      const [row] = (await database().scan(walk, null, 9)) as [Row]
      const change = { key: row.key, from: row.values, to: [null, null, null, JSON.stringify({ a: 'x'.repeat(40) })] }
      await expect(swap(walk, [change])).rejects.toMatchObject({ kind: 'data', detail: '22001' })
    })
  })

  describe('key ids beside values', () => {
    const keyed = (id?: string) =>
      walkOf([
        {
          field: 'f',
          column: 'packed',
          holds: 'text',
          currentPrefix: null,
          ...(id === undefined ? {} : { currentKeyId: { column: 'key_id', id } }),
        },
        { field: 'f', column: 'key_id', holds: 'text', currentPrefix: null, isKeyId: true },
      ])

    test('a row with a key id alone has no value; of current ones none is lost that has another id or none', async () => {
      await insert(1, { key_id: 'new' })
      await insert(2, { packed: 'a', key_id: 'new' })
      await insert(3, { packed: 'b', key_id: 'NEW' })
      await insert(4, { packed: 'c' })
      const keys = async (walk: Walk) => (await database().scan(walk, null, 9)).map(({ key }) => key[0])
      expect(await keys(await keyed())).toEqual(['2', '3', '4'])
      expect(await keys(await keyed('new'))).toEqual(['3', '4'])
    })

    test('value and id change together, and not where either has changed', async () => {
      for (const id of [1, 2, 3]) await insert(id, { packed: 'a', key_id: 'old' })
      const walk = await keyed()
      await application().update('documents', { id: 2 }, { key_id: 'other' })
      await application().update('documents', { id: 3 }, { key_id: null })
      const changes = [1, 2, 3].map((id) => ({ key: [String(id)], from: ['a', 'old'], to: ['b', 'new'] }))
      expect([...(await swap(walk, changes))].sort()).toEqual([1, 2])
      expect((await database().scan(walk, null, 9)).map(({ values }) => values)).toEqual([
        ['b', 'new'],
        ['a', 'other'],
        ['a', null],
      ])
    })
  })

  test('a kept key stays the same, and each name has its own', async () => {
    const key = await database().keptKey('one', true)
    expect(key.length).toBe(32)
    expect(Buffer.compare(await database().keptKey('one', true), key)).toBe(0)
    expect(Buffer.compare(await database().keptKey('one', false), key)).toBe(0)
    expect(Buffer.compare(await database().keptKey('two', false), key)).not.toBe(0)
  })
}
