import { createHash, randomBytes } from 'node:crypto'
import { Pool } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import blob from '../../packages/core/src/codecs/blob.ts'
import hexColon from '../../packages/core/src/codecs/hex-colon.ts'
import plain from '../../packages/core/src/codecs/plain.ts'
import postgres, { pgState } from '../../packages/core/src/databases/postgres.ts'
import type { Field } from '../../packages/core/src/field/field.ts'
import { staticKeyring, staticVersion } from '../../packages/core/src/keyring/static-keyring.ts'
import type { RotateOptions } from '../../packages/core/src/keyturn.ts'
import { rotate } from '../../packages/core/src/rotation/rotate.ts'
import { migrate } from '../../packages/core/src/state/schema.ts'
import { useDatabase } from '../harness/postgres.ts'
import { fieldOf, fillTable, namelessField, newKeys, oldKeys, rotationOf, writeOld } from './world.ts'

const server = useDatabase()
const role = `keyturn_limited_${randomBytes(4).toString('hex')}`
const password = randomBytes(8).toString('hex')
let limited: Pool

beforeAll(async () => {
  await server.pool.query(`CREATE ROLE ${role} LOGIN PASSWORD '${password}'`)
  const url = new URL(server.url)
  url.username = role
  url.password = password
  limited = new Pool({ connectionString: url.href, max: 3 })
  limited.on('error', () => {})
})
afterAll(async () => {
  await limited.end()
  await server.pool.query(`DROP OWNED BY ${role} CASCADE`)
  await server.pool.query(`DROP ROLE ${role}`)
})
beforeEach(async () => {
  await server.pool.query('DROP SCHEMA IF EXISTS keyturn CASCADE')
  await migrate(pgState(server.pool))
  await fillTable(server.pool, 'tokens', 30)
})
afterEach(() =>
  server.pool.query('DROP TABLE IF EXISTS tokens CASCADE; DROP EXTENSION IF EXISTS citext CASCADE; DROP DOMAIN IF EXISTS short_text'),
)

/** Everything that a refusal must leave as it is: rows, the names and kinds of all objects, triggers, runs and the audit log. */
async function everything(): Promise<string> {
  const dumps = [
    'SELECT t::text AS line FROM tokens t ORDER BY 1',
    "SELECT n.nspname || '.' || c.relname || c.relkind::text || c.relnatts AS line FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname !~ '^pg_toast' ORDER BY 1",
    'SELECT tgname || tgrelid::text AS line FROM pg_trigger ORDER BY 1',
    'SELECT proname AS line FROM pg_proc ORDER BY oid',
    'SELECT r::text AS line FROM keyturn.rotation r ORDER BY 1',
    'SELECT h::text AS line FROM keyturn.audit_head h ORDER BY 1',
  ]
  const hash = createHash('sha256')
  for (const dump of dumps) for (const { line } of (await server.pool.query(dump)).rows) hash.update(`${line}\n`)
  return hash.digest('hex')
}

async function expectRefused(
  field: Field,
  code: string,
  options: { pool?: Pool; more?: RotateOptions; words?: RegExp } = {},
): Promise<void> {
  const database = postgres({ pool: options.pool ?? server.pool })
  for (const mode of ['online', 'transaction'] as const) {
    const before = await everything()
    const error = await rotate(rotationOf(database, [field], { mode, ...options.more })).then(
      () => ({ code: 'it was not refused', message: '' }),
      (error) => error,
    )
    expect(`${mode}: ${error.code} ${error.code === code ? '' : error.message}`).toBe(`${mode}: ${code} `)
    if (options.words !== undefined) expect(error.message).toMatch(options.words)
    expect(await everything()).toBe(before)
  }
}

