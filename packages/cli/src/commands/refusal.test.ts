import { expect, test } from 'vitest'
import { createFolder } from '../../../../test/harness/command.ts'
import { env, keyturn, useUsers } from '../../../../test/harness/users.ts'

const { database, where, values, fill } = useUsers()

const legacy = { codec: 'hex-colon', key: { env: 'OLD_KEY' }, keyRule: 'hex' }
const configOf = (field: object | null, root: object = { env: 'ROOT_KEY' }) => ({
  database: { env: 'DATABASE_URL' },
  refreshMs: 50,
  keyrings: { app: { root } },
  fields: field === null ? {} : { 'users.token': { column: 'users.token', keyring: 'app', bind: ['id'], reads: [legacy], ...field } },
})

async function run(argv: string[], config: object) {
  const cwd = await createFolder({ 'keyturn.config.json': JSON.stringify(config) })
  return keyturn(argv, { cwd, env: { ...env, DATABASE_URL: database.url } })
}
const schemas = async () => (await database.pool.query(`SELECT FROM pg_namespace WHERE nspname = 'keyturn'`)).rowCount

test.each([
  ['a pattern that is none', { reads: [{ codec: 'plain', looksLike: '(' }] }, 'ERR_'],
  ['a pattern that no value has', { reads: [{ codec: 'plain', looksLike: '^no such value$' }] }, 'ERR_SAMPLE'],
  ['a wrong key', { reads: [{ ...legacy, key: { env: 'OTHER_KEY' } }] }, 'ERR_SAMPLE'],
  ['a column that is not there', { column: 'users.tokens' }, 'ERR_UNKNOWN_COLUMN'],
  ['a bound column that is not there', { bind: ['identity'] }, 'ERR_'],
  ['no field', null, 'ERR_USAGE'],
])('rotate --yes with %s makes neither schema nor keyring', async (_, field, code) => {
  await fill(5)
  const before = await values()
  const rotated = await run(['rotate', '--yes'], configOf(field))
  expect([rotated.code, rotated.stdout, rotated.stderr]).toEqual([2, '', expect.stringContaining(`[${code}`)])
  expect([await schemas(), await values()]).toEqual([0, before])
})

test('rotate --yes by flags leaves no schema where it is refused, and makes one where it is not', async () => {
  await fill(5)
  const wrong = where().map((word) => (word === 'OLD_KEY' ? 'OTHER_KEY' : word))
  expect([(await keyturn(['rotate', ...wrong, '--yes'])).code, await schemas()]).toEqual([2, 0])
  expect([(await keyturn(['rotate', ...where(), '--yes'])).code, await schemas()]).toEqual([0, 1])
})

test('a resume and a rewrap that are refused make no keyring', async () => {
  await fill(5)
  const resumed = await run(['resume', '--yes'], configOf({}))
  expect([resumed.code, resumed.stderr]).toEqual([2, expect.stringContaining('there is no unfinished rotation')])
  const rewrapped = await run(['rewrap'], configOf({}))
  expect([rewrapped.code, rewrapped.stderr]).toEqual([2, expect.stringContaining('keyring "app" is not there yet')])
  expect(await schemas()).toBe(0)
})

test('verify with no field at all is refused', async () => {
  const { code, stdout, stderr } = await run(['verify'], configOf(null))
  expect([code, stdout, stderr]).toEqual([2, '', expect.stringContaining('there is no field to verify')])
})

test('rewrap refuses to drop a root that nothing is wrapped under, and names those there are', async () => {
  await fill(5)
  expect((await run(['rotate', '--yes', '--max'], configOf({}))).code).toBe(0)
  const { stdout } = await run(['rewrap', '--json'], configOf({}))
  const [root = ''] = (JSON.parse(stdout) as { roots: string[] }).roots
  const { code, stderr } = await run(['rewrap', '--drop', 'nosuch'], configOf({}))
  expect([code, stderr]).toEqual([2, expect.stringContaining(`there is no root key named "nosuch". There is "${root}" [ERR_UNKNOWN_NAME]`)])
})

test('init reads what it wrote: the schema is made at once where its variable is set', async () => {
  for (const options of [[], ['--json-config']]) {
    await database.pool.query('DROP SCHEMA IF EXISTS keyturn CASCADE')
    const { code, stdout } = await keyturn(['init', ...options], { cwd: await createFolder(), env: { DATABASE_URL: database.url } })
    expect([code, stdout]).toEqual([0, expect.stringContaining('Schema "keyturn" is ready.')])
    expect(await schemas()).toBe(1)
  }
  const unreachable = { DATABASE_URL: 'postgres://127.0.0.1:1/none' }
  const { code, stderr } = await keyturn(['init'], { cwd: await createFolder(), env: unreachable })
  expect([code, stderr]).toEqual([2, expect.stringContaining('Wrote keyturn.config.ts; the schema was not made.')])
})
