import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import kt1 from '../../packages/core/src/codecs/kt1.ts'
import postgres, { pgState } from '../../packages/core/src/databases/postgres.ts'
import { staticKeyring, staticVersion } from '../../packages/core/src/keyring/static-keyring.ts'
import type { RotateOptions } from '../../packages/core/src/keyturn.ts'
import type { Database } from '../../packages/core/src/rotation/database.ts'
import { DatabaseError } from '../../packages/core/src/rotation/database-error.ts'
import { resume, rotate } from '../../packages/core/src/rotation/rotate.ts'
import { migrate } from '../../packages/core/src/state/schema.ts'
import { useDatabase } from '../harness/postgres.ts'
import { withSteps } from './steps.ts'
import { census, changesOf, fieldOf, fillTable, keepHistory, newKey, newKeys, rotationOf, writeOld } from './world.ts'

const server = useDatabase()
const rows = 100
const options: RotateOptions = { throttle: { share: 1 } }
const keyring = staticKeyring('app', [
  staticVersion('newnewne', 2, 'active', newKey),
  staticVersion('midmidmi', 1, 'retiring', Buffer.alloc(32, 0x33)),
])
const field = fieldOf('tokens.token', { keyring })
let database: Database
const applications: Client[] = []

beforeEach(async () => {
  await server.pool.query(
    'DROP SCHEMA IF EXISTS keyturn CASCADE; DROP TABLE IF EXISTS tokens, tokens_history, totals CASCADE; DROP FUNCTION IF EXISTS tokens_note, count_up CASCADE',
  )
  await migrate(pgState(server.pool))
  await fillTable(server.pool, 'tokens', rows)
  database = postgres({ pool: server.pool })
})
afterEach(async () => {
  for (const client of applications.splice(0)) await client.end()
})

async function application(name: string): Promise<Client> {
  const client = new Client({ connectionString: server.url, application_name: name })
  applications.push(client)
  await client.connect()
  return client
}

/** What an instance writes that has not heard of the new key. */
const midKey = (text: string) =>
  kt1().encrypt(Buffer.from(text), keyring.snapshot.versions.find(({ id }) => id === 'midmidmi')!, {
    keyring: 'app',
    field: field.name,
    bound: [],
  })

test('A run waits while an instance goes on under an old key, and says what it writes and who is connected; then it is resumed', async () => {
  const [old] = [await application('billing worker'), await application('billing worker'), await application('evil\nname')]
  let writes = true
  const written = withSteps(database, async (step) => {
    if (step !== 'scan:before' || !writes) return
    for (const id of [1, 2, 3]) await old!.query('UPDATE tokens SET token = $2 WHERE id = $1', [id, midKey(`written ${id}`)])
    await old!.query('UPDATE tokens SET token = $1 WHERE id = 4', [writeOld('older still')])
  })
  const { id, state } = await rotate(rotationOf(written, [field], options))
  expect(state).toBe('waiting')
  const note = (await database.runs.get(id))?.note ?? ''
  expect(note).toMatch(/^values keep appearing under an old key/)
  expect(note).toMatch(
    /Found in the last pass: \d+ of field "tokens.token" under key midmidmi \(kt1\), \d+ of field "tokens.token" under a format that names no key/,
  )
  expect(note).toMatch(/Also connected: .*"billing worker" \(2 sessions\)/)
  // Before PostgreSQL 16 the server itself replaces what cannot be printed.
  expect(note).toMatch(/"evil(\\x0a|\?)name" \(1 session\)/)
  expect(note).not.toContain('written')
  // Five passes have looked four times as many times: what is named is of one pass.
  expect(Number(/pass: (\d+)/.exec(note)?.[1])).toBeLessThanOrEqual(6)
  writes = false
  const run = await database.runs.get(id)
  expect(await resume(rotationOf(database, [field], options), run!)).toMatchObject({ state: 'completed' })
  expect((await database.runs.get(id))?.note).toBeNull()
  expect(await census(server.pool, 'tokens', field)).toEqual({ current: rows, old: 0, broken: 0 })
})

test('Values that appear between the last pass and the verification, again and again: the run waits and says of which field they are', async () => {
  const old = await application('old')
  const written = withSteps(database, async (step) => {
    if (step === 'change-to-verifying:before') await old.query('UPDATE tokens SET token = $1 WHERE id = 9', [midKey('late')])
  })
  const { id, state } = await rotate(rotationOf(written, [field], options))
  expect(state).toBe('waiting')
  expect((await database.runs.get(id))?.note).toMatch(/Found .*1 of field "tokens.token"/)
})

