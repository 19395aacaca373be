import { createHash } from 'node:crypto'
import { beforeEach, describe, expect, test } from 'vitest'
import { usePglite } from '../../../../../test/harness/pglite.ts'
import { useDatabase } from '../../../../../test/harness/postgres.ts'
import { type FenceTarget, isFenced } from '../../rotation/fencing.ts'
import { postgresFencing } from './fence.ts'
import { type PostgresState, pgliteState, pgState } from './sql.ts'

const server = useDatabase()
const embedded = usePglite()
const worlds: readonly (readonly [string, () => PostgresState, (text: string, values?: unknown[]) => Promise<{ rows: unknown[] }>])[] = [
  ['Postgres', () => pgState(server.pool), (text, values) => server.pool.query(text, values)],
  ['PGlite', () => pgliteState(embedded()), (text, values) => embedded().query(text, values)],
]

const keyId = 'oldoldol'
const mark = `kt1.${keyId}.`
const bytesMark = new Uint8Array([0x6b, 0x74, 1, 1, 2, 3, 4, 5])
const value = `${mark}EBESExQVFhcYGRob`
const other = 'kt1.newnewne.EBESExQVFhcYGRob'
const digest = (stored: string | Uint8Array) => createHash('sha256').update(stored).digest()
const target = (kind: FenceTarget['kind'], column: string, more: Partial<FenceTarget> = {}): FenceTarget => ({
  field: `t.${column}`,
  schema: 'public',
  table: 'Odd "t"',
  column,
  kind,
  mark,
  exempt: [],
  ...more,
})
const all: readonly FenceTarget[] = [
  target('text', 'A b'),
  target('text', 'short'),
  target('bytes', 'bin', { mark: bytesMark }),
  target('json', 'j'),
  target('jsonb', 'jb'),
  target('json-text', 'jt'),
  target('key-id', 'kid', { mark: keyId, values: { column: 'A b', holds: 'text' } }),
]
const escaped = JSON.stringify({ a: ['x', value] }).replace('kt1', '\\u006bt1')

