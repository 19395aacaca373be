import { randomBytes } from 'node:crypto'
import { Pool } from 'pg'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { createFolder } from '../../../../test/harness/command.ts'
import { useDatabase } from '../../../../test/harness/postgres.ts'
import { keyturn as command } from '../../../../test/harness/users.ts'
import { type Keyturn, open } from '../../../core/src/index.ts'

const database = useDatabase()
const root = randomBytes(32).toString('hex')
const tokens = { lifetime: '1h', skew: '1s', jwksCache: '1s', offline: '2s' }
const config = {
  database: { env: 'DATABASE_URL' },
  refreshMs: 1_000,
  keyrings: { jwt: { root: { env: 'ROOT_KEY' }, sign: 'ES256', tokens } },
  fields: {},
} as const
const env = () => ({ DATABASE_URL: database.url, ROOT_KEY: root })
const opened: { keyturn: Keyturn; pool: Pool }[] = []
afterAll(async () => {
  for (const { keyturn, pool } of opened) {
    await keyturn.close()
    await pool.end()
  }
})
beforeEach(() => database.pool.query('DROP SCHEMA IF EXISTS keyturn CASCADE'))

async function application() {
  const pool = new Pool({ connectionString: database.url, max: 2 })
  const keyturn = await open(config, { pool, env: env() })
  opened.push({ keyturn, pool })
  return keyturn.signing('jwt')
}
async function given(more: object = config) {
  const cwd = await createFolder({ 'keyturn.config.json': JSON.stringify(more) })
  return (argv: readonly string[], options: object = {}) => command(argv, { cwd, env: env(), ...options })
}

test('plan, rotate, status and retire of a keyring that signs tokens.', async () => {
  const keyturn = await given()
  expect(await keyturn(['plan', 'jwt'])).toMatchObject({ code: 0, stdout: expect.stringContaining('not made yet') })
  const signing = await application()
  const token = await signing.sign({ sub: 'ada' })
  const plan = await keyturn(['plan', 'jwt'])
  expect(plan.stdout).toContain('until every verifier has it, or refuses everything')
  expect((await keyturn(['rotate', 'jwt'])).code).toBe(2)
  const rotated = await keyturn(['rotate', 'jwt', '--yes'])
  expect(rotated).toMatchObject({ code: 0, stdout: expect.stringMatching(/^Key \w{8} of keyring "jwt" signs tokens\./) })
  expect(rotated.stderr).toContain('The new key is published; it signs from')
  await signing.verify(token)
  // Its tokens may be valid for an hour: this says until when, and how many.
  const early = await keyturn(['retire', 'jwt', '--yes'])
  expect(early).toMatchObject({ code: 2, stderr: expect.stringMatching(/may be valid until \d{4}-.*--now \(/) })
  const retired = await keyturn(['retire', 'jwt', '--now', '--yes'])
  expect(retired).toMatchObject({ code: 0, stdout: expect.stringMatching(/Every verifier refuses it from \d{4}-/) })
  await expect.poll(() => signing.verify(token).catch(({ code }) => code)).toBe('ERR_TOKEN')
  const status = await keyturn(['status', 'jwt'])
  expect(status.stdout).toMatch(
    /Signs tokens\n {2}ES256; valid for 60 min at most, grace 60 min\n {2}a key that is retired is refused everywhere within 3 s/,
  )
  const { keyrings } = JSON.parse((await keyturn(['status', 'jwt', '--json'])).stdout)
  expect(keyrings[0].signing).toMatchObject({ algorithm: 'ES256', everywhereSeconds: 3 })
})

test('an interrupted rotation leaves the key published, and the same command goes on.', async () => {
  const keyturn = await given({ ...config, keyrings: { jwt: { ...config.keyrings.jwt, tokens: { ...tokens, offline: '1h' } } } })
  await application()
  const watch = (stderr: string, interrupt: () => void) => {
    if (stderr.includes('is published') && !stderr.includes('pausing')) interrupt()
  }
  const stopped = await keyturn(['rotate', 'jwt', '--yes', '--json'], { watch })
  const { version, state } = JSON.parse(stopped.stdout)
  expect([stopped.code, state]).toEqual([4, 'waiting'])
  const went = await (await given())(['rotate', 'jwt', '--yes', '--json'])
  expect([went.code, JSON.parse(went.stdout)]).toEqual([0, expect.objectContaining({ version, state: 'active' })])
})

test('a key that others have ends at once, with the number of tokens that it ends.', async () => {
  const keyturn = await given()
  const signing = await application()
  const token = await signing.sign({})
  await opened.at(-1)?.keyturn.close()
  expect((await keyturn(['rotate', 'jwt', '--now', '--yes'])).code).toBe(0)
  const ended = await keyturn(['retire', 'jwt', '--compromised', '--yes'])
  expect(ended).toMatchObject({ code: 0, stdout: expect.stringContaining('still valid, at most: 1 of kind JWT.') })
  await expect((await application()).verify(token)).rejects.toMatchObject({ code: 'ERR_TOKEN' })
  expect((await keyturn(['status', 'jwt'])).stdout).toContain('retired, compromised')
})

test('at a terminal what it ends is said before it is asked, and no is no.', async () => {
  const keyturn = await given()
  const signing = await application()
  await signing.sign({})
  await opened.at(-1)?.keyturn.close()
  const rotated = await keyturn(['rotate', 'jwt', '--now'], { isTTY: true, stdin: 'y\n' })
  expect(rotated).toMatchObject({ code: 0, stderr: expect.stringContaining('no wait (--now)') })
  const asked = await keyturn(['retire', 'jwt', '--now'], { isTTY: true, stdin: 'n\n' })
  expect(asked).toMatchObject({ code: 2, stdout: 'Nothing was changed.\n', stderr: expect.stringContaining('at most: 1 of kind JWT.') })
})

test('what belongs to values is refused for tokens, and the other way round; keys of the environment say their three steps.', async () => {
  const keyturn = await given({
    ...config,
    keyrings: { ...config.keyrings, app: { root: { env: 'ROOT_KEY' } }, shared: { primary: { env: 'JWT_SECRET' }, sign: 'HS256' } },
  })
  for (const more of [['--mode', 'transaction'], ['--max'], ['--field', 'a.b'], ['--set-aside']]) {
    const { code, stderr } = await keyturn(['rotate', 'jwt', '--yes', ...more], { env: { ...env(), JWT_SECRET: root } })
    expect([code, more, stderr]).toEqual([2, more, expect.stringMatching(/keyturn: /)])
  }
  expect((await keyturn(['rotate', 'app', '--now', '--yes'], { env: { ...env(), JWT_SECRET: root } })).stderr).toContain(
    'is for one that signs tokens',
  )
  for (const verb of ['rotate', 'retire']) {
    const { code, stderr } = await keyturn([verb, 'shared', '--yes'], { env: { ...env(), JWT_SECRET: root } })
    expect([code, stderr]).toEqual([2, expect.stringMatching(/\(A\).*\(B\).*\(C\)/)])
  }
})
