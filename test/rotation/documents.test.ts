import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { PoolClient } from 'pg'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import hexColon from '../../packages/core/src/codecs/hex-colon.ts'
import postgres, { pgState } from '../../packages/core/src/databases/postgres.ts'
import { isKeyturnError } from '../../packages/core/src/errors.ts'
import type { RotateOptions } from '../../packages/core/src/keyturn.ts'
import type { Database } from '../../packages/core/src/rotation/database.ts'
import { resume, rotate } from '../../packages/core/src/rotation/rotate.ts'
import { verifyFields } from '../../packages/core/src/rotation/verify.ts'
import { tableWalks } from '../../packages/core/src/rotation/walks.ts'
import { migrate } from '../../packages/core/src/state/schema.ts'
import { startChild } from '../harness/child.ts'
import { count } from '../harness/counts.ts'
import { useDatabase } from '../harness/postgres.ts'
import { around, documentsOf, fillPlaces, placeFields, plaintexts, plaintextsOf, valuesInRow } from './documents.ts'
import type { DocumentsTask } from './documents-child.ts'
import { withSteps } from './steps.ts'
import { changesOf, damaged, fieldOf, keepHistory, rotationOf, writeOld } from './world.ts'

const server = useDatabase()
let database: Database
const fields = placeFields('places')

beforeAll(async () => {
  database = postgres({ pool: server.pool })
  await migrate(pgState(server.pool))
  await fillPlaces(server.pool, 'places', 0)
  await keepHistory(server.pool, 'places')
})
beforeEach(async () => {
  await server.pool.query('TRUNCATE places, places_history; TRUNCATE keyturn.rotation CASCADE')
})

async function assertAll(rows: number): Promise<void> {
  const found = await server.pool.query('SELECT id, token, secret, key_id, config::text, raw::text, note FROM places ORDER BY id')
  expect(found.rowCount).toBe(rows)
  for (const row of found.rows) {
    expect(plaintextsOf(fields, row)).toEqual(plaintexts(Number(row.id)))
    expect(row.key_id).toBe('newnewne')
  }
}

test('Documents are read a few megabytes at a time, however many fit into a batch, and no row is passed over', async () => {
  await server.pool.query('CREATE TABLE large (id bigint PRIMARY KEY, config jsonb, raw json, note text)')
  const document = `{"a":"${writeOld('secret')}","more":"${randomBytes(2 ** 20).toString('base64')}"}`
  await server.pool.query('INSERT INTO large SELECT n, $1::text::jsonb, $1::text::json, $1::text FROM generate_series(1, 6) n', [document])
  await server.pool.query('INSERT INTO large SELECT n, NULL, NULL, $1 FROM generate_series(7, 30) n', [document])
  await server.pool.query('INSERT INTO large SELECT n, NULL, NULL, NULL FROM generate_series(31, 40) n')
  const large = ['config', 'raw', 'note'].map((column) => fieldOf(`large.${column}:/a`, { name: column }))
  const [walk] = await tableWalks(database, large, true)
  const [read, seen] = [[] as number[], [] as string[]]
  for (let after: readonly string[] | null = null; ; ) {
    const rows = await database.scan(walk!.walk, after, 1_000)
    after = rows.at(-1)?.key ?? null
    if (after === null) break
    read.push(rows.reduce((sum, { values }) => sum + values.reduce((sum, value) => sum + (value?.length ?? 0), 0), 0))
    seen.push(...rows.map(({ key }) => String(key[0])))
  }
  expect(seen).toEqual(Array.from({ length: 30 }, (_, n) => String(n + 1)))
  expect(Math.max(...read)).toBeLessThan(40e6)
  expect(await rotate(rotationOf(database, large))).toMatchObject({ state: 'completed', rotated: 42, rows: 30, failedCount: 0 })
  await server.pool.query('DROP TABLE large')
})

