import { beforeEach, describe, expect, test } from 'vitest'
import blob from '../../packages/core/src/codecs/blob.ts'
import kt1 from '../../packages/core/src/codecs/kt1.ts'
import postgres, { pgState } from '../../packages/core/src/databases/postgres.ts'
import type { Database } from '../../packages/core/src/rotation/database.ts'
import { rotate } from '../../packages/core/src/rotation/rotate.ts'
import { verifyFields } from '../../packages/core/src/rotation/verify.ts'
import { migrate } from '../../packages/core/src/state/schema.ts'
import { useDatabase } from '../harness/postgres.ts'
import { fieldOf, fillTable, insertOld, keepHistory, oldKeys, rotationOf, writeOld } from './world.ts'

const server = useDatabase()
let database: Database

/** Texts that a statement made of strings would not survive. */
const awkward = [
  'NULL',
  'null',
  'abcd',
  '{}',
  '{a,b}',
  "it's",
  '"quoted"',
  '\\',
  '\\x41',
  'a\\"b',
  'comma, comma',
  'line\nfeed',
  'tab\tstop',
  '\r\n',
  ' ',
  '',
  'ümläut',
  '日本語',
  '👩‍👩‍👧',
  'a\u0301',
  "'); DROP TABLE tokens; --",
  '$1',
  '%s',
  '\u200b',
  '\ufeff',
]

beforeEach(async () => {
  await server.pool.query(`
    DROP SCHEMA IF EXISTS keyturn CASCADE; DROP SCHEMA IF EXISTS "Mandanten" CASCADE; DROP TABLE IF EXISTS tokens, tokens_history CASCADE;
    DROP FUNCTION IF EXISTS tokens_note CASCADE; DROP TYPE IF EXISTS region CASCADE`)
  await migrate(pgState(server.pool))
  database = postgres({ pool: server.pool })
})

