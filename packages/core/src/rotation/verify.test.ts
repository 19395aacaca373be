import { expect, test } from 'vitest'
import { damaged, fieldOf, writeOld } from '../../../../test/rotation/world.ts'
import memory from '../databases/memory.ts'
import { digestOf } from './cells.ts'
import type { SetAside } from './run.ts'
import { verifyFields } from './verify.ts'

const key = [{ name: 'id', type: 'int' }] as const
const columns = [
  { name: 'token', type: 'text' },
  { name: 'second', type: 'text' },
] as const
const [token, second] = [fieldOf('tokens.token', { empty: 'keep' }), fieldOf('tokens.second')]
const aside = (id: number, stored: string): SetAside => ({
  field: token.name,
  row: { id: String(id) },
  reason: 'ERR_ROW_REFUSED',
  digest: digestOf(stored),
})

test('every value is counted once, as what it is, in all and by field', async () => {
  const [broken, refused, again, cured] = [damaged(), writeOld('refused') as string, damaged(), await token.encrypt('cured')]
  const rows = [
    { id: 1, token: await token.encrypt('current'), second: writeOld('other') },
    { id: 2, token: '', second: '' },
    { id: 3, token: null, second: null },
    { id: 4, token: broken, second: null },
    { id: 5, token: refused, second: null },
    { id: 6, token: again, second: null },
    { id: 7, token: cured, second: null },
  ]
  const database = memory({ tables: [{ name: 'tokens', key, columns, rows: rows as never }] })
  const known = [aside(4, broken), aside(5, refused), aside(6, 'what stood there before'), aside(7, 'what stood there before')]
  const seen: number[][] = []
  const found = await verifyFields({ database, fields: [token, second], known, onRows: (done, total) => seen.push([done, total]) })
  expect(found.fields).toEqual([
    { field: token.name, total: 6, current: 3, other: 0, failedCount: 3 },
    { field: second.name, total: 2, current: 0, other: 1, failedCount: 1 },
  ])
  expect(found).toMatchObject({ total: 8, current: 3, other: 1, failedCount: 4, setAside: 2, aborted: false })
  expect(found.failed.map(({ field, row, reason }) => [field, row.id, reason])).toEqual([
    [second.name, '2', 'ERR_EMPTY_VALUE'],
    [token.name, '4', 'ERR_DECRYPT'],
    [token.name, '5', 'ERR_ROW_REFUSED'],
    [token.name, '6', 'ERR_DECRYPT'],
  ])
  expect(JSON.stringify(found.failed)).not.toContain('digest')
  expect(seen).toEqual([[6, 7]])
})

test('the list shows 1,000 values, and the count says how many there are', async () => {
  const rows = Array.from({ length: 1_003 }, (_, id) => ({ id, token: 'x' }))
  const database = memory({ tables: [{ name: 'tokens', key, columns, rows }] })
  const found = await verifyFields({ database, fields: [token], known: [] })
  expect([found.failed.length, found.failedCount, found.setAsideValues.length, found.total]).toEqual([1_000, 1_003, 1_003, 1_003])
})

test('an abort ends it, and it says so', async () => {
  const database = memory({ tables: [{ name: 'tokens', key, columns, rows: [{ id: 1, token: 'x' }] }] })
  expect(await verifyFields({ database, fields: [token], known: [], signal: AbortSignal.abort() })).toMatchObject({
    aborted: true,
    total: 0,
  })
})

test('nothing is changed', async () => {
  const rows = [{ id: 1, token: writeOld('old') as string, second: damaged() }]
  const database = memory({ tables: [{ name: 'tokens', key, columns, rows }] })
  await verifyFields({ database, fields: [token, second], known: [] })
  expect([await database.application.rows('tokens'), database.events()]).toEqual([rows, []])
})

test('every value of a document is counted, and one that was set aside is known again by its path', async () => {
  const [headers, whole] = [fieldOf('places.doc:/h/*', { name: 'headers' }), fieldOf('places.text', { name: 'whole' })]
  const [broken, other] = [damaged(), damaged()]
  const current = await headers.encrypt('x')
  const doc = JSON.stringify({ h: { a: broken, b: other, c: writeOld('old'), d: current, e: 5, f: null } })
  const columns = [
    { name: 'doc', type: 'text' },
    { name: 'text', type: 'jsonb' },
  ] as const
  const rows = [{ id: 1, doc, text: JSON.stringify(await whole.encrypt('y')) }]
  const database = memory({ tables: [{ name: 'places', key, columns, rows: rows as never }] })
  const known: SetAside[] = [
    { field: 'headers', row: { id: '1' }, path: '/h/a', reason: 'ERR_DECRYPT', digest: digestOf(broken) },
    { field: 'headers', row: { id: '1' }, path: '/h/c', reason: 'ERR_KEY_ID_SHARED', digest: digestOf('another') },
    { field: 'headers', row: { id: '1' }, path: '/h/b', reason: 'ERR_DECRYPT', digest: digestOf(broken) },
  ]
  const found = await verifyFields({ database, fields: [headers, whole], known })
  expect(found.fields).toEqual([
    { field: 'headers', total: 5, current: 1, other: 1, failedCount: 3 },
    { field: 'whole', total: 1, current: 1, other: 0, failedCount: 0 },
  ])
  expect([found.setAside, found.failed.map(({ path, reason }) => [path, reason])]).toEqual([
    1,
    [
      ['/h/a', 'ERR_DECRYPT'],
      ['/h/b', 'ERR_DECRYPT'],
      ['/h/e', 'ERR_DOCUMENT'],
    ],
  ])
  const shared: SetAside[] = [
    { field: 'headers', row: { id: '1' }, path: '/h/c', reason: 'ERR_KEY_ID_SHARED', digest: digestOf(writeOld('old')) },
  ]
  expect((await verifyFields({ database, fields: [headers], known: shared })).other).toBe(1)
})
