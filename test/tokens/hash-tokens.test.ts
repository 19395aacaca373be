import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { env } from '../../packages/core/src/config/config.ts'
import { pgState } from '../../packages/core/src/databases/postgres.ts'
import { storedToken, tokenForms, tokenHash } from '../../packages/core/src/field/token-hash.ts'
import type { Keyturn } from '../../packages/core/src/keyturn.ts'
import { open } from '../../packages/core/src/open.ts'
import { migrate } from '../../packages/core/src/state/schema.ts'
import { startChild } from '../harness/child.ts'
import { count } from '../harness/counts.ts'
import { usePglite } from '../harness/pglite.ts'
import { useDatabase } from '../harness/postgres.ts'
import type { TokenTask } from './child.ts'

const server = useDatabase()
const column = 'invitation_token.token'
const fast = { throttle: { share: 1 } }
let keyturn: Keyturn

beforeEach(async () => {
  await server.pool.query(`
    DROP SCHEMA IF EXISTS keyturn CASCADE; DROP TABLE IF EXISTS invitation_token;
    CREATE TABLE invitation_token (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, token text UNIQUE, email text, hashed_at timestamptz)`)
  await migrate(pgState(server.pool))
  keyturn = await open({ keyrings: {}, fields: {} }, { pool: server.pool })
})
afterEach(() => keyturn.close())

/** Tokens as the application of before makes them: 32 random bytes in hexadecimal, which look like a SHA-256 themselves. */
async function invite(rows: number): Promise<string[]> {
  const tokens = Array.from({ length: rows }, () => randomBytes(32).toString('hex'))
  await server.pool.query(`INSERT INTO invitation_token (token, email) SELECT t, repeat('x', 200) FROM unnest($1::text[]) t`, [tokens])
  return tokens
}
/** The application's look-up while the tokens are hashed. */
async function accepted(token: string): Promise<boolean> {
  const { rows } = await server.pool.query('SELECT id FROM invitation_token WHERE token = ANY($1)', [tokenForms(token)])
  return rows.length === 1
}
const stored = async () =>
  (await server.pool.query('SELECT token FROM invitation_token ORDER BY token')).rows.map(({ token }) => token as string)