describe('Refused before anything is written: keys', () => {
  test('The old key and the new key are the same', async () => {
    const same = staticKeyring('app', [staticVersion('newnewne', 1, 'active', Buffer.alloc(32, 0x11))])
    await expectRefused(namelessField('tokens.token', { keyring: same }), 'ERR_SAME_KEY')
  })

  test('The old key opens no value of the sample', async () => {
    const wrong = staticKeyring('old', [staticVersion('oldoldol', 1, 'active', Buffer.alloc(32, 0x55))])
    await expectRefused(fieldOf('tokens.token', { reads: [{ codec: hexColon({}), keyring: wrong }] }), 'ERR_SAMPLE')
  })

  test('The format is the wrong one', async () => {
    await expectRefused(fieldOf('tokens.token', { reads: [{ codec: hexColon({ order: 'iv.ct.tag' }), keyring: oldKeys }] }), 'ERR_SAMPLE')
  })

  test('Some values do not open and nobody has accepted that', async () => {
    await server.pool.query("UPDATE tokens SET token = 'damaged' WHERE id = 3")
    await expectRefused(fieldOf('tokens.token'), 'ERR_SAMPLE_SHARE', { words: /1 of 30/ })
  })

  test('Old and new are swapped by mistake: the database stands under the old one', async () => {
    const field = fieldOf('tokens.token', { keyring: oldKeys, writes: hexColon({}), reads: [{ codec: hexColon({}), keyring: newKeys }] })
    // Every value is current already. That is no refusal: nothing is to be done, and nothing is changed.
    const before = await server.pool.query('SELECT * FROM tokens ORDER BY id')
    expect(await rotate(rotationOf(postgres({ pool: server.pool }), [field]))).toMatchObject({ rotated: 0, skipped: 30 })
    expect((await server.pool.query('SELECT * FROM tokens ORDER BY id')).rows).toEqual(before.rows)
  })
})

describe('Refused before anything is written: names', () => {
  test.each([
    ['an unknown table', 'token.token', 'ERR_UNKNOWN_TABLE', /"tokens"/],
    ['an unknown table in a schema', 'public.tokns.token', 'ERR_UNKNOWN_TABLE', /tokens/],
    ['a table in mixed case', 'Tokens.token', 'ERR_UNKNOWN_TABLE', /"tokens"/],
    ['an unknown column', 'tokens.tokne', 'ERR_UNKNOWN_COLUMN', /"token"/],
    ['a column in mixed case', 'tokens.Token', 'ERR_UNKNOWN_COLUMN', /"token"/],
    ['a system column', 'tokens.xmin', 'ERR_UNKNOWN_COLUMN', /xmin/],
  ] as const)('%s, with the nearest name', async (_, reference, code, words) => {
    await expectRefused(fieldOf(reference), code, { words })
  })

  test.each([
    ['a view', 'CREATE VIEW seen AS SELECT * FROM tokens', 'DROP VIEW seen'],
    ['a materialized view', 'CREATE MATERIALIZED VIEW seen AS SELECT * FROM tokens', 'DROP MATERIALIZED VIEW seen'],
  ])('%s', async (_, make, drop) => {
    await server.pool.query(make)
    await expectRefused(fieldOf('seen.token'), 'ERR_NOT_A_TABLE')
    await server.pool.query(drop)
  })

  test('A table that others inherit from: a row of theirs would be met under the wrong table', async () => {
    await server.pool.query('CREATE TABLE heirs () INHERITS (tokens)')
    await expectRefused(fieldOf('tokens.token'), 'ERR_NOT_A_TABLE')
  })

  test.each([
    ['integer', 'number int'],
    ['interval', 'number interval'],
    ['char(n)', 'number char(200)'],
    ['an array', 'number text[]'],
    ['generated', 'number text GENERATED ALWAYS AS (upper(token)) STORED'],
  ])('A column of a type that holds no values: %s', async (_, column) => {
    await server.pool.query(`ALTER TABLE tokens ADD ${column}`)
    await expectRefused(fieldOf('tokens.number'), 'ERR_COLUMN_TYPE')
  })
})