describe('A row that the database refuses', () => {
  const rows = 500
  const field = fieldOf('tokens.token')
  const refusals: readonly (readonly [string, string, string])[] = [
    [
      'by the length of a column',
      `ALTER TABLE tokens ADD short varchar(80);
       CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.short = NEW.token; RETURN NEW; END $$;
       CREATE TRIGGER refuse BEFORE UPDATE ON tokens FOR EACH ROW EXECUTE FUNCTION refuse()`,
      'ERR_COLUMN_TOO_SHORT',
    ],
    ['by a constraint', "ALTER TABLE tokens ADD CHECK (id NOT IN (7, 8, 470) OR token NOT LIKE 'kt1.%') NOT VALID", 'ERR_ROW_REFUSED'],
    [
      'by a trigger that raises',
      `CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         IF NEW.id IN (7, 8, 470) THEN RAISE EXCEPTION 'frozen'; END IF; RETURN NEW; END $$;
       CREATE TRIGGER refuse BEFORE UPDATE ON tokens FOR EACH ROW EXECUTE FUNCTION refuse()`,
      'ERR_ROW_REFUSED',
    ],
    [
      'by a trigger that raises a code of its own',
      `CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         IF NEW.id IN (7, 8, 470) THEN RAISE EXCEPTION 'frozen' USING ERRCODE = 'MY001'; END IF; RETURN NEW; END $$;
       CREATE TRIGGER refuse BEFORE UPDATE ON tokens FOR EACH ROW EXECUTE FUNCTION refuse()`,
      'ERR_ROW_REFUSED',
    ],
    [
      'by a trigger that asserts',
      `CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ASSERT NEW.id NOT IN (7, 8, 470); RETURN NEW; END $$;
       CREATE TRIGGER refuse BEFORE UPDATE ON tokens FOR EACH ROW EXECUTE FUNCTION refuse()`,
      'ERR_ROW_REFUSED',
    ],
    [
      'at the commit, by a deferred constraint',
      `CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         IF NEW.id IN (7, 8, 470) THEN RAISE check_violation; END IF; RETURN NULL; END $$;
       CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON tokens DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()`,
      'ERR_ROW_REFUSED',
    ],
  ]

  test.each(refusals)('%s is set aside, and all others are rewritten once', async (_, statement, reason) => {
    await fillTable(server.pool, 'tokens', rows)
    // Three longer values, where the length is what refuses them.
    for (const id of [7, 8, 470])
      await server.pool.query('UPDATE tokens SET token = $2 WHERE id = $1', [id, writeOld(`a longer text ${id}`.padEnd(40, '.'))])
    const before = await server.pool.query('SELECT id, token FROM tokens WHERE id IN (7, 8, 470) ORDER BY id')
    await keepHistory(server.pool, 'tokens')
    // What the plan found may be changed after it: here, when the first batch is written.
    let altered = false
    const changing: Database = {
      ...database,
      transaction: async (work) => {
        if (!altered) await server.pool.query(statement)
        altered = true
        return await database.transaction(work)
      },
    }
    const result = await rotate(rotationOf(changing, [field]))
    expect(result).toMatchObject({ state: 'completed', total: rows, rotated: rows - 3, skipped: 0, failedCount: 3, rows: rows - 3 })
    expect(result.failed.map(({ row, reason }) => ({ row, reason }))).toEqual(['7', '8', '470'].map((id) => ({ row: { id }, reason })))
    expect((await server.pool.query('SELECT id, token FROM tokens WHERE id IN (7, 8, 470) ORDER BY id')).rows).toEqual(before.rows)
    const history = await server.pool.query('SELECT count(*)::int4 AS n, count(DISTINCT id)::int4 AS distinct FROM tokens_history')
    expect(history.rows[0]).toEqual({ n: rows - 3, distinct: rows - 3 })
    expect(await rotate(rotationOf(database, [field]))).toMatchObject({ rotated: 0, failedCount: 3 })
  })

  test('Every row refused: all are set aside, none is lost', async () => {
    await fillTable(server.pool, 'tokens', 40)
    await server.pool.query("ALTER TABLE tokens ADD CHECK (token NOT LIKE 'kt1.%')")
    expect(await rotate(rotationOf(database, [field]))).toMatchObject({ state: 'completed', rotated: 0, failedCount: 40 })
  })

  test('A trigger that keeps the old value is no success: the run waits, and every value stays readable', async () => {
    await fillTable(server.pool, 'tokens', 40)
    await server.pool.query(`CREATE OR REPLACE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
      CREATE TRIGGER keep BEFORE UPDATE ON tokens FOR EACH ROW WHEN (OLD.id = 5) EXECUTE FUNCTION keep()`)
    expect(await rotate(rotationOf(database, [field]))).toMatchObject({ state: 'waiting', rotated: 39 })
    expect(field.decryptSync((await server.pool.query('SELECT token FROM tokens WHERE id = 5')).rows[0].token)).toBe('token 5')
  })
})

