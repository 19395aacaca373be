import { beforeEach, expect, test } from 'vitest'
import kt1 from '../../packages/core/src/codecs/kt1.ts'
import { defineConfig, env } from '../../packages/core/src/config/config.ts'
import postgres from '../../packages/core/src/databases/postgres.ts'
import type { Codec } from '../../packages/core/src/field/codec.ts'
import { staticKeyring, staticVersion } from '../../packages/core/src/keyring/static-keyring.ts'
import type { CensusOptions } from '../../packages/core/src/keyturn.ts'
import { open } from '../../packages/core/src/open.ts'
import type { FieldCensus } from '../../packages/core/src/rotation/census.ts'
import { takeCensus } from '../../packages/core/src/rotation/take-census.ts'
import { count } from '../harness/counts.ts'
import { useDatabase } from '../harness/postgres.ts'
import { storedConfig, storedEnv } from './stored-keyring.ts'
import { damaged, fieldOf, fillTable, newKey, oldKey, writeOld } from './world.ts'

const server = useDatabase()
const rows = 30

beforeEach(async () => {
  await server.pool.query('DROP SCHEMA IF EXISTS keyturn CASCADE; DROP TABLE IF EXISTS tokens, documents')
})

const facts = ({ total, unreadable, kept, groups }: FieldCensus) => ({
  ...{ total, unreadable, kept },
  groups: groups.map(({ codec, keyId, state, values, current }) => [codec, keyId, state, values, current]),
})

