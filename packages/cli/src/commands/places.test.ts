import { expect, test } from 'vitest'
import { env, keyturn, NEW, open, seal, secrets, useUsers } from '../../../../test/harness/users.ts'

const { database } = useUsers()
const flags = (...fields: string[]) => {
  const keys = ['--format', 'hex-colon', '--key-rule', 'hex', '--old-env', 'OLD_KEY', '--new-env', 'NEW_KEY']
  return ['--database', database.url, ...fields.flatMap((field) => ['--field', field]), ...keys]
}
function sealed(text: string): string {
  const value = seal(text)
  secrets.add(value)
  return value
}
async function table(columns: string, ...rows: unknown[][]) {
  await database.pool.query(`DROP TABLE IF EXISTS connectors; CREATE TABLE connectors (${columns})`)
  for (const row of rows)
    await database.pool.query(`INSERT INTO connectors VALUES (${row.map((_, index) => `$${index + 1}`).join(', ')})`, row)
  await database.pool.query('ANALYZE connectors')
}
const stored = async () => (await database.pool.query('SELECT * FROM connectors ORDER BY 1')).rows

test('a place inside JSON is named by a pointer, with a condition on a member beside it', async () => {
  const [secret, plain] = [sealed('marked-plaintext'), sealed('not to be touched')]
  const headers = [
    { name: 'authorization', secret: true, value: secret },
    { name: 'x', secret: false, value: plain },
  ]
  await table('id int PRIMARY KEY, config jsonb', [1, JSON.stringify({ headers, note: 'n' })])
  const where = [...flags('connectors.config:/headers/*/value'), '--where', 'secret=true']
  const planned = await keyturn(['plan', ...where])
  expect([planned.code, planned.stdout]).toEqual([0, expect.stringContaining('connectors.config:/headers/*/value')])
  expect((await keyturn(['rotate', ...where, '--yes', '--max'])).code).toBe(0)
  const [{ config }] = await stored()
  expect(open(config.headers[0].value, NEW)).toBe('marked-plaintext')
  expect([config.headers[1].value, config.note]).toEqual([plain, 'n'])
  expect((await keyturn(['verify', ...where])).code).toBe(0)
})

test('a value of a document that does not open is listed with its place', async () => {
  await table('id int PRIMARY KEY, config jsonb', [1, JSON.stringify({ a: sealed('marked-plaintext'), b: seal('x', NEW).slice(0, -4) })])
  const { code, stdout } = await keyturn(['verify', ...flags('connectors.config:/*')])
  expect([code, stdout]).toEqual([1, expect.stringMatching(/id=1 {2}\/b {2}ERR_DECRYPT/)])
})

test('--keep leaves what it names, and nothing else that does not open', async () => {
  const value = sealed('marked-plaintext')
  await table('id int PRIMARY KEY, token text', [1, value], [2, 'ref:vault/1'], [3, 'broken'])
  const keep = [...flags('connectors.token'), '--keep', 'ref:.+']
  const { code, stdout } = await keyturn(['rotate', ...keep, '--yes', '--max', '--json'])
  expect([code, JSON.parse(stdout)]).toEqual([3, expect.objectContaining({ rotated: 1, failedCount: 1 })])
  expect((await stored()).slice(1).map(({ token }) => token)).toEqual(['ref:vault/1', 'broken'])
  const census = JSON.parse((await keyturn(['census', ...keep, '--json'])).stdout)
  expect(census.fields[0]).toMatchObject({ unreadable: 1, kept: 1 })
})

test('--sensitive shows a key column of the row as a hash, and never itself', async () => {
  secrets.add('marked-session-id')
  await table('sid text PRIMARY KEY, token text', ['marked-session-id', 'broken'], ['other', sealed('marked-plaintext')])
  const { code, stdout } = await keyturn(['verify', ...flags('connectors.token'), '--sensitive', 'sid'])
  expect([code, stdout]).toEqual([1, expect.stringMatching(/sid=\S+ {2}ERR_DECRYPT/)])
})

test.each([
  [['--where', 'secret'], '--where needs a member and its value'],
  [['--where', 'secret=true'], '[ERR_CONFIG]'],
  [['--keep', '('], '[ERR_CONFIG]'],
  [['--key-id', 'nosuch'], '[ERR_'],
])('%j on a whole column is refused and changes nothing', async (more, sentence) => {
  await table('id int PRIMARY KEY, token text', [1, sealed('marked-plaintext')])
  const before = await stored()
  const { code, stdout, stderr } = await keyturn(['rotate', ...flags('connectors.token'), ...more, '--yes'])
  expect([code, stdout, stderr]).toEqual([2, '', expect.stringContaining(sentence)])
  expect(await stored()).toEqual(before)
})

test('a census counts by format and key, by a configuration, without changing anything', async () => {
  await table('id int PRIMARY KEY, token text', [1, sealed('marked-plaintext')], [2, sealed('b')], [3, 'broken'])
  const { code, stdout } = await keyturn(['census', ...flags('connectors.token')], { env })
  expect([code, stdout]).toEqual([0, expect.stringMatching(/^3 values counted: 0 current\./)])
  expect(stdout).toMatch(/connectors\.token {2}no format of the field fits .* 1 {2}no$/m)
  expect((await database.pool.query(`SELECT FROM pg_namespace WHERE nspname = 'keyturn'`)).rowCount).toBe(0)
})
