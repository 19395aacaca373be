import { inspect } from 'node:util'
import { beforeEach, expect, test } from 'vitest'
import postgres, { pgState } from '../../packages/core/src/databases/postgres.ts'
import type { RotateOptions } from '../../packages/core/src/keyturn.ts'
import { rotate } from '../../packages/core/src/rotation/rotate.ts'
import { migrate } from '../../packages/core/src/state/schema.ts'
import { useDatabase } from '../harness/postgres.ts'
import { fieldOf, newKey, oldKey, rotationOf, writeOld } from '../rotation/world.ts'

const server = useDatabase()
const mark = 'sk_live_MARKED'
const field = fieldOf('tokens.token')
/** Everything that stood in the table, old and new, and whatever begins like a part of it. */
let secrets: string[]

beforeEach(async () => {
  await server.pool.query(
    'DROP SCHEMA IF EXISTS keyturn CASCADE; DROP TABLE IF EXISTS tokens CASCADE; CREATE TABLE tokens (id bigint PRIMARY KEY, token text)',
  )
  await migrate(pgState(server.pool))
  const values = [
    ...Array.from({ length: 30 }, (_, id) => writeOld(`${mark} ${id}`) as string),
    `${mark} never encrypted`,
    `kt1.newnewne.${mark}`,
  ]
  for (const [id, value] of values.entries()) await server.pool.query('INSERT INTO tokens VALUES ($1, $2)', [id, value])
  secrets = [
    mark,
    oldKey.toString('hex'),
    newKey.toString('hex'),
    oldKey.toString('base64'),
    newKey.toString('base64'),
    new URL(server.url).password,
  ]
  secrets.push(...values.map((value) => value.slice(10, 40)))
})

async function expectSilent(outputs: readonly unknown[]): Promise<void> {
  const { rows: tables } = await server.pool.query(
    "SELECT quote_ident(table_name) AS name FROM information_schema.tables WHERE table_schema = 'keyturn'",
  )
  const state: string[] = []
  for (const { name } of tables)
    for (const row of (await server.pool.query(`SELECT t::text AS line FROM keyturn.${name} t`)).rows) state.push(row.line)
  const { rows } = await server.pool.query('SELECT token FROM tokens')
  const all = [...secrets, ...rows.map(({ token }) => String(token).slice(13, 43))].filter((secret) => secret.length >= 8)
  const text = [...outputs.map((output) => inspect(output, { depth: 20, showHidden: true })), JSON.stringify(outputs), ...state].join('\n')
  expect(text.length).toBeGreaterThan(200)
  for (const secret of all) expect(text.includes(secret)).toBe(false)
}

async function collect(options: RotateOptions): Promise<unknown[]> {
  const seen: unknown[] = []
  const rotation = rotationOf(postgres({ pool: server.pool }), [field], {
    accept: true,
    onProgress: (report) => seen.push(report),
    ...options,
  })
  seen.push(rotation, await rotate(rotation).catch((error) => [error, error.message, error.stack, error.cause, String(error)]))
  return seen
}

test.each([{}, { mode: 'transaction' }, { mode: 'transaction', setAside: true }] as const)(
  'No secret leaves: not in results, progress, errors, the audit log or the state of a rotation with values set aside (%o)',
  async (options) => {
    await expectSilent(await collect(options))
  },
)

test.each(['online', 'transaction'] as const)(
  'No secret leaves when the database itself quotes the row that it refuses (%s)',
  async (mode) => {
    await server.pool.query("ALTER TABLE tokens ADD CONSTRAINT quoting CHECK (token NOT LIKE 'kt1.newnewne.%' OR id IN (4, 31)) NOT VALID")
    await expectSilent(await collect({ mode, setAside: true }))
  },
)

test('No secret leaves when a trigger raises with the value in its message', async () => {
  await server.pool.query(`CREATE OR REPLACE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no % for %', NEW.token, OLD.token; END $$;
    CREATE TRIGGER tell BEFORE UPDATE ON tokens FOR EACH ROW EXECUTE FUNCTION tell()`)
  for (const mode of ['online', 'transaction'] as const) await expectSilent(await collect({ mode, setAside: true }))
})
