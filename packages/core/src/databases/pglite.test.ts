import type { PGlite } from '@electric-sql/pglite'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { conformsToDatabase } from '../../../../test/conformance/database.ts'
import { databaseOnSql } from '../../../../test/conformance/database-on-sql.ts'
import { usePglite } from '../../../../test/harness/pglite.ts'
import pglite, { type PGliteDatabase, pgliteState } from './pglite.ts'

const embedded = usePglite()
conformsToDatabase('PGlite', (tables) =>
  databaseOnSql(pglite({ pglite: embedded() }), pgliteState(embedded()), { tables, readersGoOn: false }),
)

describe('On PGlite', () => {
  test('PGlite fits', () => {
    expectTypeOf<PGlite>().toExtend<PGliteDatabase>()
    expectTypeOf<{ query(): Promise<unknown> }>().not.toExtend<PGliteDatabase>()
  })

  test('rows come as objects by column, in a scan as arrays, and counts are of rows written', async () => {
    const sql = pgliteState(embedded())
    await sql.exec('CREATE TABLE modes (id int PRIMARY KEY, token text)')
    expect(await sql.query("INSERT INTO modes VALUES (1, 'a'), (2, 'b')")).toEqual({ rows: [], count: 2 })
    expect(await sql.query('SELECT id AS same, token AS same FROM modes WHERE id = $1', [1])).toEqual({ rows: [{ same: 'a' }], count: 1 })
    expect(await sql.transaction((tx) => tx.arrays('SELECT id AS same, token AS same FROM modes ORDER BY id'))).toEqual([
      [1, 'a'],
      [2, 'b'],
    ])
    expect((await sql.query("UPDATE modes SET token = 'c' WHERE id = 3")).count).toBe(0)
  })

  test('an error keeps the code of the server and nothing of its message', async () => {
    const sql = pgliteState(embedded())
    await sql.exec("CREATE TABLE uniques (token text PRIMARY KEY); INSERT INTO uniques VALUES ('MARKED-VALUE-4711')")
    const failing = sql.query('INSERT INTO uniques VALUES ($1)', ['MARKED-VALUE-4711'])
    await expect(failing).rejects.toMatchObject({ code: 'ERR_DATABASE', kind: 'data', detail: '23505' })
    const error = await failing.catch((thrown: Error) => thrown)
    const { message, stack, cause } = error as Error
    expect(`${message} ${stack} ${JSON.stringify(error)} ${cause}`).not.toContain('MARKED')
  })
})
