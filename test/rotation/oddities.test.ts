import { Client } from 'pg'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import postgres, { pgState } from '../../packages/core/src/databases/postgres.ts'
import type { Field } from '../../packages/core/src/field/field.ts'
import type { Database } from '../../packages/core/src/rotation/database.ts'
import { makePlan } from '../../packages/core/src/rotation/make-plan.ts'
import type { Plan } from '../../packages/core/src/rotation/plan.ts'
import { rotate } from '../../packages/core/src/rotation/rotate.ts'
import { verifyFields } from '../../packages/core/src/rotation/verify.ts'
import { migrate } from '../../packages/core/src/state/schema.ts'
import { useDatabase } from '../harness/postgres.ts'
import { changesOf, fieldOf, insertOld, keepHistory, newKeys, rotationOf, writeOld } from './world.ts'

const server = useDatabase()
let database: Database

beforeAll(async () => {
  database = postgres({ pool: server.pool })
  await migrate(pgState(server.pool))
})

const run = (sql: string, values: unknown[] = []) => server.pool.query(sql, values)
const plan = (...fields: Field[]): Promise<Plan> =>
  makePlan({
    keyring: newKeys.name,
    database,
    fields,
    options: { mode: 'online' },
    newVersion: false,
    createsState: false,
    recorded: true,
    waitMs: 0,
  })
const rotated = (...fields: Field[]) => rotate(rotationOf(database, fields, { accept: true }))
const tokens = async (table: string, field: Field) =>
  (await run(`SELECT id::text AS key, token FROM ${table} ORDER BY id`)).rows.map(({ key, token }) => [key, field.decryptSync(token)])
const expected = (rows: number) => Array.from({ length: rows }, (_, index) => [String(index + 1), `token ${index + 1}`])

/** A table with the columns of `insertOld` and others, filled. */
async function table(name: string, more = '', rows = 20): Promise<Field> {
  await run(`CREATE TABLE ${name} (id bigint PRIMARY KEY, token text${more})`)
  await insertOld(server.pool, name, rows)
  return fieldOf(`${name}.token`)
}
async function trigger(name: string, timing: string, body: string): Promise<void> {
  await run(`CREATE FUNCTION ${name}_work() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${body} END $$`)
  await run(`CREATE TRIGGER "${name} work" ${timing} ON ${name} FOR EACH ROW EXECUTE FUNCTION ${name}_work()`)
}

describe('Triggers of the application', () => {
  test('One that puts the old value back: the run ends, the rows are set aside, and nothing is counted as rewritten', async () => {
    const field = await table('stubborn')
    await trigger('stubborn', 'BEFORE UPDATE', 'IF NEW.id % 10 = 0 THEN NEW.token := OLD.token; END IF; RETURN NEW;')
    expect((await plan(field)).warnings.join()).toContain(
      'trigger "stubborn work" runs for each update: where it changes a value that is rewritten, the row is set aside',
    )
    const result = await rotated(field)
    expect(result).toMatchObject({ state: 'completed', rotated: 18, rows: 18, failedCount: 2 })
    expect(result.failed.map(({ row, reason }) => [row.id, reason])).toEqual([
      ['10', 'ERR_ROW_REFUSED'],
      ['20', 'ERR_ROW_REFUSED'],
    ])
    expect(await tokens('stubborn', field)).toEqual(expected(20))
  })

  test('One that would store a damaged value: the old one stays', async () => {
    const field = await table('trimming', ', doc jsonb', 3)
    const doc = fieldOf('trimming.doc:/a', { name: 'doc' })
    await run('UPDATE trimming SET doc = $1', [{ a: writeOld('in a document') }])
    await trigger('trimming', 'BEFORE UPDATE', `IF NEW.id = 2 THEN NEW.doc := '{"a": "cut"}'; END IF; NEW.token := NEW.token; RETURN NEW;`)
    const result = await rotated(field, doc)
    expect(result).toMatchObject({ rotated: 4, failedCount: 2 })
    const { rows } = await run('SELECT doc FROM trimming ORDER BY id')
    expect(rows.map((row) => doc.decryptSync(row.doc.a))).toEqual(Array(3).fill('in a document'))
  })

  test('One that sets updated_at is named by the plan and does its work', async () => {
    const field = await table('stamped', `, updated_at timestamptz DEFAULT '2000-01-01'`)
    await trigger('stamped', 'BEFORE UPDATE', 'NEW.updated_at := now(); RETURN NEW;')
    expect((await plan(field)).warnings.join()).toContain('trigger "stamped work" runs for each update')
    expect(await rotated(field)).toMatchObject({ state: 'completed', rotated: 20 })
    expect((await run(`SELECT FROM stamped WHERE updated_at > '2001-01-01'`)).rowCount).toBe(20)
  })

  test('One that keeps a history is named, and each row stands in it once', async () => {
    const field = await table('kept')
    await keepHistory(server.pool, 'kept')
    expect((await plan(field)).warnings.join()).toContain(
      'trigger "note" runs for each update: a history that it keeps goes on holding values under the old key',
    )
    await rotated(field)
    expect(await changesOf(server.pool, 'kept')).toEqual({ rows: 20, most: 1 })
  })

  test('One that drops every update leaves the run waiting, not turning for ever', async () => {
    const field = await table('deaf')
    await trigger('deaf', 'BEFORE UPDATE', 'RETURN NULL;')
    const result = await rotated(field)
    expect(result).toMatchObject({ state: 'waiting', rotated: 0 })
    expect(result.conflicts).toBeGreaterThanOrEqual(100)
    await run('TRUNCATE keyturn.rotation CASCADE')
  })

  test('A rule that rewrites updates is refused', async () => {
    const field = await table('ruled')
    await run('CREATE RULE quiet AS ON UPDATE TO ruled DO INSTEAD NOTHING')
    await expect(plan(field)).rejects.toThrow('"ruled" is a table with a rule that rewrites updates, not a table')
  })
})