describe('Values in every kind of place', () => {
  test.each(['online', 'transaction'] as const)(
    '%s: all of a row change in one update, and the documents around them stay byte for byte',
    async (mode) => {
      await fillPlaces(server.pool, 'places', 300)
      const before = await documentsOf(server.pool, 'places')
      const result = await rotate(rotationOf(database, fields, { mode, appStopped: true }))
      expect(result).toMatchObject({ state: 'completed', total: 300 * valuesInRow, rotated: 300 * valuesInRow, rows: 300, failedCount: 0 })
      expect(await changesOf(server.pool, 'places')).toEqual({ rows: 300, most: 1 })
      const after = await documentsOf(server.pool, 'places')
      for (const [place, text] of before) expect(`${place} ${around(after.get(place)!)}`).toBe(`${place} ${around(text)}`)
      await assertAll(300)
      const { preserved } = (await database.runs.get(result.id))!.progress
      expect(preserved.old).toBe(preserved.new)
      expect(preserved.old).not.toMatch(/^0+$/)
      expect(await rotate(rotationOf(database, fields, { mode, appStopped: true }))).toMatchObject({
        rotated: 0,
        skipped: 300 * valuesInRow,
      })
    },
  )

  test('What does not open is listed with its path, and what shares its document or its row is rewritten', async () => {
    await fillPlaces(server.pool, 'places', 4)
    const set = (id: number, column: string, value: unknown) =>
      server.pool.query(`UPDATE places SET ${column} = $1 WHERE id = $2`, [value, id])
    await set(1, 'config', {
      headers: [
        { value: damaged(), secret: true },
        { value: writeOld('good'), secret: true },
        { value: 7, secret: true },
      ],
    })
    await set(2, 'note', 'not JSON')
    await set(3, 'raw', '{"a":{"b":"c"}}')
    const result = await rotate(rotationOf(database, fields, { accept: true }))
    expect(result).toMatchObject({ state: 'completed', failedCount: 4, rows: 4 })
    expect(result.failed).toEqual([
      { field: 'headers', row: { id: '1' }, path: '/headers/0/value', reason: 'ERR_DECRYPT' },
      { field: 'headers', row: { id: '1' }, path: '/headers/2/value', reason: 'ERR_DOCUMENT' },
      { field: 'note', row: { id: '2' }, reason: 'ERR_DOCUMENT' },
      { field: 'raw', row: { id: '3' }, path: '/a', reason: 'ERR_DOCUMENT' },
    ])
    const kept = await database.runs.setAside(result.id, 9)
    expect([kept.total, kept.values.map(({ digest: _, ...value }) => value)]).toEqual([4, result.failed])
    const { rows } = await server.pool.query('SELECT config, note, raw::text FROM places ORDER BY id')
    expect(fields[2]!.decryptSync(rows[0].config.headers[1].value)).toBe('good')
    expect([rows[1].note, rows[2].raw]).toEqual(['not JSON', '{"a":{"b":"c"}}'])
    expect(await verifyFields({ database, fields, known: [] })).toMatchObject({ failedCount: 4, other: 0 })
  })

  test('A value keeps its key id while one beside it with the same id does not open', async () => {
    await server.pool.query('CREATE TABLE pairs (id int PRIMARY KEY, one text, two text, key_id text)')
    const writes = hexColon({})
    const pair = ['one', 'two'].map((column) => fieldOf(`pairs.${column}`, { keyring: fields[0]!.keyring, writes, keyId: 'key_id' }))
    const broken = damaged()
    for (const [id, two] of [
      [1, writeOld('two')],
      [2, broken],
    ]) {
      await server.pool.query('INSERT INTO pairs VALUES ($1, $2, $3, $4)', [id, writeOld('one'), two, 'oldoldol'])
    }
    const result = await rotate(rotationOf(database, pair, { accept: true }))
    expect(result.failed.map(({ field, row, reason }) => [field, row.id, reason])).toEqual([
      ['pairs.one', '2', 'ERR_KEY_ID_SHARED'],
      ['pairs.two', '2', 'ERR_DECRYPT'],
    ])
    const { rows } = await server.pool.query('SELECT id, one, two, key_id FROM pairs ORDER BY id')
    expect(rows.map(({ key_id }) => key_id)).toEqual(['newnewne', 'oldoldol'])
    expect(rows[1].two).toBe(broken)
    for (const { one, key_id } of rows) expect(Buffer.from(pair[0]!.open(one, [], key_id).plaintext).toString()).toBe('one')
    await server.pool.query('DROP TABLE pairs')
  })

  test('A key column that is a credential is shown as a keyed hash, the same in every list', async () => {
    await server.pool.query('CREATE TABLE sessions (sid text PRIMARY KEY, data json)')
    await server.pool.query('INSERT INTO sessions VALUES ($1, $2), ($3, $4)', [
      'open-sesame',
      JSON.stringify(damaged()),
      'other',
      JSON.stringify(writeOld('x')),
    ])
    const session = fieldOf('sessions.data', { sensitive: ['sid'] })
    const result = await rotate(rotationOf(database, [session], { accept: true }))
    const [failed] = result.failed
    expect(failed?.row.sid).toMatch(/^hmac:[0-9a-f]{16}$/)
    const kept = await server.pool.query("SELECT row_key::text || encode(row_hash, 'escape') AS text FROM keyturn.set_aside")
    expect(JSON.stringify([result, kept.rows])).not.toContain('sesame')
    const known = (await database.runs.setAside(result.id, 10)).values
    const again = await verifyFields({ database: postgres({ pool: server.pool }), fields: [session], known })
    expect(again).toMatchObject({ failedCount: 1, setAside: 1, current: 1, failed: [failed] })
    await server.pool.query('DROP TABLE sessions')
  })
})

