import { randomBytes } from 'node:crypto'
import { storedToken } from '@keyturn/core'
import { beforeEach, expect, test } from 'vitest'
import { createFolder } from '../../../../test/harness/command.ts'
import { useDatabase } from '../../../../test/harness/postgres.ts'
import { keyturn, secrets } from '../../../../test/harness/users.ts'

const server = useDatabase()
const column = 'invitation_token.token'
const verb = (...more: string[]) => ['hash-tokens', column, '--database', server.url, ...more]
const stored = async () => (await server.pool.query('SELECT token FROM invitation_token ORDER BY token')).rows.map(({ token }) => token)

const tokens = Array.from({ length: 30 }, () => randomBytes(32).toString('hex'))
for (const token of tokens) secrets.add(token)
beforeEach(async () => {
  await server.pool.query('DROP TABLE IF EXISTS invitation_token; CREATE TABLE invitation_token (id serial PRIMARY KEY, token text)')
  await server.pool.query('INSERT INTO invitation_token (token) SELECT unnest($1::text[])', [tokens])
})

test('tokens are hashed once told so, and the database alone is enough for it', async () => {
  const asked = await keyturn(verb(), { env: {} })
  expect([asked.code, asked.stderr]).toEqual([2, expect.stringContaining('--yes')])
  expect(await stored()).toEqual([...tokens].sort())
  const done = await keyturn(verb('--yes', '--refuse-plain'), { env: {} })
  expect([done.code, done.stdout]).toEqual([
    0,
    `30 tokens of ${column} hashed; 30 are hashed now, 0 in the clear.\nThe database refuses tokens in the clear (constraint hashed_tokens_token) and has checked every row.\n`,
  ])
  expect(await stored()).toEqual(tokens.map(storedToken).sort())
  const again = await keyturn(verb('--yes', '--json'), { env: {} })
  expect([again.code, JSON.parse(again.stdout)]).toEqual([
    0,
    { column, hashed: 0, now: { hashed: 30, plain: 0, empty: 0, other: 0 }, constraint: null },
  ])
  expect(await stored()).toEqual(tokens.map(storedToken).sort())
})

test('at a terminal the name of the column is typed, because nothing gives a token back', async () => {
  const other = await keyturn(verb(), { env: {}, isTTY: true, stdin: 'yes\n' })
  expect([other.code, other.stdout, other.stderr]).toEqual([2, 'Nothing was changed.\n', expect.stringContaining('This cannot be undone')])
  expect(await stored()).toEqual([...tokens].sort())
  expect((await keyturn(verb(), { env: {}, isTTY: true, stdin: `${column}\n` })).code).toBe(0)
  expect(await stored()).toEqual(tokens.map(storedToken).sort())
})

test('a column of encrypted values is refused, by the configuration and by what stands in it', async () => {
  const config = { keyrings: { app: { primary: { env: 'NOT_SET' } } }, fields: { token: { column, keyring: 'app' } } }
  const cwd = await createFolder({ 'keyturn.config.json': JSON.stringify(config) })
  const declared = await keyturn(verb('--yes'), { cwd, env: {} })
  expect([declared.code, declared.stderr]).toEqual([2, expect.stringContaining('field "token" has encrypted values there')])
  const bound = { ...config, fields: { email: { column: 'invitation_token.email', keyring: 'app', bind: ['token'] } } }
  const other = await createFolder({ 'keyturn.config.json': JSON.stringify(bound) })
  const refused = await keyturn(verb('--yes'), { cwd: other, env: {} })
  expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('field "email" is bound to it')])
  expect(await stored()).toEqual([...tokens].sort())
  await server.pool.query(`INSERT INTO invitation_token (token) VALUES ('${'0a'.repeat(12)}:${'0b'.repeat(16)}:0c')`)
  const looked = await keyturn(verb('--yes'), { env: {} })
  expect([looked.code, looked.stderr]).toEqual([2, expect.stringContaining('1 of its values look like no tokens')])
  expect((await stored()).filter((token) => String(token).startsWith('sha256:'))).toEqual([])
})

test('what is left in the clear is exit code 3', async () => {
  const client = await server.pool.connect()
  try {
    await client.query('BEGIN')
    await client.query('SELECT 1 FROM invitation_token WHERE token = $1 FOR UPDATE', [tokens[0]])
    const { code, stdout } = await keyturn(verb('--yes'), { env: {} })
    expect([code, stdout]).toEqual([
      3,
      expect.stringContaining('29 tokens of invitation_token.token hashed; 29 are hashed now, 1 in the clear.'),
    ])
  } finally {
    await client.query('ROLLBACK')
    client.release()
  }
})