describe('Columns', () => {
  test('A generated column is refused as a field, and one can be bound to', async () => {
    const field = await table(
      'derived',
      ', twice int NOT NULL GENERATED ALWAYS AS (id::int * 2) STORED, copy text GENERATED ALWAYS AS (token) STORED',
    )
    await expect(plan(fieldOf('derived.copy'))).rejects.toThrow('is of type text (generated)')
    const bound = fieldOf('derived.token', { bind: [{ column: 'twice', type: 'int' }], insertedFirst: true })
    expect(await rotated(bound)).toMatchObject({ state: 'completed', rotated: 20 })
    const { rows } = await run('SELECT token, twice FROM derived WHERE id = 4')
    expect(bound.decryptSync(rows[0].token, { twice: rows[0].twice })).toBe('token 4')
    expect(() => field.decryptSync(rows[0].token)).toThrow(expect.objectContaining({ code: 'ERR_DECRYPT' }))
  })

  test.each([
    ['a domain', 'CREATE DOMAIN secret_text AS varchar(200)', 'secret_text', 'secret_text (a domain over character varying(200))'],
    ['char(n)', null, 'char(200)', 'character(200)'],
    ['an array', null, 'text[]', 'text[]'],
    ['a number', null, 'numeric', 'numeric'],
    ['xml', null, 'xml', 'xml'],
  ])('%s is refused, and the sentence names it', async (name, before, type, words) => {
    if (before !== null) await run(before)
    const column = name.replaceAll(/[^a-z]/g, '_')
    await run(`CREATE TABLE odd_${column} (id int PRIMARY KEY, token ${type})`)
    const refused = plan(fieldOf(`odd_${column}.token`))
    await expect(refused).rejects.toMatchObject({ code: 'ERR_COLUMN_TYPE' })
    await expect(refused).rejects.toThrow(`is of type ${words}; values can stand in text, varchar, bytea, json and jsonb columns`)
  })

  test('citext is refused, and the sentence names it', async ({ skip }) => {
    const { rowCount } = await run("SELECT FROM pg_available_extensions WHERE name = 'citext'")
    skip(rowCount === 0, 'this server has no extension citext')
    await run('CREATE EXTENSION citext; CREATE TABLE odd_citext (id int PRIMARY KEY, token citext)')
    await expect(plan(fieldOf('odd_citext.token'))).rejects.toThrow('is of type citext;')
  })

  test('A path into bytea is refused, and so are two fields in one place', async () => {
    await run('CREATE TABLE places (id int PRIMARY KEY, bin bytea, doc json, note text)')
    await expect(plan(fieldOf('places.bin:/a'))).rejects.toThrow('is of type bytea, in which no document stands')
    await expect(plan(fieldOf('places.doc:/a'), fieldOf('places.doc:/a', { name: 'b' }))).rejects.toThrow('it stands where field')
    await expect(plan(fieldOf('places.note'), fieldOf('places.note:/a', { name: 'b' }))).rejects.toThrow('it stands where field')
    const [any, one] = [fieldOf('places.doc:/*', { name: 'any' }), fieldOf('places.doc:/a', { name: 'one' })]
    await run('INSERT INTO places (id, doc) VALUES (1, $1)', [{ a: writeOld('x') }])
    await expect(plan(any, one)).rejects.toThrow('a value at /a is of field "any" as well')
  })

  test('A column that compares without regard to case or accent is compared as bytes', async () => {
    await run(`CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level1', deterministic = false)`)
    const field = await table('blinded', '')
    await run('ALTER TABLE blinded ALTER token TYPE text COLLATE blind')
    await run(
      'ALTER TABLE blinded ADD name text COLLATE blind; UPDATE blinded SET name = id; ALTER TABLE blinded DROP CONSTRAINT blinded_pkey',
    )
    await run('ALTER TABLE blinded ALTER name SET NOT NULL; ALTER TABLE blinded ADD PRIMARY KEY (name)')
    const [shape] = await database.inspect([field.location])
    const walk = await database.walk(shape!, [{ field: 'f', column: 'token', holds: 'text', currentPrefix: null }], [])
    const [row] = await database.scan(walk, null, 1)
    const upper = String(row!.values[0]).toUpperCase()
    expect(await database.transaction((tx) => tx.swap(walk, [{ key: row!.key, from: [upper], to: ['x'] }]))).toEqual([0])
    expect(await rotated(field)).toMatchObject({ state: 'completed', rotated: 20 })
    expect(await tokens('blinded', field)).toEqual(expected(20))
  })

  test('Names in mixed case, with quotes and dots, mean themselves', async () => {
    await run('CREATE SCHEMA "My ""App"""; CREATE TABLE "My ""App"""."Users.v2" ("Id" bigint PRIMARY KEY, "Doc:x" jsonb, "KEY" text)')
    await run('INSERT INTO "My ""App"""."Users.v2" VALUES (1, $1)', [{ 'a/b': writeOld('mixed') }])
    const field = fieldOf('"My ""App"""."Users.v2"."Doc:x":/a~1b', { name: 'mixed' })
    expect(await rotated(field)).toMatchObject({ rotated: 1, failedCount: 0 })
    const { rows } = await run('SELECT "Doc:x" AS doc FROM "My ""App"""."Users.v2"')
    expect(field.decryptSync(rows[0].doc['a/b'])).toBe('mixed')
  })
})