test('It counts by format, key and state, and says what stays unread and what is kept: before, during and after rotations', async () => {
  await fillTable(server.pool, 'tokens', rows)
  const keyturn = await open(
    { ...storedConfig, fields: { 'tokens.token': { ...storedConfig.fields['tokens.token']!, empty: 'keep' } } },
    { pool: server.pool, env: storedEnv },
  )
  try {
    const one = async (options: CensusOptions = {}) =>
      facts((await keyturn.census({ keyring: 'app', ...options })).fields[0] as FieldCensus)
    await server.pool.query(`UPDATE tokens SET token = '' WHERE id = 1; UPDATE tokens SET token = NULL WHERE id = 2`)
    await server.pool.query('UPDATE tokens SET token = $1 WHERE id = 3', [damaged()])
    const before = await one()
    // The key from the environment is called by where it comes from: its id is derived from the key.
    expect(before).toEqual({ total: rows - 1, unreadable: 1, kept: 1, groups: [['hex-colon', 'OLD', 'active', rows - 3, false]] })
    await keyturn.rotate('app', { throttle: { share: 1 }, accept: true })
    const versions = async () => (await keyturn.status('app')).keyrings[0]!.versions.filter(({ state }) => state !== 'destroyed')
    const [, second] = await versions()
    expect(await one()).toEqual({ total: rows - 1, unreadable: 1, kept: 1, groups: [['kt1', second!.id, 'active', rows - 3, true]] })
    const field = keyturn.field('tokens.token')
    const fresh = await field.encrypt('written before', { id: 4 })
    await keyturn.rotate('app', { throttle: { share: 1 }, accept: true })
    // An instance that was not restarted.
    await server.pool.query('UPDATE tokens SET token = $1 WHERE id = 4', [fresh])
    await server.pool.query('UPDATE tokens SET token = $1 WHERE id = 5', [writeOld('older still')])
    const third = (await versions()).at(-1)
    expect(await one()).toEqual({
      total: rows - 1,
      unreadable: 1,
      kept: 1,
      groups: [
        ['kt1', third!.id, 'active', rows - 5, true],
        ['kt1', second!.id, 'retiring', 1, false],
        ['hex-colon', 'OLD', 'active', 1, false],
      ],
    })
    await server.pool.query(`UPDATE tokens SET token = 'kt1.zzzzzzzz.' || substr(token, 14) WHERE id = 4`)
    expect(await one()).toMatchObject({ unreadable: 2 })
    await expect(keyturn.census({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ERR_INTERRUPTED' })
    expect((await keyturn.verify()).total).toBe(rows - 1)
  } finally {
    await keyturn.close()
  }
})

test('A value that names its key is not opened, one that names none is: a damaged one counts under the key that it names', async () => {
  await server.pool.query('CREATE TABLE tokens (id bigint PRIMARY KEY, token text)')
  let opened = 0
  const watched: Codec = {
    ...kt1(),
    decrypt: (...value) => {
      opened++
      return kt1().decrypt(...value)
    },
  }
  const field = fieldOf('tokens.token', { writes: watched })
  for (const id of [1, 2, 3]) await server.pool.query('INSERT INTO tokens VALUES ($1, $2)', [id, field.encryptSync(`token ${id}`)])
  await server.pool.query('INSERT INTO tokens VALUES (4, $1)', [writeOld('token 4')])
  await server.pool.query(`UPDATE tokens SET token = left(token, 20) || 'AAAA' || substr(token, 25) WHERE id = 3`)
  const census = await takeCensus({ database: postgres({ pool: server.pool }), fields: [field] })
  expect(facts(census!.fields[0]!).groups).toEqual([
    ['kt1', 'newnewne', 'active', 3, true],
    ['hex-colon', 'oldoldol', 'active', 1, false],
  ])
  expect(opened).toBe(0)
})

test('Values under an older name of their field are counted as not current, although their key is', async () => {
  await server.pool.query('CREATE TABLE tokens (id bigint PRIMARY KEY, token text)')
  const [older, field] = [fieldOf('tokens.token', { name: 'before' }), fieldOf('tokens.token', { was: ['before'] })]
  await server.pool.query('INSERT INTO tokens VALUES (1, $1), (2, $2)', [older.encryptSync('one'), field.encryptSync('two')])
  const census = await takeCensus({ database: postgres({ pool: server.pool }), fields: [field] })
  expect(facts(census!.fields[0]!).groups).toEqual([
    ['kt1', 'newnewne', 'active', 1, true],
    ['kt1', 'newnewne', 'active', 1, false],
  ])
})

test('Values inside documents and values with their key id beside them are counted one by one', async () => {
  await server.pool.query('CREATE TABLE documents (id bigint PRIMARY KEY, config jsonb, secret text, key_id text)')
  const keyring = staticKeyring('app', [
    staticVersion('newnewne', 2, 'active', newKey),
    staticVersion('midmidmi', 1, 'retiring', Buffer.alloc(32, 0x33)),
  ])
  const inside = fieldOf('documents.config:/keys/*', { name: 'inside', keyring })
  const beside = fieldOf('documents.secret', {
    name: 'beside',
    keyring,
    keyId: 'key_id',
    writes: fieldOf('documents.secret').reads[0]!.codec,
  })
  const old = staticKeyring('old', [staticVersion('oldoldol', 1, 'active', oldKey)])
  const under = (version: number) =>
    beside.writes.encrypt(Buffer.from('x'), keyring.snapshot.versions.find((each) => each.number === version)!, {
      keyring: 'app',
      field: 'beside',
      bound: [],
    })
  const document = { keys: [inside.encryptSync('a'), writeOld('b', undefined, old), 7, damaged()], other: damaged() }
  await server.pool.query('INSERT INTO documents VALUES (1, $1, $2, $3), (2, NULL, $4, $5), (3, $6, $7, NULL), (4, NULL, $4, $8)', [
    ...[JSON.stringify(document), under(2), 'newnewne', under(1), 'midmidmi'],
    ...['{"keys": {"only": null}}', writeOld('c', undefined, old), 'unknownn'],
  ])
  const census = await takeCensus({ database: postgres({ pool: server.pool }), fields: [inside, beside] })
  expect(census?.fields.map(facts)).toEqual([
    {
      total: 4,
      unreadable: 2,
      kept: 0,
      groups: [
        ['kt1', 'newnewne', 'active', 1, true],
        ['hex-colon', 'oldoldol', 'active', 1, false],
      ],
    },
    {
      total: 4,
      unreadable: 1,
      kept: 0,
      groups: [
        ['hex-colon', 'newnewne', 'active', 1, true],
        ['hex-colon', 'midmidmi', 'retiring', 1, false],
        ['hex-colon', 'oldoldol', 'active', 1, false],
      ],
    },
  ])
})

test('Its counts are those of a verification, whatever the size of the table, and it changes nothing', async () => {
  const many = count(2_500, 50_000)
  await fillTable(server.pool, 'tokens', many)
  const config = defineConfig({
    keyrings: { app: { primary: env('NEW'), keyRule: 'hex' } },
    fields: {
      'tokens.token': { column: 'tokens.token', keyring: 'app', reads: [{ codec: 'hex-colon', key: env('OLD'), keyRule: 'hex' }] },
    },
  })
  const keyturn = await open(config, { pool: server.pool, env: { NEW: '22'.repeat(32), OLD: '11'.repeat(32) } })
  try {
    await server.pool.query('UPDATE tokens SET token = $1 WHERE id % 7 = 0', [await keyturn.field('tokens.token').encrypt('current')])
    const before = await server.pool.query('SELECT md5(string_agg(xmin::text || token, $1 ORDER BY id)) AS sum FROM tokens', [','])
    let done = 0
    const { fields } = await keyturn.census({
      onProgress: ({ phase, rowsDone }) => (done = phase === 'counting' ? rowsDone : -1),
      throttle: { share: 1 },
    })
    const { total, current, other } = await keyturn.verify()
    expect(fields[0]).toMatchObject({ total, unreadable: 0, kept: 0 })
    expect(fields[0]!.groups.map(({ values }) => values)).toEqual([current, other])
    expect(total).toBe(many)
    expect(done).toBeGreaterThan(0)
    expect((await server.pool.query('SELECT md5(string_agg(xmin::text || token, $1 ORDER BY id)) AS sum FROM tokens', [','])).rows).toEqual(
      before.rows,
    )
  } finally {
    await keyturn.close()
  }
})
