import { env, type Keyturn, open as openKeyturn, type SqlState } from '@keyturn/core'
import { pgState } from '@keyturn/core/databases/postgres'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { callOf, worldOf } from '../../../../test/harness/parts.ts'
import { useDatabase } from '../../../../test/harness/postgres.ts'
import { kindOf } from '../outside/failure.ts'
import { attemptOf } from '../run/step-world.ts'
import field, { options } from './field.ts'

const database = useDatabase()
const config = {
  keyrings: { app: { root: env('ROOT') }, sessions: { root: env('ROOT') } },
  fields: {
    text: { column: 'rows.t', keyring: 'app', bind: ['id', 'owner'] },
    bytes: { column: 'rows.b', keyring: 'app', bind: ['id'] },
    jsonb: { column: 'rows.j:/auth/key', keyring: 'app', empty: 'keep' },
    header: { column: 'rows.d:/headers/*/value', keyring: 'app', where: { name: 'Authorization' } },
    user: { column: 'rows.d:/user', keyring: 'app' },
    keyed: { column: 'rows.k', keyring: 'app', writes: { codec: 'blob' }, keyId: 'kid' },
    kept: { column: 'rows.e', keyring: 'app', empty: 'keep' },
    strict: { column: 'rows.s', keyring: 'sessions' },
    redis: { column: 'redis:app:session:*', keyring: 'sessions' },
  },
} as const
const { redis: _, ...inDatabase } = config.fields
const given = { ...config, fields: inDatabase }
let keyturn: Keyturn
let state: SqlState
const opened = async (refreshMs = 3_000) =>
  (await openKeyturn({ ...given, refreshMs } as never, { pool: database.pool, env: { ROOT: '5e'.repeat(32) }, warn: () => {} })) as Keyturn

beforeAll(async () => {
  await database.pool.query(`CREATE TABLE rows (id bigint PRIMARY KEY, owner text NOT NULL, t text, b bytea, j jsonb, d json, k text, kid text,
    e text NOT NULL DEFAULT '', s text NOT NULL DEFAULT '')`)
  keyturn = await opened()
  state = pgState(database.pool)
})
afterAll(() => keyturn?.close())
beforeEach(async () => {
  await database.pool.query('TRUNCATE rows')
  await database.pool.query('DELETE FROM keyturn.setting')
  await database.pool.query(
    `INSERT INTO rows (id, owner, j, d) VALUES (1, 'a', '{"auth": {"key": ""}, "n": 1}', null),
      (2, 'a', null, '{ "user": "", "headers": [ {"name": "X", "value": "x"}, {"name": "Authorization", "value": ""} ] }')`,
  )
})

const storeOf = (more: object, { on = state, by = keyturn }: { on?: SqlState; by?: Keyturn } = {}) =>
  field(options.parse({ row: { id: 1 }, ...more }), worldOf({}, Date.now, { keyturn: by, state: on }))
const text = (more: object = {}, on?: { on?: SqlState; by?: Keyturn }) => storeOf({ field: 'text', ...more }, on)
const rowOf = async (id: number) => (await database.pool.query('SELECT * FROM rows WHERE id = $1', [id])).rows[0]
const seal = async (name: string, value: string, bound: object) => await keyturn.field(name).encrypt(value, bound as never)
const edit = async (value: string) =>
  void (await database.pool.query('UPDATE rows SET t = $1 WHERE id = 1', [await seal('text', value, { id: 1, owner: 'a' })]))
const read = async (store = text()) => (await store.look(callOf(), ['value'])).value
const outcome = (work: Promise<unknown>) =>
  work.then(
    () => 'done',
    (error) => `${kindOf(error)} ${error.message}`,
  )

test('a value is written for the row that is named, bound to it, and read as the application reads it.', async () => {
  expect(await text().check(callOf(), ['value'])).toEqual([])
  await text().write(callOf(), { value: 'secret-1' })
  const { t, id, owner } = await rowOf(1)
  expect(t).toMatch(/^kt1\./)
  expect(await keyturn.field('text').decrypt(t, { id, owner } as never)).toBe('secret-1')
  expect(await read()).toEqual({ value: 'secret-1' })
  await text().write(callOf(), { value: null })
  expect([(await rowOf(1)).t, await read(), (await rowOf(2)).t]).toEqual([null, null, null])
})

test('columns of every kind are written, and all else in them stays.', async () => {
  await storeOf({ field: 'bytes' }).write(callOf(), { value: 'secret-2' })
  expect(await read(storeOf({ field: 'bytes' }))).toEqual({ value: 'secret-2' })
  await storeOf({ field: 'keyed' }).write(callOf(), { value: 'secret-3' })
  const { k, kid } = await rowOf(1)
  expect(await keyturn.field('keyed').decryptKeyed({ value: k, keyId: kid })).toBe('secret-3')
  const jsonb = storeOf({ field: 'jsonb' })
  await expect(jsonb.write(callOf(), { value: 'secret-4' })).resolves.toEqual({ version: null })
  expect((await rowOf(1)).j).toEqual({ n: 1, auth: { key: expect.stringMatching(/^kt1/) } })
  await jsonb.write(callOf(), { value: null })
  expect((await rowOf(1)).j).toEqual({ n: 1, auth: { key: '' } })
})

