import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { usePglite } from '../../../../test/harness/pglite.ts'
import { useDatabase } from '../../../../test/harness/postgres.ts'
import { damaged, fieldOf, rotationOf, writeOld } from '../../../../test/rotation/world.ts'
import pglite, { pgliteState } from '../databases/pglite.ts'
import postgres, { pgState } from '../databases/postgres.ts'
import { migrate } from '../state/schema.ts'
import type { SqlState } from '../state/sql.ts'
import type { Database } from './database.ts'
import { rotate } from './rotate.ts'
import { verifyFields } from './verify.ts'

const embedded = usePglite()
const server = useDatabase()

describe.each([
  ['Postgres', () => ({ database: postgres({ pool: server.pool }), state: pgState(server.pool) })],
  ['PGlite', () => ({ database: pglite({ pglite: embedded() }), state: pgliteState(embedded()) })],
] as const)('On %s', (_, open) => {
  let database: Database
  let state: SqlState

  beforeAll(async () => {
    const opened = open()
    database = opened.database
    state = opened.state
    await migrate(state)
    await state.exec(`
      CREATE TABLE tokens (id bigint PRIMARY KEY, token text);
      CREATE TABLE "Odd Schema.x" ("Tenant" uuid, "Nr" int, "Se""cret" bytea, note text, PRIMARY KEY ("Tenant", "Nr"))`)
  })
  afterAll(async () => {
    await state.exec('DROP TABLE tokens; DROP TABLE "Odd Schema.x"')
  })

  test('every value is rewritten once, and a second rotation finds nothing to do', async () => {
    for (let id = 1; id <= 1200; id++)
      await state.query('INSERT INTO tokens VALUES ($1, $2)', [id, id % 7 === 0 ? null : writeOld(`token ${id}`)])
    const field = fieldOf('tokens.token')
    const result = await rotate(rotationOf(database, [field]))
    expect(result).toMatchObject({
      state: 'completed',
      total: 1029,
      rotated: 1029,
      skipped: 0,
      failedCount: 0,
      conflicts: 0,
      rows: 1029,
      tables: 1,
    })
    const { rows } = await state.query('SELECT id::int4 AS id, token FROM tokens WHERE token IS NOT NULL ORDER BY id')
    for (const row of rows) expect(await field.decrypt(row.token as string)).toBe(`token ${row.id}`)
    const before = rows.map((row) => row.token)
    expect(await rotate(rotationOf(database, [field]))).toMatchObject({ rotated: 0, skipped: 1029, total: 1029, failedCount: 0 })
    const after = await state.query('SELECT token FROM tokens WHERE token IS NOT NULL ORDER BY id')
    expect(after.rows.map((row) => row.token)).toEqual(before)
  })

  test('values that do not open are set aside, stay as they are, and the rest is rewritten', async () => {
    await state.exec('TRUNCATE tokens')
    const broken = damaged()
    for (let id = 1; id <= 20; id++)
      await state.query('INSERT INTO tokens VALUES ($1, $2)', [id, id === 7 ? broken : id === 9 ? '' : writeOld(`token ${id}`)])
    const result = await rotate(rotationOf(database, [fieldOf('tokens.token')], { accept: true }))
    expect(result).toMatchObject({ state: 'completed', total: 20, rotated: 18, failedCount: 2 })
    expect(result.failed).toEqual([
      { field: 'tokens.token', row: { id: '7' }, reason: 'ERR_DECRYPT' },
      { field: 'tokens.token', row: { id: '9' }, reason: 'ERR_EMPTY_VALUE' },
    ])
    const { rows } = await state.query('SELECT token FROM tokens WHERE id IN (7, 9) ORDER BY id')
    expect(rows.map((row) => row.token)).toEqual([broken, ''])
    const list = await database.runs.setAside(result.id, 10)
    expect(list.total).toBe(2)
    const verification = await verifyFields({ database, fields: [fieldOf('tokens.token')], known: list.values })
    expect(verification).toMatchObject({ total: 20, current: 18, other: 0, failedCount: 2, setAside: 2 })
  })
})