/** Adds 1 to the counter of one document, as an application that reads, changes and writes the whole of it. */
async function edit(client: PoolClient, id: number, column: 'config' | 'raw' | 'note'): Promise<void> {
  await client.query('BEGIN')
  const { rows } = await client.query(`SELECT ${column}::text AS text FROM places WHERE id = $1 FOR UPDATE`, [id])
  const text = (rows[0].text as string).replace(/("edits": ?)(\d+)/, (_, name, edits) => `${name}${Number(edits) + 1}`)
  await client.query(`UPDATE places SET ${column} = $1 WHERE id = $2`, [text, id])
  await client.query('COMMIT')
}

test('Concurrent edits of other paths of the same documents: none is lost, whatever kind the document is', async () => {
  const rows = count(500, 5_000)
  await fillPlaces(server.pool, 'places', rows)
  const ledger = new Map<string, number>()
  let over = false
  const writer = async () => {
    const client = await server.pool.connect()
    try {
      while (!over) {
        const [id, column] = [1 + Math.floor(Math.random() * rows), (['config', 'raw', 'note'] as const)[Math.floor(Math.random() * 3)]!]
        await edit(client, id, column)
        await sleep(2)
        ledger.set(`${id} ${column}`, (ledger.get(`${id} ${column}`) ?? 0) + 1)
      }
    } finally {
      client.release()
    }
  }
  const writers = [writer(), writer(), writer()]
  const throttle = { share: 0.5, targetMs: 5 }
  let result = await rotate(rotationOf(database, fields, { throttle }))
  while (result.state === 'waiting')
    result = await resume(rotationOf(database, fields, { throttle }), (await database.runs.get(result.id))!)
  await expect.poll(() => [...ledger.values()].reduce((sum, edits) => sum + edits, 0)).toBeGreaterThan(100)
  over = true
  await Promise.all(writers)
  expect(result).toMatchObject({ state: 'completed', failedCount: 0 })
  for (const [place, text] of await documentsOf(server.pool, 'places'))
    expect(`${place} ${/"edits": ?(\d+)/.exec(text)?.[1]}`).toBe(`${place} ${ledger.get(place) ?? 0}`)
  await assertAll(rows)
  const { preserved } = (await database.runs.get(result.id))!.progress
  expect(preserved.old).toBe(preserved.new)
})

/** Small batches of the same sizes each time, so that the steps of one run are those of the next. */
const steady: RotateOptions = { throttle: { targetMs: 0.001, share: 1 } }
const leaseMs = 400

test('Killed at any point, a resume finishes every document, changes no row twice, and the sums are equal', async () => {
  const rows = 300
  await fillPlaces(server.pool, 'places', rows)
  let steps = 0
  await rotate(
    rotationOf(
      withSteps(database, () => void steps++),
      fields,
      steady,
    ),
  )
  const points = count(3, 20)
  for (let point = 0; point < points; point++) {
    await server.pool.query('TRUNCATE places, places_history; TRUNCATE keyturn.rotation CASCADE')
    await fillPlaces(server.pool, 'places', rows)
    const at = 1 + Math.round((point * (steps - 1)) / (points - 1))
    const task: DocumentsTask = { url: server.url, table: 'places', options: steady, leaseMs, at }
    const { stdout, stderr, signal } = await startChild('test/rotation/documents-child.ts', [JSON.stringify(task)]).exit
    const where = stdout.trim()
    expect({ where, stderr, signal }).toEqual({ where, stderr: '', signal: 'SIGKILL' })
    const run = await finished()
    expect({ where, ...run }).toMatchObject({ where, state: 'completed', progress: { rotated: rows * valuesInRow } })
    expect({ where, ...(await changesOf(server.pool, 'places')) }).toEqual({ where, rows, most: 1 })
    expect({ where, sum: run.progress.preserved.old }).toEqual({ where, sum: run.progress.preserved.new })
    await assertAll(rows)
  }
})

/** As an operator would: tries again while the dead process's lease lasts. */
async function finished() {
  for (;;) {
    const run = await database.runs.unfinished('app')
    const [last] = await database.runs.list(1)
    if (run === null && last?.state === 'completed') return last
    try {
      await (run === null ? rotate(rotationOf(database, fields, steady)) : resume(rotationOf(database, fields, steady), run))
    } catch (error) {
      if (!isKeyturnError(error, 'ERR_LEASE_HELD')) throw error
      await sleep(50)
    }
  }
}