describe('Kinds of tables', () => {
  test('A partitioned table with a default partition is rotated, also rows that move to another partition meanwhile', async () => {
    await run(`CREATE TABLE parted (id bigint, region int, token text, PRIMARY KEY (id, region)) PARTITION BY RANGE (region)`)
    await run(
      'CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (10); CREATE TABLE parted_rest PARTITION OF parted DEFAULT',
    )
    for (let id = 1; id <= 300; id++) await run('INSERT INTO parted VALUES ($1, $2, $3)', [id, id % 20, writeOld(`token ${id}`)])
    const field = fieldOf('parted.token')
    const rotating = rotated(field)
    for (let id = 1; id <= 300; id += 7) await run('UPDATE parted SET region = (region + 10) % 20 WHERE id = $1', [id])
    expect(await rotating).toMatchObject({ state: 'completed', rotated: 300, failedCount: 0 })
    expect(await tokens('parted', field)).toEqual(expected(300))
    expect((await run('SELECT FROM parted_low WHERE id % 7 = 1')).rowCount).toBeGreaterThan(10)
    expect((await run('SELECT FROM parted_rest WHERE id % 7 = 1')).rowCount).toBeGreaterThan(10)
  })

  test.each([
    ['a view', 'CREATE VIEW other_1 AS SELECT * FROM shown', 'other_1'],
    ['a materialized view', 'CREATE MATERIALIZED VIEW other_2 AS SELECT * FROM shown', 'other_2'],
    [
      'a table with inheriting tables',
      'CREATE TABLE other_3 (id int PRIMARY KEY, token text); CREATE TABLE heir () INHERITS (other_3)',
      'other_3',
    ],
    [
      'a foreign table',
      'CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing; CREATE FOREIGN TABLE other_4 (id int, token text) SERVER nowhere',
      'other_4',
    ],
  ])('%s is refused, and the sentence says what it is', async (kind, sql, name) => {
    await run('CREATE TABLE IF NOT EXISTS shown (id int PRIMARY KEY, token text)')
    await run(sql)
    await expect(plan(fieldOf(`${name}.token`))).rejects.toThrow(`"${name}" is ${kind}, not a table`)
  })

  test('An unlogged table is rotated, and the plan says what it is', async () => {
    const field = await table('passing')
    await run('ALTER TABLE passing SET UNLOGGED')
    expect((await plan(field)).warnings.join()).toContain('it is unlogged: a crash of the server empties it')
    expect(await rotated(field)).toMatchObject({ state: 'completed', rotated: 20 })
  })

  test('Row level security: its owner sees every row, and a user from whom rows are hidden is refused', async () => {
    const field = await table('guarded')
    await run('ALTER TABLE guarded ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON guarded USING (id < 5)')
    const role = `half_blind_${process.pid}`
    await run(`CREATE ROLE ${role}; GRANT ALL ON guarded TO ${role}`)
    const client = new Client({ connectionString: server.url })
    await client.connect()
    onTestFinished(async () => {
      await client.end()
      await run(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
    })
    await client.query(`SET SESSION AUTHORIZATION ${role}`)
    const theirs = postgres({ pool: { connect: async () => Object.assign(client, { release: () => {} }) } as never })
    const look = () => verifyFields({ database: theirs, fields: [field], known: [] })
    const refusal = 'lacks the privilege BYPASSRLS (row level security hides rows from this user)'
    await expect(look()).rejects.toThrow(refusal)
    await run(`ALTER TABLE guarded OWNER TO ${role}`)
    expect(await look()).toMatchObject({ total: 20, other: 20 })
    await run('ALTER TABLE guarded FORCE ROW LEVEL SECURITY')
    await expect(look()).rejects.toThrow(refusal)
  })
})