test('A format of text in a column of bytes, and of bytes in one of text: what it wrote would not be what it reads', async () => {
  await server.pool.query(`ALTER TABLE tokens ADD bin bytea; UPDATE tokens SET bin = convert_to(token, 'UTF8')`)
  const reads = [{ codec: plain({ looksLike: /[0-9a-f:]+/, encoding: 'bytes' }), keyring: null }]
  await expectRefused(fieldOf('tokens.bin', { writes: hexColon({}), reads }), 'ERR_CONFIG', { words: /holds bytes/ })
  await expectRefused(fieldOf('tokens.token', { writes: blob({ encoding: 'bytes' }) }), 'ERR_CONFIG', { words: /holds text/ })
})

describe('Refused before anything is written: what the table allows', () => {
  test('A column that is too short for the new values', async () => {
    await server.pool.query('UPDATE tokens SET token = $1', [writeOld('x')])
    await server.pool.query('ALTER TABLE tokens ALTER token TYPE varchar(66)')
    const field = fieldOf('tokens.token', {
      reads: [{ codec: hexColon({}), keyring: oldKeys }],
      writes: hexColon({ iv: 16 }),
      keyring: newKeys,
    })
    await expectRefused(field, 'ERR_COLUMN_TOO_SHORT', { words: /66/ })
  })

  test.each([
    ['no key at all', ''],
    ['a unique key over a nullable column', 'ALTER TABLE tokens ALTER id DROP NOT NULL, ADD UNIQUE (id)'],
    ['a partial unique index', 'CREATE UNIQUE INDEX ON tokens (id) WHERE id > 0'],
    ['a deferrable key', 'ALTER TABLE tokens ADD UNIQUE (id) DEFERRABLE'],
    ['a deferrable primary key', 'ALTER TABLE tokens ADD PRIMARY KEY (id) DEFERRABLE INITIALLY DEFERRED'],
    ['a unique index over an expression', 'CREATE UNIQUE INDEX ON tokens ((id + 1))'],
    ['a unique index over the value itself', 'ALTER TABLE tokens ALTER token SET NOT NULL, ADD UNIQUE (token)'],
    ['a key that is not unique', 'CREATE INDEX ON tokens (id)'],
  ])('No unique key to walk by: %s', async (_, statement) => {
    await server.pool.query(`ALTER TABLE tokens DROP CONSTRAINT tokens_pkey; ${statement}`)
    await expectRefused(fieldOf('tokens.token'), 'ERR_NO_UNIQUE_KEY')
  })

  test('A unique key over columns that are NOT NULL will do', async () => {
    await server.pool.query('ALTER TABLE tokens DROP CONSTRAINT tokens_pkey; CREATE UNIQUE INDEX ON tokens (id) INCLUDE (token)')
    expect(await rotate(rotationOf(postgres({ pool: server.pool }), [fieldOf('tokens.token')]))).toMatchObject({ rotated: 30 })
  })

  test.each([
    ['nullable', 'owner int', 'int'],
    ['a timestamp', 'owner timestamptz NOT NULL DEFAULT now()', 'text'],
    ['numeric', 'owner numeric NOT NULL DEFAULT 1', 'int'],
    ['a float', 'owner float8 NOT NULL DEFAULT 1', 'int'],
    ['char(n)', "owner char(4) NOT NULL DEFAULT 'a'", 'text'],
    ['jsonb', "owner jsonb NOT NULL DEFAULT '{}'", 'text'],
    ['citext', "owner citext NOT NULL DEFAULT 'a'", 'text'],
    ['of a domain', "owner short_text NOT NULL DEFAULT 'a'", 'text'],
    ['declared as another type', "owner text NOT NULL DEFAULT 'a'", 'int'],
    ['assigned by an identity', 'owner int GENERATED ALWAYS AS IDENTITY', 'int'],
    ['assigned by a sequence', 'owner serial', 'int'],
    ['generated from others', 'owner int GENERATED ALWAYS AS (id::int) STORED NOT NULL', 'int'],
    ['unknown', 'owned int', 'int'],
  ] as const)('A bound column that is %s', async (kind, column, type) => {
    if (kind === 'citext') {
      const { rowCount } = await server.pool.query("SELECT FROM pg_available_extensions WHERE name = 'citext'")
      if (rowCount === 0) return console.warn('skipped: this Postgres has no citext')
      await server.pool.query('CREATE EXTENSION citext')
    }
    if (kind === 'of a domain') await server.pool.query('CREATE DOMAIN short_text AS text')
    await server.pool.query(`ALTER TABLE tokens ADD ${column}`)
    const field = fieldOf('tokens.token', { bind: [{ column: 'owner', type }] })
    await expectRefused(field, kind === 'unknown' ? 'ERR_UNKNOWN_COLUMN' : 'ERR_BIND_TYPE', { words: /owner/ })
  })

  test('A value bound to itself', async () => {
    await server.pool.query('ALTER TABLE tokens ALTER token SET NOT NULL')
    await expectRefused(fieldOf('tokens.token', { bind: [{ column: 'token', type: 'text' }] }), 'ERR_BIND_TYPE')
  })
})

