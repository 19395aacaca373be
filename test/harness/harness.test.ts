import { expect, test } from 'vitest'
import { runChild, startChild } from './child.ts'
import { count } from './counts.ts'
import { assertNoLeaks } from './leaks.ts'
import { usePglite } from './pglite.ts'
import { createDatabase, useDatabase } from './postgres.ts'

const database = useDatabase()
const pglite = usePglite()

test('each test file has a real Postgres database of its own.', async () => {
  const other = await createDatabase()
  try {
    await database.pool.query('CREATE TABLE only_here (id int)')
    const { rows } = await other.pool.query("SELECT to_regclass('only_here') AS found")
    expect(rows).toEqual([{ found: null }])
  } finally {
    await other.drop()
  }
})

test('PGlite answers.', async () => {
  expect((await pglite().query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
})

test('an open transaction is noticed.', async () => {
  const other = await createDatabase()
  const client = await other.pool.connect()
  await client.query('BEGIN')
  await expect(assertNoLeaks(other.pool, 2)).rejects.toThrow('checked out')
  client.release()
  await expect(assertNoLeaks(other.pool, 2)).rejects.toThrow('left something behind')
  await other.drop()
})

test('counts are small unless all are asked for.', () => {
  expect(count(1, 2)).toBe(process.env.KEYTURN_COUNTS === 'full' ? 2 : 1)
})

test('a child runs TypeScript with its arguments, environment and input.', async () => {
  const { code, stdout } = await runChild('test/harness/echo.ts', ['a b'], { env: { ECHO: 'c' }, input: 'd' })
  expect({ code, stdout }).toEqual({ code: 0, stdout: 'ready\na b c d\n' })
})

test('a child is killed without a chance to tidy up, and one that ends without a word is noticed.', async () => {
  const child = startChild('test/harness/echo.ts')
  await child.printed('ready')
  expect(await child.kill()).toMatchObject({ code: null, signal: 'SIGKILL', stdout: 'ready\n' })
  await expect(child.printed('never')).rejects.toThrow('without printing')
})

test('a run that failed ends with its code, though it had a server.', async () => {
  expect(await runChild('test/harness/failing-run.ts')).toMatchObject({ code: 1 })
})