describe('Hashing the tokens of a column', () => {
  test('each becomes its marked hash, a second call changes nothing, and both are on record', async () => {
    const tokens = await invite(3_000)
    expect(await keyturn.countTokens(column)).toEqual({ plain: 3_000, hashed: 0, empty: 0, other: 0 })
    const result = await keyturn.hashTokens(column, fast)
    expect(result).toEqual({ column, hashed: 3_000, now: { plain: 0, hashed: 3_000, empty: 0, other: 0 }, constraint: null })
    expect(await stored()).toEqual(tokens.map(storedToken).sort())
    expect(await keyturn.hashTokens(column, fast)).toMatchObject({ hashed: 0, now: { hashed: 3_000 } })
    expect(await stored()).toEqual(tokens.map(storedToken).sort())
    const events = []
    for await (const { action, subject, data } of keyturn.audit.events()) events.push({ action, subject, data })
    expect(events).toEqual([
      { action: 'tokens.hash', subject: `tokens/${column}`, data: { mark: null, plain: 3_000, hashed: 0 } },
      { action: 'tokens.hashed', subject: `tokens/${column}`, data: { mark: null, values: 3_000, plain: 0, constraint: null } },
      { action: 'tokens.hash', subject: `tokens/${column}`, data: { mark: null, plain: 0, hashed: 3_000 } },
      { action: 'tokens.hashed', subject: `tokens/${column}`, data: { mark: null, values: 0, plain: 0, constraint: null } },
    ])
  })

  test('with a column that marks the rows, the hash is bare, and stands in a column that is no wider than it', async () => {
    await server.pool.query('ALTER TABLE invitation_token ALTER COLUMN token TYPE varchar(64)')
    const tokens = await invite(500)
    await expect(keyturn.hashTokens(column)).rejects.toMatchObject({ code: 'ERR_COLUMN_TOO_SHORT' })
    const mark = { mark: 'hashed_at' }
    expect(await keyturn.hashTokens(column, { ...mark, ...fast, refusePlain: true })).toMatchObject({
      hashed: 500,
      constraint: 'hashed_tokens_token',
    })
    expect(await stored()).toEqual(tokens.map(tokenHash).sort())
    expect(await keyturn.hashTokens(column, { ...mark, ...fast })).toMatchObject({ hashed: 0 })
    expect(await stored()).toEqual(tokens.map(tokenHash).sort())
    const { rows } = await server.pool.query('SELECT count(*)::int AS marked FROM invitation_token WHERE hashed_at IS NOT NULL')
    expect(rows[0].marked).toBe(500)
    await expect(server.pool.query(`INSERT INTO invitation_token (token) VALUES ($1)`, [tokens[0]])).rejects.toMatchObject({
      code: '23514',
    })
  })

  test('NULL and the empty text are no tokens and stay', async () => {
    await invite(3)
    await server.pool.query(`INSERT INTO invitation_token (token) VALUES (NULL), ('')`)
    expect(await keyturn.hashTokens(column, { ...fast, refusePlain: true })).toMatchObject({
      hashed: 3,
      now: { plain: 0, hashed: 3, empty: 1 },
    })
    expect((await stored()).filter((token) => !token)).toEqual(['', null])
  })

  test.each([
    ['values that are encrypted', `kt1.aaaqeaye.${'x'.repeat(38)}`],
    ['encrypted values of other formats', `${'0a'.repeat(12)}:${'0b'.repeat(16)}:0c`],
    ['hashes of passwords', `$2b$12$${'a'.repeat(53)}`],
    ['short codes, whose hash is soon guessed', '123456'],
    ['sentences', 'not a token at all, is it'],
  ])('a column with %s is refused before anything is changed', async (_, value) => {
    const tokens = await invite(2)
    await server.pool.query('INSERT INTO invitation_token (token) VALUES ($1)', [value])
    const refusal = keyturn.hashTokens(column)
    await expect(refusal).rejects.toMatchObject({
      code: 'ERR_TOKEN_COLUMN',
      message: expect.stringContaining('1 of its values look like no tokens'),
    })
    expect(await stored()).toEqual([...tokens, value].sort())
  })

  test('a column that is not there, holds no text, or belongs to a field is refused', async () => {
    const code = (code: string) => expect.objectContaining({ code })
    await expect(keyturn.hashTokens('nowhere.token')).rejects.toThrow(code('ERR_UNKNOWN_TABLE'))
    await expect(keyturn.hashTokens('invitation_token.toke')).rejects.toThrow(code('ERR_UNKNOWN_COLUMN'))
    await expect(keyturn.hashTokens('invitation_token.id')).rejects.toThrow(code('ERR_COLUMN_TYPE'))
    await expect(keyturn.hashTokens(`${column}:/a`)).rejects.toThrow(code('ERR_TOKEN_COLUMN'))
    await expect(keyturn.hashTokens(column, { mark: 'id' })).rejects.toThrow(code('ERR_TOKEN_COLUMN'))
    await expect(keyturn.hashTokens(column, { mark: 'token' })).rejects.toThrow(code('ERR_TOKEN_COLUMN'))
    await expect(keyturn.hashTokens(column, { mark: 'none' })).rejects.toThrow(code('ERR_UNKNOWN_COLUMN'))
    const keyrings = { app: { primary: env('KEY') } }
    const fields = { token: { column: `public.${column}`, keyring: 'app' } }
    const encrypting = await open({ keyrings, fields }, { pool: server.pool, env: { KEY: 'ab'.repeat(32) } })
    await expect(encrypting.hashTokens(column)).rejects.toThrow(code('ERR_TOKEN_COLUMN'))
    await encrypting.close()
    const looking = await open({ keyrings: {}, fields: {} }, { pool: server.pool, readOnly: true })
    await expect(looking.hashTokens(column)).rejects.toThrow(code('ERR_USAGE'))
    await looking.close()
  })

  test.each([
    ['what a field is bound to', { column: 'invitation_token.email', bind: ['token'] }, /field "email" is bound to it/],
    ['the key ids of a field', { column: 'invitation_token.email', keyId: 'token', writes: 'blob' }, /field "email" has its key ids there/],
  ])('a column with %s is refused: its values would be lost', async (_, field, message) => {
    await invite(1)
    const keyrings = { app: { root: env('ROOT') } }
    const config = { keyrings, fields: { email: { keyring: 'app', ...field } } } as const
    const encrypting = await open(config, { pool: server.pool, env: { ROOT: 'ab'.repeat(32) } })
    try {
      await expect(encrypting.hashTokens(column, fast)).rejects.toMatchObject({
        code: 'ERR_TOKEN_COLUMN',
        message: expect.stringMatching(message),
      })
      expect(await keyturn.countTokens(column)).toMatchObject({ plain: 1, hashed: 0 })
    } finally {
      await encrypting.close()
    }
  })

  test.each([
    ['a time that is never empty', 'timestamptz NOT NULL DEFAULT now()'],
    ['a time with a default', 'timestamptz DEFAULT now()'],
    ['a text that is never empty', `text NOT NULL DEFAULT 'x'`],
    ['a boolean that is true from the start', 'boolean DEFAULT true'],
  ])('a column that is set in every row, %s, marks nothing', async (_, type) => {
    const tokens = await invite(3)
    await server.pool.query(`ALTER TABLE invitation_token ADD COLUMN noted ${type}`)
    await expect(keyturn.hashTokens(column, { ...fast, mark: 'noted', refusePlain: true })).rejects.toMatchObject({
      code: 'ERR_TOKEN_COLUMN',
    })
    expect(await stored()).toEqual(tokens.sort())
  })

  test.each(['boolean NOT NULL DEFAULT false', 'boolean', 'text', 'timestamp DEFAULT NULL'])(
    'a column of %s marks the rows',
    async (type) => {
      const tokens = await invite(3)
      await server.pool.query(`ALTER TABLE invitation_token ADD COLUMN noted ${type}`)
      expect(await keyturn.hashTokens(column, { ...fast, mark: 'noted', refusePlain: true })).toMatchObject({
        hashed: 3,
        now: { plain: 0 },
      })
      expect(await stored()).toEqual(tokens.map(tokenHash).sort())
    },
  )

  test('a row that is marked and holds no hash stops it, and is not taken for one that is hashed', async () => {
    await invite(2)
    await server.pool.query(`INSERT INTO invitation_token (token, hashed_at) VALUES ('a-token-in-the-clear-0001', now()), ('', now())`)
    expect(await keyturn.countTokens(column, { mark: 'hashed_at' })).toEqual({ plain: 2, hashed: 0, empty: 1, other: 1 })
    await expect(keyturn.hashTokens(column, { ...fast, mark: 'hashed_at' })).rejects.toMatchObject({ code: 'ERR_TOKEN_COLUMN' })
  })

  test('what a trigger makes of a hash is not stored where rows are marked, either, nor another hash in its place', async () => {
    const tokens = (await invite(3)).sort()
    for (const [made, mark] of [
      ['upper(NEW.token)', 'hashed_at'],
      [`repeat('0', 64)`, 'hashed_at'],
      [`'sha256:' || repeat('0', 64)`, undefined],
    ] as const) {
      await server.pool.query(`
        CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.token := ${made}; RETURN NEW; END $$;
        CREATE TRIGGER spoil BEFORE UPDATE ON invitation_token FOR EACH ROW WHEN (OLD.id = 1) EXECUTE FUNCTION spoil()`)
      try {
        await keyturn.hashTokens(column, { ...fast, ...(mark === undefined ? {} : { mark }) })
        const { rows } = await server.pool.query('SELECT token FROM invitation_token WHERE id = 1')
        expect(tokens).toContain(rows[0].token)
      } finally {
        await server.pool.query('DROP FUNCTION spoil CASCADE')
        await server.pool.query('TRUNCATE invitation_token RESTART IDENTITY')
        tokens.splice(0, tokens.length, ...(await invite(3)))
      }
    }
  })

  test('a column that was hashed with a mark is not hashed once more without it, or with another one', async () => {
    const tokens = await invite(3)
    const named = (more: object = {}) => keyturn.hashTokens('public.invitation_token.token', { ...fast, ...more })
    await keyturn.hashTokens(column, { ...fast, mark: 'hashed_at' })
    await server.pool.query('ALTER TABLE invitation_token ADD COLUMN noted boolean')
    for (const more of [{}, { mark: 'noted' }]) {
      const refused = { code: 'ERR_TOKEN_COLUMN', message: expect.stringContaining('column "hashed_at" marks 3 of its hashes') }
      await expect(keyturn.hashTokens(column, { ...fast, ...more })).rejects.toMatchObject(refused)
      await expect(named(more)).rejects.toMatchObject(refused)
    }
    expect(await stored()).toEqual(tokens.map(tokenHash).sort())
    expect(await named({ mark: 'hashed_at' })).toMatchObject({ hashed: 0, now: { hashed: 3 } })
    // What is gone binds nobody.
    await server.pool.query('TRUNCATE invitation_token')
    await invite(2)
    expect(await keyturn.hashTokens(column, fast)).toMatchObject({ hashed: 2 })
  })

  test('two columns whose long names begin alike are refused tokens in the clear one by one', async () => {
    const names = ['1', '2'].map((end) => `${'long_name_'.repeat(6)}${end}`)
    await server.pool.query(`ALTER TABLE invitation_token ${names.map((name) => `ADD COLUMN ${name} text`).join(', ')}`)
    for (const name of names) {
      await keyturn.hashTokens(`invitation_token.${name}`, { ...fast, refusePlain: true })
      const plain = server.pool.query(`INSERT INTO invitation_token (${name}) VALUES ('a-token-in-the-clear-0001')`)
      await expect(plain).rejects.toMatchObject({ code: '23514' })
      expect(await keyturn.hashTokens(`invitation_token.${name}`, { ...fast, refusePlain: true })).toMatchObject({ now: { plain: 0 } })
    }
  })

  test('rows that others hold are waited for by passes, and reported where they stay held', async () => {
    const [held] = await invite(5)
    const client = await server.pool.connect()
    try {
      await client.query('BEGIN')
      await client.query('SELECT 1 FROM invitation_token WHERE token = $1 FOR UPDATE', [held])
      const result = await keyturn.hashTokens(column, { ...fast, refusePlain: true })
      expect(result).toMatchObject({ hashed: 4, now: { plain: 1, hashed: 4 }, constraint: null })
    } finally {
      await client.query('ROLLBACK')
      client.release()
    }
    expect(await keyturn.hashTokens(column, fast)).toMatchObject({ hashed: 1, now: { plain: 0, hashed: 5 } })
  })

  test('a row that the database refuses stays, and what a trigger would make of a hash is never stored', async () => {
    const tokens = (await invite(300)).sort()
    await server.pool.query(`
      CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF OLD.token = '${tokens[0]}' THEN RAISE EXCEPTION 'no'; END IF;
        IF OLD.token = '${tokens[1]}' THEN NEW.token := upper(NEW.token); END IF;
        RETURN NEW; END $$;
      CREATE TRIGGER spoil BEFORE UPDATE ON invitation_token FOR EACH ROW EXECUTE FUNCTION spoil()`)
    expect(await keyturn.hashTokens(column, fast)).toMatchObject({ hashed: 298, now: { plain: 2, hashed: 298 } })
    expect((await stored()).slice(0, 2)).toEqual(tokens.slice(0, 2))
    await server.pool.query('DROP FUNCTION spoil CASCADE')
  })

  test('a token that is the key of its table, and a partitioned table, are hashed', async () => {
    await server.pool.query(`
      DROP TABLE invitation_token; CREATE TABLE invitation_token (token text, org int, PRIMARY KEY (token, org)) PARTITION BY LIST (org);
      CREATE TABLE invitation_1 PARTITION OF invitation_token FOR VALUES IN (1); CREATE TABLE invitation_2 PARTITION OF invitation_token FOR VALUES IN (2)`)
    const tokens = Array.from({ length: 2_000 }, () => randomBytes(32).toString('base64url'))
    await server.pool.query('INSERT INTO invitation_token SELECT t, 1 + (n % 2)::int FROM unnest($1::text[]) WITH ORDINALITY AS v(t, n)', [
      tokens,
    ])
    expect(await keyturn.hashTokens(column, { ...fast, refusePlain: true })).toMatchObject({
      hashed: 2_000,
      constraint: 'hashed_tokens_token',
    })
    expect(await stored()).toEqual(tokens.map(storedToken).sort())
  })
})

