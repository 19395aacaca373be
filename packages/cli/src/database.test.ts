import { stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createFolder, runCommand } from '../../../test/harness/command.ts'
import { useDatabase } from '../../../test/harness/postgres.ts'
import { openDatabase } from './database.ts'

const database = useDatabase()
const flags = ['--field', 'users.token', '--format', 'hex-colon', '--key-rule', 'hex', '--old-env', 'OLD', '--new-env', 'NEW']
const env = { OLD: '11'.repeat(32), NEW: '22'.repeat(32), KEYTURN_DEBUG: '1' }

async function closedPort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready))
  const { port } = server.address() as { port: number }
  await new Promise((closed) => server.close(closed))
  return port
}

function changed(change: (url: URL) => void): string {
  const url = new URL(database.url)
  url.password ||= 'marked-password'
  change(url)
  return url.href
}

const addresses: [string, () => string | Promise<string>, string][] = [
  [
    'a closed port',
    async () => `postgres://marked-user:marked-password@127.0.0.1:${await closedPort()}/x`,
    'the database failed (ECONNREFUSED: nothing listens there) while connecting [ERR_DATABASE]',
  ],
  ['an unknown host', () => 'postgres://marked-user:marked-password@no-such-host.invalid/x', '(ENOTFOUND|EAI_AGAIN).* while connecting'],
  [
    'an unknown database',
    () =>
      changed((url) => {
        url.pathname = '/no_such'
      }),
    '(3D000: there is no such database) while connecting',
  ],
  ['no kind that is known', () => 'mysql://marked-user:marked-password@h/x', 'is of no kind that is known'],
  [
    'a refusal that quotes what it was given',
    () => changed((url) => url.searchParams.set('options', '-c marked_setting=marked-value')),
    'the database failed (42704) while connecting',
  ],
  ['no address at all', () => 'postgres://marked-user:marked-password@[bad/x', 'the database failed'],
  ['an embedded folder that is not there', async () => `pglite:${join(await createFolder(), 'none')}`, 'there is no embedded database at'],
]

test.each(addresses)('%s: one sentence, exit 2, and nothing of the address', async (_, address, sentence) => {
  const { code, stdout, stderr } = await runCommand(['plan', '--database', await address(), ...flags], { env })
  expect(code).toBe(2)
  expect(stdout).toBe('')
  expect(stderr).toMatch(new RegExp(sentence.includes('|') ? sentence : sentence.replaceAll(/[()[\].]/g, '\\$&')))
  expect(stderr).not.toContain('marked')
})

test('a wrong password is named and not shown', async ({ skip }) => {
  const url = changed((changing) => {
    changing.password = 'marked-password'
  })
  const error = await openDatabase(url, '.', { create: false }).then(
    (opened) => opened.close(),
    (caught: Error) => caught,
  )
  if (error === undefined) skip('this Postgres trusts everybody')
  expect(String(error)).toContain('(28P01: the password was not accepted) while connecting')
  expect(JSON.stringify(error)).not.toContain('marked')
})

test('the address may come from a variable or from a file', async () => {
  const cwd = await createFolder({ address: `${database.url}\n` })
  const { code, stdout } = await runCommand(['init', '--database', 'env:MY_URL'], { cwd, env: { MY_URL: database.url } })
  expect([code, stdout]).toEqual([0, expect.stringContaining('Schema "keyturn" is ready.')])
  const config = { database: { file: 'address' }, keyrings: {}, fields: {} }
  const other = await createFolder({ address: `${database.url}\n`, 'keyturn.config.json': JSON.stringify(config) })
  expect((await runCommand(['doctor'], { cwd: other })).stdout).toMatch(/^ok {4}database: PostgreSQL \d+/m)
})

test("an embedded database that is made is nobody else's to read or write", async () => {
  const folder = join(await createFolder(), 'made', 'db')
  await (await openDatabase(`pglite:${folder}`, '.', { create: true })).close()
  expect((await stat(folder)).mode & 0o777).toBe(0o700)
})
