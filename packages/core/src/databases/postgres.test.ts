import fc from 'fast-check'
import { Pool } from 'pg'
import { beforeAll, describe, expect, expectTypeOf, test } from 'vitest'
import { conformsToDatabase } from '../../../../test/conformance/database.ts'
import { databaseOnSql } from '../../../../test/conformance/database-on-sql.ts'
import { useDatabase } from '../../../../test/harness/postgres.ts'
import { DatabaseError } from '../rotation/database-error.ts'
import { databaseError } from './postgres/errors.ts'
import { arrayLiteral } from './postgres/statements.ts'
import postgres, { type PgPool, pgState } from './postgres.ts'

const server = useDatabase()
conformsToDatabase('Postgres', (tables) =>
  databaseOnSql(postgres({ pool: server.pool }), pgState(server.pool), { tables, readersGoOn: true }),
)

describe('On Postgres', () => {
  const marked = 'MARKED-VALUE-4711'

  beforeAll(async () => {
    await server.pool.query('CREATE TABLE quirks (id int8 PRIMARY KEY, token text UNIQUE)')
  })
  const walkOf = async () => {
    const database = postgres({ pool: server.pool })
    const [shape] = await database.inspect([{ schema: null, table: 'quirks', column: 'token' }])
    const walk = await database.walk(shape!, [{ field: 'f', column: 'token', holds: 'text', currentPrefix: null }], [])
    return { database, walk }
  }

  test('the Pool of pg fits', () => {
    expectTypeOf<Pool>().toExtend<PgPool>()
    expectTypeOf<{ query(): Promise<unknown> }>().not.toExtend<PgPool>()
  })

  test('an array literal is read as what it was made of', async () => {
    const odd = ['', 'NULL', 'null', 'Null', 'nil', '{}', '"', '\\', '\\\\"', ',', ' a ', '{a,b}', '\n', 'ä', "'", '$1', 'a"b\\c', '*-|']
    const text = fc.oneof(fc.constantFrom(...odd), fc.string(), fc.string({ unit: 'binary' })).map((each) => each.replaceAll('\0', ''))
    const texts = fc.array(fc.option(text))
    const bytes = fc.array(fc.option(fc.uint8Array()))
    const read = async (literal: string, type: string) => {
      const { rows } = await server.pool.query(`SELECT value FROM unnest($1::${type}[]) WITH ORDINALITY AS v(value, n) ORDER BY n`, [
        literal,
      ])
      return rows.map(({ value }) => value)
    }
    expect(await read(arrayLiteral(odd, 'text'), 'text')).toEqual(odd)
    await fc.assert(
      fc.asyncProperty(texts, bytes, async (some, others) => {
        expect(await read(arrayLiteral(some, 'text'), 'text')).toEqual(some)
        const hex = (each: Uint8Array | null) => each && Buffer.from(each).toString('hex')
        expect((await read(arrayLiteral(others, 'bytea'), 'bytea')).map(hex)).toEqual(others.map(hex))
      }),
      { numRuns: 40 },
    )
  })

  test('an error keeps the code of the server and nothing of its message', async () => {
    const sql = pgState(server.pool)
    await sql.query('INSERT INTO quirks VALUES (1, $1)', [marked])
    const error = await sql.query('INSERT INTO quirks VALUES (2, $1)', [marked]).then(
      () => null,
      (thrown: unknown) => thrown,
    )
    expect(error).toMatchObject({ code: 'ERR_DATABASE', kind: 'data', detail: '23505' })
    const { message, stack, cause } = error as Error
    expect(`${message} ${stack} ${JSON.stringify(error)} ${cause}`).not.toContain(marked)
    const { database, walk } = await walkOf()
    await sql.query('INSERT INTO quirks VALUES (3, $1)', ['three'])
    const swap = database.transaction((tx) => tx.swap(walk, [{ key: ['3'], from: ['three'], to: [marked] }]))
    await expect(swap).rejects.toMatchObject({ kind: 'data', detail: '23505' })
    await expect(swap).rejects.toThrow(/^(?!.*MARKED)/)
    await sql.exec('TRUNCATE quirks')
  })

  test('a connection string appears in no error', async () => {
    const pool = new Pool({ connectionString: `postgres://user:${marked}@127.0.0.1:1/none`, connectionTimeoutMillis: 2_000 })
    const failing = postgres({ pool }).tables()
    await expect(failing).rejects.toMatchObject({ code: 'ERR_DATABASE', kind: 'connection' })
    await expect(failing).rejects.toThrow(/^(?!.*(MARKED|127\.0\.0\.1))/)
    await pool.end()
  })

  test.each([
    [{ code: '40P01' }, 'contention'],
    [{ code: '55P03' }, 'contention'],
    [{ code: '40001' }, 'contention'],
    [{ code: '57P01' }, 'connection'],
    [{ code: '08006' }, 'connection'],
    [{ code: 'ECONNRESET' }, 'connection'],
    [new Error('Connection terminated unexpectedly'), 'connection'],
    [{ code: '22001' }, 'data'],
    [{ code: '23514' }, 'data'],
    [{ code: 'P0001' }, 'data'],
    [{ code: 'KT001' }, 'data'],
    [{ code: '42P01' }, 'other'],
    [{ code: 'a secret, not a code' }, 'other'],
    ['thrown text', 'other'],
    [null, 'other'],
  ] as const)('the error %j is of kind %s', (thrown, kind) => {
    const error = databaseError(thrown, 'running a statement') as DatabaseError
    expect(error.kind).toBe(kind)
    expect(error.message).not.toContain('secret')
  })

  test('a connection that is lost at the commit leaves an unknown commit, a refusal at the commit does not', () => {
    const lost = new DatabaseError('connection', '57P01', 'running a statement')
    expect(databaseError(lost, 'committing', { commit: true })).toMatchObject({ kind: 'unknown-commit' })
    expect(databaseError({ code: 'ECONNRESET' }, 'committing', { commit: true })).toMatchObject({ kind: 'unknown-commit' })
    expect(databaseError({ code: '40001' }, 'committing', { commit: true })).toMatchObject({ kind: 'contention' })
    expect(databaseError(new DatabaseError('data', '23514', 'x'), 'committing', { commit: true })).toMatchObject({ kind: 'data' })
  })

  test('a row that others have locked is passed over without waiting, and comes again', async () => {
    const { database, walk } = await walkOf()
    await server.pool.query("INSERT INTO quirks VALUES (1, 'a'), (2, 'b')")
    const changes = [1, 2].map((id) => ({ key: [String(id)], from: ['?ab'[id]!], to: [`new ${id}`] }))
    const client = await server.pool.connect()
    await client.query('BEGIN')
    await client.query('SELECT FROM quirks WHERE id = 1 FOR UPDATE')
    expect(await database.transaction((tx) => tx.swap(walk, changes))).toEqual([0])
    await client.query('ROLLBACK')
    client.release()
    expect(await database.transaction((tx) => tx.swap(walk, changes))).toEqual([1])
    await server.pool.query('TRUNCATE quirks')
  })

  test('exclusive waits for a transaction that has written', async () => {
    const { database, walk } = await walkOf()
    await server.pool.query("INSERT INTO quirks VALUES (1, 'a')")
    const client = await server.pool.connect()
    await client.query('BEGIN')
    await client.query("UPDATE quirks SET token = 'of the application' WHERE id = 1")
    const rows = database.exclusive([walk], (tx) => tx.scan(walk, null, 9))
    await server.pool.query('SELECT 1')
    await client.query('COMMIT')
    client.release()
    expect((await rows).map(({ values }) => values)).toEqual([['of the application']])
    await server.pool.query('TRUNCATE quirks')
  })

  test('otherSessions counts sessions that are not ours', async () => {
    const pool = new Pool({ connectionString: server.url, max: 2 })
    const own = postgres({ pool })
    const { walk } = await walkOf()
    const others = await own.exclusive([walk], (tx) => tx.otherSessions())
    const client = new Pool({ connectionString: server.url, max: 1 })
    await client.query('SELECT 1')
    expect(await own.exclusive([walk], (tx) => tx.otherSessions())).toBe(others + 1)
    await client.end()
    await pool.end()
  })

  test('a hold stands on every partition, and a session that passes over triggers meets it too', async () => {
    const database = postgres({ pool: server.pool })
    await server.pool.query(`
      CREATE TABLE parted (id int PRIMARY KEY, token text) PARTITION BY RANGE (id);
      CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
      INSERT INTO parted VALUES (1, 'a')`)
    const [shape] = await database.inspect([{ schema: null, table: 'parted', column: 'token' }])
    expect(shape).toMatchObject({ kind: 'table', key: ['id'] })
    const walk = await database.walk(shape!, [{ field: 'f', column: 'token', holds: 'text', currentPrefix: null }], [])
    await database.exclusive([walk], (tx) => tx.hold([walk], 'run-2'))
    for (const table of ['parted', 'parted_1']) {
      await expect(server.pool.query(`UPDATE ${table} SET token = 'x'`)).rejects.toMatchObject({ code: 'KT001' })
    }
    const client = await server.pool.connect()
    try {
      await client.query("SET session_replication_role = 'replica'")
      await expect(client.query("INSERT INTO parted VALUES (2, 'b')")).rejects.toMatchObject({ code: 'KT001' })
      await client.query('RESET session_replication_role')
    } finally {
      client.release()
    }
    expect(await database.releaseHold('run-2', { actor: 'library', action: 'rotation.release', subject: 'rotation/x', data: {} })).toEqual([
      'public.parted',
      'public.parted_1',
    ])
    await server.pool.query("UPDATE parted_1 SET token = 'x'; DROP TABLE parted")
  })

  test("the application's own settings of dates and bytes change no key and no value", async () => {
    await server.pool.query(`CREATE TABLE days (day timestamptz PRIMARY KEY, token bytea);
      INSERT INTO days VALUES ('2026-01-02 03:04:05.678901+00', '\\x00ff'), ('2026-12-31 23:59:59+00', '\\x01')`)
    const pool = new Pool({
      connectionString: server.url,
      max: 1,
      options: '-c datestyle=SQL,DMY -c timezone=Asia/Tokyo -c bytea_output=escape',
    })
    const database = postgres({ pool })
    const [shape] = await database.inspect([{ schema: null, table: 'days', column: 'token' }])
    const walk = await database.walk(shape!, [{ field: 'f', column: 'token', holds: 'bytes', currentPrefix: null }], [])
    const [first] = await database.scan(walk, null, 1)
    expect(first!.key).toEqual(['2026-01-02 03:04:05.678901+00'])
    expect((await database.scan(walk, first!.key, 9)).length).toBe(1)
    const changes = [{ key: first!.key, from: first!.values, to: [Buffer.from([2])] }]
    expect(await database.transaction((tx) => tx.swap(walk, changes))).toEqual([])
    await pool.end()
    await server.pool.query('DROP TABLE days')
  })
})