test('several fields of one document are written together, and what cannot be taken away is said.', async () => {
  await database.pool.query('UPDATE rows SET d = $1 WHERE id = 2', [
    `{ "user": ${JSON.stringify(await seal('user', 'u', {}))}, "headers": [ {"name": "X", "value": "x"}, {"name": "Authorization", "value": ${JSON.stringify(await seal('header', 'h', {}))}} ] }`,
  ])
  const both = storeOf({ field: { user: 'user', header: 'header' }, row: { id: 2, owner: 'a' } })
  expect(await both.look(callOf(), ['user', 'header'])).toEqual({ user: { value: 'u' }, header: { value: 'h' } })
  expect((await both.check(callOf(), ['user', 'header'])).map(({ severity }) => severity)).toEqual(['warning', 'warning'])
  await both.write(callOf(), { user: 'u2', header: 'h2' })
  const { rows } = await database.pool.query('SELECT d::text AS d FROM rows WHERE id = 2')
  expect(rows[0].d.replace(/kt1[^"]*/g, '…')).toBe(
    '{ "user": "…", "headers": [ {"name": "X", "value": "x"}, {"name": "Authorization", "value": "…"} ] }',
  )
  expect(await both.look(callOf(), ['user', 'header'])).toEqual({ user: { value: 'u2' }, header: { value: 'h2' } })
  expect(await outcome(both.write(callOf(), { user: null, header: 'h3' }))).toMatch(/^refused .*cannot be made empty/)
  expect(await both.look(callOf(), ['header'])).toEqual({ header: { value: 'h2' } })
})

test('a repetition of an attempt does not overwrite what somebody wrote after it, nor does its way back; another rotation does, and is warned of.', async () => {
  const call = callOf()
  await text().write(call, { value: 'secret-5' })
  await text().write(call, { value: 'secret-5' })
  await edit('by a person')
  const back = callOf({ attempt: attemptOf(call.attempt, 'back') })
  for (const each of [call, back])
    expect(await outcome(text().write(each, { value: 'secret-5' }))).toMatch(/^refused .*somebody has written there/)
  expect(await read()).toEqual({ value: 'by a person' })
  expect(await text().check(callOf(), ['value'])).toMatchObject([
    { severity: 'warning', sentence: expect.stringContaining('somebody has written') },
  ])
  // Emptied, there is nothing that could be lost.
  await database.pool.query('UPDATE rows SET t = NULL WHERE id = 1')
  await text().write(back, { value: 'secret-4' })
  await edit('by a person')
  await text().write(callOf(), { value: 'secret-6' })
  expect([await read(), await text().check(callOf(), ['value'])]).toEqual([{ value: 'secret-6' }, []])
})

/** The state, with something that happens before the next update of a row. */
function before(happens: () => Promise<void>): { readonly on: SqlState; readonly seen: unknown[] } {
  const seen: unknown[] = []
  let once = true
  const on: SqlState = {
    ...state,
    query: (sql, values) => {
      seen.push([sql, values])
      return state.query(sql, values)
    },
    transaction: async (work) => {
      if (once) await happens()
      once = false
      return await state.transaction((sql) =>
        work({
          exec: (each) => sql.exec(each),
          query: (each, values) => {
            seen.push([each, values])
            return sql.query(each, values)
          },
        }),
      )
    },
  }
  return { on, seen }
}

test('an edit between the look and the write is not lost, neither now nor in the next try; a rewrite of the same value is no edit.', async () => {
  await edit('first')
  const call = callOf()
  const edited = before(() => edit('by a person'))
  expect(await outcome(text({}, edited).write(call, { value: 'secret-7' }))).toMatch(/^refused .*somebody has written there/)
  expect(await outcome(text().write(call, { value: 'secret-7' }))).toMatch(/^refused/)
  expect(await read()).toEqual({ value: 'by a person' })
  const again = before(() => edit('by a person'))
  await text({}, again).write(callOf(), { value: 'secret-8' })
  const moved = before(async () => void (await database.pool.query(`UPDATE rows SET owner = 'b' WHERE id = 1`)))
  expect(await outcome(text({}, moved).write(callOf(), { value: 'secret-9' }))).toMatch(/^refused .*does not open/)
  const gone = before(async () => void (await database.pool.query('DELETE FROM rows WHERE id = 1')))
  await database.pool.query(`UPDATE rows SET owner = 'a' WHERE id = 1`)
  expect(await outcome(text({}, gone).write(callOf(), { value: 'secret-9' }))).toMatch(/^refused .*there is no such row/)
  // No statement holds a value that could be read, nor does what is kept.
  const all = JSON.stringify([
    edited.seen,
    again.seen,
    moved.seen,
    gone.seen,
    (await database.pool.query(`SELECT encode(value, 'escape') FROM keyturn.setting`)).rows,
  ])
  expect([all.length > 1_000, all.match(/secret-|by a person|first/)]).toEqual([true, null])
})

/** No other field has anything that does not open: a rotation would not begin. */
const onlyText = async () => void (await database.pool.query('DELETE FROM rows WHERE id = 2; UPDATE rows SET j = NULL'))
/** As a run does: what is busy is asked again. */
async function written(id: number, value: string, call = callOf()): Promise<void> {
  for (;;) {
    const came = await outcome(text({ row: { id } }).write(call, { value }))
    if (came === 'done') return
    if (!came.startsWith('busy')) throw new Error(came)
  }
}

test('a process that has not heard that a key was retired loads the new one and writes.', async () => {
  await edit('first')
  await onlyText()
  const other = await opened(600_000)
  await keyturn.rotate('app')
  await keyturn.retire('app')
  await text({}, { by: other }).write(callOf(), { value: 'secret-10' })
  expect(await read()).toEqual({ value: 'secret-10' })
  await other.close()
})

test('rotations of the secret and of its keyring at once: neither loses the write of the other.', async () => {
  await onlyText()
  await database.pool.query(`INSERT INTO rows (id, owner) SELECT n, 'a' FROM generate_series(100, 140) n`)
  const ids = Array.from({ length: 41 }, (_, n) => 100 + n)
  for (const id of ids) await written(id, `before-${id}`)
  let rotating = true
  const rotation = keyturn.rotate('app').finally(() => {
    rotating = false
  })
  let round = 0
  while (rotating || round === 0) {
    round++
    for (const id of ids.slice(0, 8)) await written(id, `round-${round}-${id}`)
  }
  const result = await rotation
  expect([result.state, result.failed]).toEqual(['completed', []])
  for (const [at, id] of ids.entries())
    expect(await read(text({ row: { id } }))).toEqual({ value: at < 8 ? `round-${round}-${id}` : `before-${id}` })
  const { fields } = await keyturn.verify({ fields: ['text'] })
  expect(fields).toMatchObject([{ field: 'text', failedCount: 0 }])
})

test.each<[string, object, string, string]>([
  ['an unknown field', { field: 'txt' }, '', 'Did you mean "text"'],
  ['no such row', { field: 'text', row: { id: 9 } }, '', 'there is no such row'],
  ['several rows', { field: 'text', row: { owner: 'a' } }, '', 'more than one row'],
  ['a row that is no number', { field: 'text', row: { id: 'x' } }, '', '22P02'],
  ['an unknown column', { field: 'text', row: { nr: 1 } }, '', 'which the table does not have'],
  ['a row by its value', { field: 'text', row: { t: 'x' } }, '', 'which a rotation changes'],
  ['a name without a field', { field: { key: 'text' } }, '', 'no field is named for "value"'],
  ['no document', { field: 'jsonb', row: { id: 2 } }, '', 'its document is not there'],
  ['nothing at the place', { field: 'jsonb' }, `UPDATE rows SET j = '{"auth": {}}'`, 'no value at the place'],
  ['a number at the place', { field: 'jsonb' }, `UPDATE rows SET j = '{"auth": {"key": 7}}'`, 'is no string'],
  [
    'several at the places',
    { field: 'header', row: { id: 2 } },
    `UPDATE rows SET d = '{"headers": [{"name": "Authorization", "value": "a"}, {"name": "Authorization", "value": "b"}]}'`,
    'several values',
  ],
  ['what does not open', { field: 'text' }, `UPDATE rows SET t = 'hunter2'`, 'does not open (ERR_DECRYPT)'],
  ['another user', { field: 'text' }, 'ALTER TABLE rows RENAME TO elsewhere', 'there is no such table'],
])('%s is refused before anything is written, and what stands there is not repeated.', async (_, more, sql, sentence) => {
  if (sql !== '') await database.pool.query(sql)
  try {
    const found = await storeOf(more).check(callOf(), ['value'])
    expect(found).toMatchObject([{ severity: 'fault', sentence: expect.stringContaining(sentence) }])
    expect(JSON.stringify(found)).not.toContain('hunter2')
    if (!('field' in more && typeof more.field === 'object'))
      expect(await outcome(storeOf(more).write(callOf(), { value: 'x' }))).toMatch(/^refused/)
  } finally {
    await database.pool.query('ALTER TABLE IF EXISTS elsewhere RENAME TO rows')
  }
})

test('a name that is taken away becomes NULL, or empty where the field keeps that; else it is refused.', async () => {
  const [kept, strict] = [storeOf({ field: 'kept' }), storeOf({ field: 'strict' })]
  await kept.write(callOf(), { value: 'secret-11' })
  await kept.write(callOf(), { value: null })
  expect([(await rowOf(1)).e, await read(kept)]).toEqual(['', null])
  await database.pool.query('UPDATE rows SET s = $1 WHERE id = 1', [await seal('strict', 'stays', {})])
  expect(await outcome(strict.write(callOf(), { value: null }))).toMatch(/^refused .*cannot be made empty/)
  expect(await read(strict)).toEqual({ value: 'stays' })
})