describe('Tables of every shape', () => {
  test('Quoted names, a key of four types, text and bytes, several fields in one row with different bound columns', async () => {
    await server.pool.query(`CREATE SCHEMA "Mandanten"; CREATE TABLE "Mandanten"."Zugänge.x" (
      tenant uuid, "Nr" int, at timestamptz, "The ""Name""" text, "ownerId" bigint NOT NULL, active bool NOT NULL, tag bytea NOT NULL,
      "accessToken" text, "Secret Bytes" bytea, plain text, PRIMARY KEY (tenant, at, "The ""Name""", "Nr"))`)
    const codec = blob({ encoding: 'bytes' })
    const table = '"Mandanten"."Zugänge.x"'
    const bind = [
      { column: 'ownerId', type: 'int' },
      { column: 'active', type: 'bool' },
    ] as const
    const text = fieldOf(`${table}.accessToken`, { name: 'access', bind })
    const bytes = fieldOf(`${table}."Secret Bytes"`, {
      name: 'secret',
      writes: kt1({ encoding: 'bytes' }),
      reads: [{ codec, keyring: oldKeys }],
      bind: [
        { column: 'tag', type: 'bytes' },
        { column: 'tenant', type: 'uuid' },
        { column: 'The "Name"', type: 'text' },
      ],
    })
    const tenants = ['6F9619FF-8B86-D011-B42D-00C04FC964FF', '00000000-0000-0000-0000-000000000000']
    const times = ['2026-03-29 01:30:00.123456+01', '0044-03-15 12:00:00+00 BC', 'infinity', '1999-12-31 23:59:59.999999+13:45']
    const names = awkward
    let total = 0
    for (const tenant of tenants)
      for (const at of times)
        for (const [index, name] of names.entries()) {
          const owner = BigInt('9007199254740993') + BigInt(total)
          await server.pool.query(`INSERT INTO ${table} VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'x')`, [
            tenant,
            index - 3,
            at,
            name,
            owner,
            index % 2 === 0,
            Buffer.from([index, 0, 255]),
            index % 5 === 0 ? null : writeOld(`text ${name}`),
            index % 3 === 0 ? null : writeOld(`bytes ${name}`, codec),
          ])
          total++
        }
    const result = await rotate(rotationOf(database, [text, bytes], { throttle: { targetMs: 0.001, share: 1 } }))
    expect(result).toMatchObject({ state: 'completed', failedCount: 0, conflicts: 0, tables: 1 })
    expect(result.rotated).toBe(result.total)
    const { rows } = await server.pool.query(`SELECT * FROM ${table}`)
    for (const row of rows) {
      if (row.accessToken !== null)
        expect(await text.decrypt(row.accessToken, { ownerId: row.ownerId, active: row.active })).toBe(`text ${row['The "Name"']}`)
      const bound = { tag: row.tag, tenant: row.tenant, 'The "Name"': row['The "Name"'] }
      if (row['Secret Bytes'] !== null) expect(await bytes.decrypt(row['Secret Bytes'], bound)).toBe(`bytes ${row['The "Name"']}`)
    }
    expect(rows).toHaveLength(total)
  })

  const keys: readonly (readonly [string, string, readonly string[]])[] = [
    ['text', 'text', []],
    ['text in a linguistic, case-blind collation', 'text COLLATE "Mandanten".blind', []],
    ['varchar(20)', 'varchar(20)', []],
    ['char(8)', 'char(8)', ['a', 'ab', 'abc', 'abcd', 'NULL', 'null', 'a,b', '12345678']],
    ['bit(6)', 'bit(6)', ['000000', '000001', '100000', '111111', '010101']],
    ['bytea', 'bytea', ['\\x', '\\x00', '\\x5c', '\\xff00', '\\x4e554c4c']],
    ['numeric', 'numeric', ['-1.50', '0.000000000000000000001', '1e30', '123456789012345678901234567890', 'NaN']],
    ['float8', 'float8', ['0.1', '1e-300', '123456789.123456789', '-Infinity', '0.30000000000000004']],
    ['real', 'real', ['0.1', '1.17549435e-38', '16777217', '3.4028235e38']],
    ['timestamp(3)', 'timestamp(3)', ['2026-01-01 00:00:00.123', '0044-03-15 12:00:00 BC', '-infinity']],
    ['date', 'date', ['2026-01-02', '1999-12-31', '0001-01-01 BC', 'infinity']],
    ['interval', 'interval', ['1 day', '-3 mons 2 days', '36:00:00', '1 year 2 mons -3 days']],
    ['boolean', 'boolean', ['true', 'false']],
    ['an enum', 'region', ['north', 'so"uth', 'NULL']],
    ['an array', 'text[]', ['{}', '{"a b",NULL,"x\\"y"}', '{"{}"}', '{NULL}']],
    ['inet', 'inet', ['10.0.0.1', '10.0.0.0/8', '::1']],
    ['a domain', '"Mandanten"."kurz"', ['a', 'b', 'NULL']],
    ['a range', 'int4range', ['[1,5)', 'empty', '(,3)']],
    ['"char"', '"char"', ['a', 'b', 'N']],
  ]

  test.each(keys)('A key of type %s', async (_, type, given) => {
    await server.pool.query(`CREATE SCHEMA "Mandanten"; CREATE TYPE region AS ENUM ('so"uth', 'north', 'NULL'); CREATE DOMAIN "Mandanten"."kurz" AS varchar(4) CHECK (value <> '');
      CREATE COLLATION "Mandanten".blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`)
    await server.pool.query(`CREATE TABLE tokens (id ${type} PRIMARY KEY, token text)`)
    const fits = awkward.filter((value) => value.length <= 20 && value !== 'null' && value !== '\u200b' && value !== '\ufeff')
    const values = given.length > 0 ? given : fits
    for (const value of values) await server.pool.query('INSERT INTO tokens VALUES ($1, $2)', [value, writeOld(`of ${value}`)])
    const field = fieldOf('tokens.token')
    // One row a batch: each key is the place where the next batch begins.
    const slow: Database = { ...database, scan: (walk, after) => database.scan(walk, after, 1) }
    const result = await rotate(rotationOf(slow, [field]))
    expect(result).toMatchObject({ state: 'completed', total: values.length, rotated: values.length, conflicts: 0, failedCount: 0 })
    const { rows } = await server.pool.query('SELECT token FROM tokens')
    expect(rows.map(({ token }) => field.decryptSync(token)).sort()).toEqual(values.map((value) => `of ${value}`).sort())
  })

  test('Partitioned tables: rows of all partitions, also those with the same place in different partitions', async () => {
    await server.pool.query(`CREATE TABLE tokens (id bigint, region text, token text, PRIMARY KEY (region, id)) PARTITION BY LIST (region)`)
    for (const region of ['a', 'b'])
      await server.pool.query(`CREATE TABLE tokens_${region} PARTITION OF tokens FOR VALUES IN ('${region}')`)
    await server.pool.query('CREATE TABLE tokens_rest PARTITION OF tokens DEFAULT')
    for (const region of ['a', 'b', 'c'])
      for (let id = 1; id <= 50; id++)
        await server.pool.query('INSERT INTO tokens VALUES ($1, $2, $3)', [id, region, writeOld(`${region} ${id}`)])
    const field = fieldOf('tokens.token', {
      bind: [
        { column: 'id', type: 'int' },
        { column: 'region', type: 'text' },
      ],
    })
    expect(await rotate(rotationOf(database, [field]))).toMatchObject({ state: 'completed', rotated: 150, conflicts: 0 })
    const { rows } = await server.pool.query('SELECT id, region, token FROM tokens')
    for (const { id, region, token } of rows) expect(await field.decrypt(token, { id, region })).toBe(`${region} ${id}`)
  })

  test('A row whose bound column changes while it is rewritten is not sealed for the old one', async () => {
    await server.pool.query('CREATE TABLE tokens (id bigint PRIMARY KEY, token text, owner int)')
    await insertOld(server.pool, 'tokens', 60)
    await server.pool.query('UPDATE tokens SET owner = 1; ALTER TABLE tokens ALTER owner SET NOT NULL')
    const field = fieldOf('tokens.token', { bind: [{ column: 'owner', type: 'int' }] })
    let moved = false
    const moving: Database = {
      ...database,
      // The old format is bound to nothing: the application may give the row to another owner and leave the value as it is.
      transaction: async (work) => {
        if (!moved) await server.pool.query('UPDATE tokens SET owner = 2 WHERE id = 30')
        moved = true
        return await database.transaction(work)
      },
    }
    expect(await rotate(rotationOf(moving, [field]))).toMatchObject({ state: 'completed', rotated: 60, failedCount: 0 })
    const { rows } = await server.pool.query('SELECT token, owner FROM tokens WHERE id = 30')
    expect(await field.decrypt(rows[0].token, { owner: 2 })).toBe('token 30')
    expect(await verifyFields({ database, fields: [field], known: [] })).toMatchObject({ current: 60, failedCount: 0 })
  })

  test('Values that look like SQL, arrays or NULL survive a swap as they are when the row is set aside beside them', async () => {
    await server.pool.query('CREATE TABLE tokens (id bigint PRIMARY KEY, token text, other text)')
    for (const [index, value] of awkward.entries())
      await server.pool.query('INSERT INTO tokens VALUES ($1, $2, $3)', [index, writeOld(value), value])
    const token = fieldOf('tokens.token')
    const other = fieldOf('tokens.other', { empty: 'keep' })
    // At least one value of each field must open for the plan.
    await server.pool.query('INSERT INTO tokens VALUES (-1, $1, $1)', [writeOld('one')])
    const result = await rotate(rotationOf(database, [token, other], { accept: true }))
    const empty = awkward.filter((value) => value === '').length
    expect(result).toMatchObject({ state: 'completed', rotated: awkward.length + 2, skipped: empty, failedCount: awkward.length - empty })
    const { rows } = await server.pool.query('SELECT token, other FROM tokens WHERE id >= 0 ORDER BY id')
    expect(rows.map(({ other }) => other)).toEqual(awkward)
    expect(rows.map((row) => token.decryptSync(row.token))).toEqual(awkward)
  })
})