test('A run that cannot have rows because they stay locked says so, and blames no old key', async () => {
  const holder = await application('reports')
  await holder.query('BEGIN')
  await holder.query('SELECT FROM tokens WHERE id <= 7 FOR UPDATE')
  const { id, state, rotated } = await rotate(rotationOf(database, [field], options))
  expect({ state, rotated }).toEqual({ state: 'waiting', rotated: rows - 7 })
  const note = (await database.runs.get(id))?.note ?? ''
  expect(note).toMatch(/^values cannot be had: transactions .* rows locked.*Found in the last pass: 7 of field.*"reports" \(1 session\)/)
  await holder.query('COMMIT')
  const run = await database.runs.get(id)
  expect(await resume(rotationOf(database, [field], options), run!)).toMatchObject({ state: 'completed', rotated: rows })
})

test('Where a trigger of the application waits for its locks, batches shrink and rest, and grow again when the locks are gone', async () => {
  const many = 3_000
  await server.pool.query(`
    DROP TABLE tokens;
    CREATE TABLE totals (updates bigint);
    INSERT INTO totals VALUES (0);
    CREATE FUNCTION count_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE totals SET updates = updates + 1; RETURN NULL; END $$`)
  await fillTable(server.pool, 'tokens', many)
  await keepHistory(server.pool, 'tokens')
  await server.pool.query('CREATE TRIGGER counts AFTER UPDATE ON tokens FOR EACH STATEMENT EXECUTE FUNCTION count_up()')
  const busy = await application('busy')
  await busy.query('BEGIN')
  await busy.query('SELECT FROM totals FOR UPDATE')
  let refused = 0
  const sizes: { size: number; refused: number }[] = []
  const watched: Database = {
    ...database,
    scan: (walk, after, limit) => {
      sizes.push({ size: limit, refused })
      return database.scan(walk, after, limit)
    },
    transaction: async (work) => {
      try {
        return await database.transaction(work)
      } catch (error) {
        if (error instanceof DatabaseError && error.kind === 'contention' && ++refused === 8) await busy.query('COMMIT')
        throw error
      }
    },
  }
  expect(await rotate(rotationOf(watched, [field], options))).toMatchObject({ state: 'completed', rotated: many })
  expect(refused).toBe(8)
  const [before, after] = [sizes.filter(({ refused }) => refused < 8), sizes.filter(({ refused }) => refused === 8)]
  const smallest = after.findIndex(({ size }) => size <= 16)
  expect(Math.max(...before.map(({ size }) => size))).toBe(256)
  expect(smallest).not.toBe(-1)
  expect(Math.max(...after.slice(smallest).map(({ size }) => size))).toBeGreaterThanOrEqual(128)
  expect(await changesOf(server.pool, 'tokens')).toEqual({ rows: many, most: 1 })
})

/** A rotation of a keyring whose processes refresh, so that there is a quiet time. */
const refreshed = (more: { readonly settleMs?: number } = {}) => ({
  ...rotationOf(database, [fieldOf('tokens.token')], options),
  versions: { addPending: async () => newKeys.snapshot.active, activate: async () => {}, now: async () => new Date(), refreshMs: 50 },
  ...more,
})

test('A transaction that was open when the old key ended is waited for: what it commits late is rewritten too', async () => {
  const slow = await application('import')
  await slow.query('BEGIN')
  await slow.query('INSERT INTO tokens VALUES (5000, $1)', [writeOld('late')])
  let ended = false
  const rotating = rotate(refreshed()).finally(() => {
    ended = true
  })
  await expect.poll(() => census(server.pool, 'tokens', field)).toMatchObject({ current: rows })
  await sleep(500)
  expect(ended).toBe(false)
  await slow.query('COMMIT')
  expect(await rotating).toMatchObject({ state: 'completed', rotated: rows + 1 })
  expect((await database.runs.list(1))[0]?.note).toBeNull()
})

test('A transaction that is left open does not keep a rotation for ever: the run ends, and says whose it is', async () => {
  const forgotten = await application('forgotten console')
  await forgotten.query('BEGIN')
  await forgotten.query('INSERT INTO tokens VALUES (5000, $1)', [writeOld('late')])
  expect(await rotate(refreshed({ settleMs: 200 }))).toMatchObject({ state: 'completed', rotated: rows })
  expect((await database.runs.list(1))[0]?.note).toMatch(/a transaction stayed open .*"forgotten console"/)
})