test('Links that were mailed stay valid while their tokens are hashed and the application makes new ones, and none gets in with a hash', async () => {
  const mailed = await invite(count(1_500, 40_000))
  const made: string[] = []
  let over = false
  let looked = 0
  const application = async (first: number) => {
    for (let n = first; !over; n += 7) {
      const token = mailed[n % mailed.length] as string
      expect(await accepted(token)).toBe(true)
      expect(await accepted(storedToken(token))).toBe(false)
      looked++
      const fresh = randomBytes(32).toString('hex')
      // One instance runs the version of before, which knows nothing of hashes.
      await server.pool.query('INSERT INTO invitation_token (token) VALUES ($1)', [first === 0 ? fresh : storedToken(fresh)])
      made.push(fresh)
    }
  }
  const instances = [application(0), application(3)]
  const result = await keyturn.hashTokens(column, { ...fast }).finally(() => {
    over = true
  })
  await Promise.all(instances)
  expect(result.hashed).toBeGreaterThanOrEqual(mailed.length)
  expect(looked).toBeGreaterThan(0)
  expect(await keyturn.hashTokens(column, { ...fast, refusePlain: true })).toMatchObject({
    now: { plain: 0 },
    constraint: 'hashed_tokens_token',
  })
  expect(await stored()).toEqual([...mailed, ...made].map(storedToken).sort())
  await expect(
    server.pool.query('INSERT INTO invitation_token (token) VALUES ($1)', [randomBytes(32).toString('hex')]),
  ).rejects.toMatchObject({ code: '23514' })
})