describe('Refused before anything is written: privileges', () => {
  const grant = async (statement: string) => {
    await server.pool.query(`DROP OWNED BY ${role}`)
    await server.pool.query(
      `GRANT USAGE ON SCHEMA keyturn, public TO ${role}; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA keyturn TO ${role}; ${statement}`,
    )
  }

  test.each([
    ['none', ''],
    ['SELECT only', `GRANT SELECT ON tokens TO ${role}`],
    ['UPDATE only', `GRANT UPDATE ON tokens TO ${role}`],
    ['columns only', `GRANT SELECT (id, token), UPDATE (token) ON tokens TO ${role}`],
    ['UPDATE of another column', `GRANT SELECT, UPDATE (id) ON tokens TO ${role}`],
  ])('A role with too few privileges: %s', async (_, statement) => {
    await grant(statement)
    await expectRefused(fieldOf('tokens.token'), 'ERR_PRIVILEGE', { pool: limited })
  })

  test('SELECT on the table and UPDATE of the column are enough for an online rotation', async () => {
    await grant(`GRANT SELECT, UPDATE (token) ON tokens TO ${role}`)
    expect(await rotate(rotationOf(postgres({ pool: limited }), [fieldOf('tokens.token')]))).toMatchObject({
      state: 'completed',
      rotated: 30,
    })
  })

  test('UPDATE of the column alone does not lock the table: a transaction rotation is refused', async () => {
    await grant(`GRANT SELECT, UPDATE (token) ON tokens TO ${role}`)
    const before = await everything()
    const running = rotate(rotationOf(postgres({ pool: limited }), [fieldOf('tokens.token')], { mode: 'transaction' }))
    await expect(running).rejects.toMatchObject({ code: 'ERR_PRIVILEGE' })
    expect(await everything()).toBe(before)
  })

  test('A role that may not own the table cannot make a hold', async () => {
    await grant(`GRANT SELECT, UPDATE ON tokens TO ${role}`)
    const before = await everything()
    const running = rotate(rotationOf(postgres({ pool: limited }), [namelessField('tokens.token')], { mode: 'transaction' }))
    await expect(running).rejects.toMatchObject({ code: 'ERR_PRIVILEGE', message: expect.stringMatching(/OWNER/) })
    expect(await everything()).toBe(before)
  })

  test('Row level security that hides rows', async () => {
    await grant(
      `GRANT SELECT, UPDATE ON tokens TO ${role}; ALTER TABLE tokens ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON tokens USING (id < 10)`,
    )
    await expectRefused(fieldOf('tokens.token'), 'ERR_PRIVILEGE', { pool: limited, words: /BYPASSRLS/ })
  })
})

test('A state that a newer version wrote is refused, and nothing is changed', async () => {
  await server.pool.query("INSERT INTO keyturn.migration (package, number) VALUES ('core', 9999)")
  const before = await everything()
  await expect(migrate(pgState(server.pool))).rejects.toMatchObject({ code: 'ERR_STATE_NEWER' })
  expect(await everything()).toBe(before)
})