describe.each(worlds)('%s', (_name, state, query) => {
  const fencing = () => postgresFencing(state())
  const insert = (columns: string, stored: unknown) => {
    const names = columns.split(', ').map((name) => `"${name}"`)
    return query(`INSERT INTO "Odd ""t""" (${names.join(', ')}) VALUES (${names.map((_, n) => `$${n + 1}`).join(', ')})`, [stored].flat())
  }
  const refusedBy = async (work: Promise<unknown>) => {
    const error = await work.then(
      () => null,
      (error: unknown) => error,
    )
    return isFenced(error)
  }

  beforeEach(async () => {
    await query('DROP TABLE IF EXISTS "Odd ""t""" CASCADE')
    await query(
      'CREATE TABLE "Odd ""t""" (id serial PRIMARY KEY, "A b" text, short varchar(300), bin bytea, j json, jb jsonb, jt text, kid text, extra int)',
    )
  })

  test.each([
    ['A b', value],
    ['short', value],
    ['bin', Buffer.concat([bytesMark, Buffer.from('rest')])],
    ['j', JSON.stringify({ a: ['x', value] })],
    ['jb', JSON.stringify({ a: ['x', value] })],
    ['jt', JSON.stringify({ a: ['x', value] })],
    ['jt', JSON.stringify(value)],
    ['j', escaped],
    ['jb', escaped],
    ['jt', escaped],
    ['jt', JSON.stringify({ [value]: 1 })],
    ['kid, A b', [keyId, other]],
  ])('a fence refuses its key in column %s, and isFenced names it', async (column, stored) => {
    await fencing().raise(keyId, all)
    expect(await refusedBy(insert(column, stored))).toBe(keyId)
  })

  test.each([
    ['A b', other],
    ['A b', null],
    ['A b', ''],
    ['A b', `x${value}`],
    ['bin', Buffer.concat([Buffer.from([0x6b, 0x74, 1, 1, 2, 3, 4, 6]), Buffer.from('rest')])],
    ['bin', null],
    ['j', JSON.stringify({ a: other })],
    ['j', null],
    ['jb', null],
    ['jt', null],
    ['jt', 'no document at all, with \\u0061 in it'],
    ['jt', '{"broken": "\\u006bt1'],
    ['jt', '\\u0000 \\ud800 \\u00zz'],
    ['j', escaped.replace(keyId, 'newnewne')],
    ['kid', null],
    ['kid', 'newnewne'],
    ['kid', keyId],
    ['kid, A b', ['newnewne', other]],
    ['kid, A b', [null, other]],
  ])('a fence lets everything else stand in column %s', async (column, stored) => {
    await fencing().raise(keyId, all)
    await insert(column, stored)
    expect((await fencing().validate(keyId)).fences.every(({ validated }) => validated)).toBe(true)
  })

  // Nothing that Postgres would have to parse: jsonb cannot hold the first two, and the others are no documents.
  test.each([
    ['j', escaped.replace('"x"', '"\\u0000"')],
    ['jt', escaped.replace('"x"', '"\\ud83d\\ude00"')],
    ['jt', escaped.slice(0, -2)],
    ['jt', [...value].map((one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0').toUpperCase()}`).join('')],
  ])('an escaped key id is refused whatever stands beside it: column %s, %s', async (column, stored) => {
    await fencing().raise(keyId, all)
    expect(await refusedBy(insert(column, stored))).toBe(keyId)
  })

  test('the rows that are there are checked by validate, and only then is the fence validated.', async () => {
    await insert('A b', value)
    const raised = await fencing().raise(keyId, all)
    expect(raised.map(({ validated }) => validated)).toEqual(all.map(() => false))
    await expect(fencing().validate(keyId)).rejects.toMatchObject({ code: 'ERR_FENCE_VALUES', message: expect.not.stringContaining(value) })
    expect((await fencing().list()).some(({ validated }) => validated)).toBe(false)
    expect(await fencing().missing(keyId, all)).toEqual(all)
    await query(`UPDATE "Odd ""t""" SET "A b" = $1`, [other])
    const { fences, position } = await fencing().validate(keyId)
    expect(fences.map(({ column, validated }) => [column, validated])).toEqual(
      expect.arrayContaining(all.map(({ column }) => [column, true])),
    )
    expect(position).toMatch(/^[0-9A-F]+\/[0-9A-F]+$/)
    expect(await fencing().missing(keyId, all)).toEqual([])
  })

  test('a second raise finds what stands and changes nothing.', async () => {
    await fencing().raise(keyId, all.slice(0, 2))
    await fencing().raise(keyId, all)
    const { fences } = await fencing().validate(keyId)
    expect(fences).toHaveLength(all.length)
    expect(await fencing().raise(keyId, all)).toEqual(fences)
    expect(new Set(fences.map(({ constraint }) => constraint)).size).toBe(all.length)
    for (const { constraint } of fences) expect(constraint).toMatch(/^keyturn_oldoldol_[0-9]+$/)
  })

  test('columns whose names differ in quotes, spaces and parentheses alone have a fence each.', async () => {
    const columns = ['token', 'to ken', 'to"ken', '(token)', 'Token', 'token::text', "to'ken"]
    const named = (column: string) => `"${column.replaceAll('"', '""')}"`
    await query(`ALTER TABLE "Odd ""t""" ${columns.map((column) => `ADD ${named(column)} text`).join(', ')}`)
    const targets = columns.map((column) => target('text', column))
    for (const [at, one] of targets.entries()) {
      await fencing().raise(keyId, [one])
      await fencing().validate(keyId)
      expect(await fencing().missing(keyId, targets)).toEqual(targets.toSpliced(at, 1))
    }
    await fencing().raise(keyId, targets)
    expect((await fencing().validate(keyId)).fences.map(({ column }) => column).sort()).toEqual([...columns].sort())
    expect(await fencing().missing(keyId, targets)).toEqual([])
    expect(await fencing().raise(keyId, targets)).toHaveLength(columns.length)
    for (const column of columns)
      expect(await refusedBy(query(`INSERT INTO "Odd ""t""" (${named(column)}) VALUES ($1)`, [value]))).toBe(keyId)
  })

  test('two fields in one document are one fence.', async () => {
    const two = [target('jsonb', 'jb'), target('jsonb', 'jb', { field: 'another' })]
    expect(await fencing().raise(keyId, two)).toHaveLength(1)
    await fencing().validate(keyId)
    expect(await fencing().missing(keyId, two)).toEqual([])
  })

  test.each([
    ['dropped', (name: string) => `DROP CONSTRAINT ${name}`],
    [
      'replaced by one that lets everything pass',
      (name: string) => `DROP CONSTRAINT ${name}, ADD CONSTRAINT ${name} CHECK (extra IS NULL OR true)`,
    ],
    [
      'given an exception',
      (name: string) =>
        `DROP CONSTRAINT ${name}, ADD CONSTRAINT ${name} CHECK (substr("A b", 1, 13) COLLATE "C" <> '${mark}' OR extra = 1)`,
    ],
    [
      'made anew and not checked',
      (name: string) => `DROP CONSTRAINT ${name}, ADD CONSTRAINT ${name} CHECK (substr("A b", 1, 13) COLLATE "C" <> '${mark}') NOT VALID`,
    ],
  ])('a fence that somebody has %s is missing, and raise makes it again.', async (_what, change) => {
    const [first] = all as readonly [FenceTarget]
    const [fence] = await fencing().raise(keyId, [first])
    await fencing().validate(keyId)
    expect(await fencing().missing(keyId, [first])).toEqual([])
    await query(`ALTER TABLE "Odd ""t""" ${change(fence?.constraint ?? '')}`)
    expect(await fencing().missing(keyId, [first])).toEqual([first])
    await fencing().raise(keyId, [first])
    const { fences } = await fencing().validate(keyId)
    expect(fences).toHaveLength(1)
    expect(fences[0]?.definition).toBe(fence?.definition.replace(' NOT VALID', ''))
    expect(await fencing().missing(keyId, [first])).toEqual([])
    expect(await refusedBy(insert('A b', value))).toBe(keyId)
  })

  test('accepted values may stand, by digest and nothing else.', async () => {
    const broken = `${mark}broken`
    const document = JSON.stringify({ a: broken })
    const bin = Buffer.concat([bytesMark, Buffer.from('broken')])
    const exempting = all.map((each): FenceTarget => {
      const stored = each.kind === 'bytes' ? bin : each.column.startsWith('j') ? document : broken
      return { ...each, exempt: [digest(each.column === 'jb' ? '{"a": "kt1.oldoldol.broken"}' : stored), digest('another')] }
    })
    await query(
      `INSERT INTO "Odd ""t""" ("A b", short, bin, j, jb, jt, kid) VALUES ($1::text, $1::text, $2, $3::text::json, $3::text::jsonb, $3::text, $4)`,
      [broken, bin, document, keyId],
    )
    await fencing().raise(keyId, all)
    await expect(fencing().validate(keyId)).rejects.toMatchObject({ code: 'ERR_FENCE_VALUES' })
    await fencing().raise(keyId, exempting)
    const { fences } = await fencing().validate(keyId)
    expect(fences).toHaveLength(all.length)
    expect(await fencing().missing(keyId, all)).toEqual([])
    expect(await fencing().holders(exempting, 10)).toHaveLength(all.length)
    // Other columns of the row can be written; another value under the key cannot.
    await query(`UPDATE "Odd ""t""" SET extra = 1`)
    for (const { column } of all.filter(({ kind }) => kind === 'text'))
      expect(await refusedBy(query(`UPDATE "Odd ""t""" SET "${column}" = $1`, [`${broken}x`]))).toBe(keyId)
    expect(JSON.stringify(fences)).not.toContain('broken')
  })

  test('fences of one key are dropped and those of another stay.', async () => {
    await fencing().raise(keyId, all)
    await fencing().raise('bbbbbbbb', [target('text', 'A b', { mark: 'kt1.bbbbbbbb.' })])
    await query('ALTER TABLE "Odd ""t""" ADD CONSTRAINT keyturn_mine CHECK (extra > 0)')
    await fencing().drop(keyId)
    await fencing().drop(keyId)
    expect((await fencing().list()).map((fence) => fence.keyId)).toEqual(['bbbbbbbb'])
    await insert('A b', value)
  })
})

test('a collation that takes different texts for equal does not widen or narrow a fence.', async () => {
  const fencing = postgresFencing(pgState(server.pool))
  await server.pool.query(`CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`)
  await server.pool.query(`CREATE TABLE blind (a text COLLATE blind, jt text COLLATE blind)`)
  const targets = [target('text', 'a', { table: 'blind' }), target('json-text', 'jt', { table: 'blind' })]
  await fencing.raise(keyId, targets)
  await server.pool.query('INSERT INTO blind VALUES ($1, $2)', [value.toUpperCase(), JSON.stringify(value.toUpperCase())])
  await expect(server.pool.query('INSERT INTO blind (a) VALUES ($1)', [value])).rejects.toMatchObject({ code: '23514' })
  await expect(server.pool.query('INSERT INTO blind (jt) VALUES ($1)', [JSON.stringify(value)])).rejects.toMatchObject({ code: '23514' })
  await fencing.validate(keyId)
  expect(await fencing.missing(keyId, targets)).toEqual([])
})