test.each([undefined, 'hashed_at'])('Killed anywhere, a second call goes on, and no token is hashed twice (mark: %s)', async (mark) => {
  const marks = mark === undefined ? {} : { mark }
  const rows = 2_000
  for (let point = 0; point < count(3, 20); point++) {
    await server.pool.query('TRUNCATE invitation_token')
    const tokens = await invite(rows)
    const task: TokenTask = { url: server.url, at: 1 + Math.floor((point * rows) / count(3, 20)), ...marks }
    const { signal, stderr, stdout } = await startChild('test/tokens/child.ts', [JSON.stringify(task)]).exit
    expect({ signal, stderr, stdout }).toEqual({ signal: 'SIGKILL', stderr: '', stdout: expect.stringMatching(/^hashed \d+\n$/) })
    const before = await keyturn.countTokens(column, marks)
    expect(before.hashed).toBeGreaterThan(0)
    expect(before.hashed + before.plain).toBe(rows)
    expect(await keyturn.hashTokens(column, { ...marks, ...fast })).toMatchObject({ hashed: before.plain, now: { plain: 0, hashed: rows } })
    expect(await stored()).toEqual(tokens.map(mark === undefined ? storedToken : tokenHash).sort())
  }
})

test('an interrupted call ends after its batch and leaves the rest for the next', async () => {
  const tokens = await invite(3_000)
  const stop = new AbortController()
  const first = await keyturn.hashTokens(column, { ...fast, signal: stop.signal, onHashed: () => stop.abort() })
  expect(first.hashed).toBeGreaterThan(0)
  expect(first.now.plain).toBe(3_000 - first.hashed)
  expect(await keyturn.hashTokens(column, fast)).toMatchObject({ hashed: first.now.plain })
  expect(await stored()).toEqual(tokens.map(storedToken).sort())
})

describe('PGlite', () => {
  const embedded = usePglite()
  test('hashes tokens in the same way', async () => {
    await embedded().exec('CREATE TABLE invitation_token (id int PRIMARY KEY, token text)')
    const tokens = Array.from({ length: 50 }, () => randomBytes(32).toString('hex'))
    for (const [id, token] of tokens.entries()) await embedded().query('INSERT INTO invitation_token VALUES ($1, $2)', [id, token])
    const within = await open({ keyrings: {}, fields: {} }, { pglite: embedded() })
    expect(await within.hashTokens(column, { ...fast, refusePlain: true })).toMatchObject({ hashed: 50, constraint: 'hashed_tokens_token' })
    const { rows } = await embedded().query<{ token: string }>('SELECT token FROM invitation_token ORDER BY id')
    expect(rows.map(({ token }) => token)).toEqual(tokens.map(storedToken))
    await within.close()
  })
})
