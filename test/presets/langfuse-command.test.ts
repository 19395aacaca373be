import { Client } from 'pg'
import { beforeEach, describe, expect, test } from 'vitest'
import { type ChildExit, runChild } from '../harness/child.ts'
import { createFolder } from '../harness/command.ts'
import { useDatabase } from '../harness/postgres.ts'
import { langfuseDecrypt, langfuseEncrypt } from './langfuse-cipher.ts'
import { aroundPlaces, fillLangfuse, keptValues, places, readLangfuse, storedAt, vectorKey } from './langfuse-tables.ts'

const server = useDatabase()
const fresh = '5a'.repeat(32)
const root = 'ab'.repeat(32)

beforeEach(async () => {
  await server.pool.query('DROP SCHEMA IF EXISTS keyturn CASCADE')
  await fillLangfuse(server.pool)
})

/** Runs the command as an operator does: another process, its keys in its environment. */
async function keyturn(args: readonly string[], { old = vectorKey, cwd }: { old?: string; cwd?: string } = {}): Promise<ChildExit> {
  const env = { DATABASE_URL: server.url, OLD: old, NEW: fresh, ROOT: root, NODE_ENV: 'production' }
  const exit = await runChild('packages/cli/bin/keyturn.js', args, { env, node: [], ...(cwd === undefined ? {} : { cwd }) })
  const secrets = [old, fresh, root, server.url, ...places.map(({ plaintext }) => plaintext)]
  expect(secrets.filter((secret) => `${exit.stdout}${exit.stderr}`.includes(secret))).toEqual([])
  return exit
}
const database = ['--database', 'env:DATABASE_URL']
const preset = ['--preset', 'langfuse', ...database, '--old-env', 'OLD', '--new-env', 'NEW']

const decrypted = async (key: string) => {
  const contents = await readLangfuse(server.pool)
  return places.map((place) => langfuseDecrypt(storedAt(contents, place), key))
}
const plaintexts = places.map(({ plaintext }) => plaintext)
const hasSchema = async () => (await server.pool.query(`SELECT FROM pg_namespace WHERE nspname = 'keyturn'`)).rowCount === 1

describe('keyturn --preset langfuse', () => {
  test('plan, rotate, release and verify: every plaintext reads back, and all else stays byte for byte', async () => {
    const before = await readLangfuse(server.pool)
    const plan = await keyturn(['plan', ...preset, '--json'])
    expect([plan.code, JSON.parse(plan.stdout)]).toMatchObject([0, { mode: 'transaction' }])
    expect(await readLangfuse(server.pool)).toEqual(before)
    const rotated = await keyturn(['rotate', ...preset, '--yes', '--json'])
    expect([rotated.code, JSON.parse(rotated.stdout)]).toMatchObject([
      0,
      { mode: 'transaction', state: 'completed', rotated: places.length, skipped: keptValues, failed: [] },
    ])
    expect(await decrypted(fresh)).toEqual(plaintexts)
    expect(aroundPlaces(await readLangfuse(server.pool))).toEqual(aroundPlaces(before))
    const write = () => server.pool.query(`UPDATE slack_integrations SET bot_token = bot_token`)
    await expect(write()).rejects.toMatchObject({ code: 'KT001' })
    expect((await keyturn(['release', ...database])).code).toBe(0)
    await write()
    expect((await keyturn(['verify', ...preset])).code).toBe(0)
  })

  test('with --app-stopped, from the default key of zeros: nothing is created, and there is nothing to release', async () => {
    const zeros = '0'.repeat(64)
    await fillLangfuse(server.pool, ({ plaintext }) => langfuseEncrypt(plaintext, zeros))
    const args = ['rotate', ...preset, '--app-stopped', '--yes', '--json']
    // The pool of this test is an application that is connected.
    const refused = await keyturn(args, { old: zeros })
    expect([refused.code, JSON.parse(refused.stdout).error.code]).toEqual([1, 'ERR_APP_RUNNING'])
    expect(await decrypted(zeros)).toEqual(plaintexts)
    await disconnectAll()
    const rotated = await keyturn(args, { old: zeros })
    expect([rotated.code, JSON.parse(rotated.stdout)]).toMatchObject([0, { state: 'completed', rotated: places.length }])
    expect(await decrypted(fresh)).toEqual(plaintexts)
    expect(await hasSchema()).toBe(false)
  })

  test('to a keyring of the configuration it goes online', async () => {
    const config = { refreshMs: 50, keyrings: { app: { root: { env: 'ROOT' } } }, fields: {} }
    const cwd = await createFolder({ 'keyturn.config.json': JSON.stringify(config) })
    const args = ['rotate', '--preset', 'langfuse', ...database, '--old-env', 'OLD', '--to', 'app', '--max', '--yes', '--json']
    const rotated = await keyturn(args, { cwd })
    expect([rotated.code, JSON.parse(rotated.stdout)]).toMatchObject([0, { mode: 'online', state: 'completed', rotated: places.length }])
    const contents = await readLangfuse(server.pool)
    expect(places.filter((place) => !storedAt(contents, place).startsWith('kt1.'))).toEqual([])
  })
})

describe('what is refused changes nothing', () => {
  test.each([
    ['a table that is missing', 'ALTER TABLE posthog_integrations RENAME TO analytics', [], 'ERR_PRESET_FIT'],
    ['an online rotation from key to key', 'SELECT 1', ['--mode', 'online'], 'ERR_USAGE'],
    ['a flag that the preset knows better', 'SELECT 1', ['--format', 'hex-colon'], 'ERR_USAGE'],
  ])('%s', async (_, statement, more, code) => {
    await server.pool.query(statement)
    const before = await readLangfuse(server.pool).catch(() => null)
    const { code: exit, stdout } = await keyturn(['rotate', ...preset, ...more, '--yes', '--json'])
    expect([exit, JSON.parse(stdout).error.code]).toEqual([2, code])
    expect(await readLangfuse(server.pool).catch(() => null)).toEqual(before)
    expect(await hasSchema()).toBe(false)
  })
})

test('secrets in places that the preset does not know are warned of before the rotation', async () => {
  await server.pool.query('ALTER TABLE slack_integrations ADD signing_secret text')
  await server.pool.query('UPDATE slack_integrations SET signing_secret = $1', [langfuseEncrypt('new', vectorKey)])
  const { code, stderr } = await keyturn(['plan', ...preset])
  expect([code, stderr]).toEqual([
    0,
    expect.stringMatching(/warning: column "slack_integrations\.signing_secret" holds values that look encrypted/),
  ])
})

async function disconnectAll(): Promise<void> {
  const client = new Client({ connectionString: server.url })
  await client.connect()
  await client.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
  )
  await client.end()
}
