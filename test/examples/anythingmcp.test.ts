import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { credentialCrypto } from '../../examples/anythingmcp/src/crypto.ts'
import { createTables } from '../../examples/anythingmcp/src/database.ts'
import { encryptedColumns } from '../../examples/anythingmcp/src/encrypted-fields.ts'
import { root } from '../harness/child.ts'
import { count } from '../harness/counts.ts'
import { useDatabase } from '../harness/postgres.ts'
import {
  type Application,
  connectorTypes,
  documentedCommands,
  fill,
  type Ledger,
  newKey,
  opening,
  printed,
  readLedger,
  runCommand,
  runDocumented,
  snapshot,
  startApplication,
  startCommand,
} from './application.ts'
import { Clients } from './clients.ts'
import { startDoubles } from './doubles.ts'
import { buildImage, type Image } from './image.ts'

const server = useDatabase()
const [oldKey, freshKey] = [newKey(), newKey()]
const keys = { OLD_ENCRYPTION_KEY: oldKey, NEW_ENCRYPTION_KEY: freshKey }
const rows = 60
const running: Application[] = []
let image: Image
let ledger: Ledger

beforeAll(async () => {
  image = await buildImage('anythingmcp')
}, 300_000)

beforeEach(async () => {
  await server.pool.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public; DROP SCHEMA IF EXISTS keyturn CASCADE')
  await createTables(server.pool)
  ledger = await fill(server.pool, rows, oldKey)
})
afterEach(async () => {
  for (const application of running.splice(0)) await application.stop()
})

async function start(environment: { ENCRYPTION_KEY: string; ENCRYPTION_KEY_PREVIOUS?: string }): Promise<Application> {
  const application = await startApplication(image, server.url, environment)
  running.push(application)
  return application
}
const command = (args: readonly string[], env: object = keys, input = '') =>
  runCommand(image, args, { DATABASE_URL: server.url, ...env }, input)
const documented = (option: string) => {
  const found = documentedCommands().filter((line) => line.trimEnd().endsWith(option))
  expect(found).toHaveLength(1)
  return runDocumented(image, found[0] as string, { DATABASE_URL: server.url, ...keys })
}
/** After it the application runs with the new key, and may save. */
async function release() {
  const { code, stdout } = await command(['--release'], { ENCRYPTION_KEY: freshKey })
  expect({ code, stdout }).toEqual({
    code: 0,
    stdout: 'released: public.connector_auth_cache, public.connectors, public.mcp_api_keys\n',
  })
}

/** Everything acknowledged is there, under the key, and nothing else but keys whose acknowledgement a restart swallowed. */
async function expectLedger(key: string): Promise<void> {
  const found = await readLedger(server.pool, key)
  expect(found.credentials).toEqual(ledger.credentials)
  expect(found.tokens).toEqual(ledger.tokens)
  expect([...ledger.keys].filter((one) => !found.keys.has(one))).toEqual([])
}

test('A1 One key of 32 characters, taken as bytes, encrypts every credential: swapping its value breaks every connector, the command none, and no plaintext reaches the disk', async () => {
  const before = await start({ ENCRYPTION_KEY: oldKey })
  const { body } = await before.ask('POST', '/users/u/keys', { name: 'client' })
  await before.ask('PUT', '/connectors/c', { name: 'c', type: 'REST', baseUrl: 'http://127.0.0.1:9', authType: 'API_KEY', credentials: {} })
  const call = async (application: Application) => (await application.ask('POST', '/connectors/c/call', {}, body.key)).status
  // Nobody listens there: the credentials opened, and the call was made.
  expect(await call(before)).toBe(502)
  const swapped = await start({ ENCRYPTION_KEY: freshKey })
  expect(await call(swapped)).toBe(503)
  expect((await command([])).code).toBe(0)
  expect([await call(before), await call(swapped)]).toEqual([503, 502])
  const { rows: stored } = await server.pool.query(
    'SELECT c::text AS line FROM connectors c UNION ALL SELECT t::text FROM connector_auth_cache t UNION ALL SELECT k::text FROM mcp_api_keys k',
  )
  for (const { line } of stored) expect(line).not.toMatch(/marked-|mcp_[0-9a-f]{64}/)
})

test('A2 The command is compiled and shipped in the image, and runs as it is documented, with --old and --new', async () => {
  const dockerfile = readFileSync(join(root, 'examples', 'Dockerfile'), 'utf8')
  const last = dockerfile.slice(dockerfile.lastIndexOf('\nFROM '))
  expect(last).toContain('COPY --from=build /built .\nWORKDIR /app/examples/$EXAMPLE\n')
  expect(await readdir(image.folder)).not.toContain('src')
  expect(await readdir(join(image.folder, 'dist', 'scripts'))).toContain('rotate-encryption-key.js')
  const { code, stdout, stderr } = await documented('--old "$OLD_ENCRYPTION_KEY" --new "$NEW_ENCRYPTION_KEY"')
  expect({ code, stdout }).toEqual({ code: 0, stdout: '78 rows re-encrypted across 3 tables\n' })
  expect(stderr).toContain('warning: a key on the command line can be seen in the list of processes')
  await expectLedger(freshKey)
  expect((await command(['--help'])).stdout).toContain('--old KEY --new KEY')
})

test('A3 It is one transaction: a value that does not open rolls everything back, and all of them are listed', async () => {
  await server.pool.query(
    `UPDATE mcp_api_keys SET key = overlay(key PLACING 'AAAA' FROM 9) WHERE id IN (SELECT id FROM mcp_api_keys LIMIT 2)`,
  )
  await server.pool.query(`UPDATE connectors SET auth_config = 'not encrypted' WHERE id = 'connector-0'`)
  const before = await snapshot(server.pool)
  const { code, stdout, stderr } = await command([])
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toContain('connectors.auth_config {"id":"connector-0"} ERR_DECRYPT')
  expect(stderr.match(/^mcp_api_keys\.key .* ERR_DECRYPT$/gm)).toHaveLength(2)
  expect(stderr).toContain('3 values do not open. Everything was rolled back; nothing was changed.')
  expect(await snapshot(server.pool)).toBe(before)
  // No hold either: the application goes on as before.
  const application = await start({ ENCRYPTION_KEY: oldKey })
  expect((await application.ask('POST', '/users/u/keys', { name: 'client' })).status).toBe(201)
})

test('A3 It is one transaction: a command that is killed after it has rewritten two of three tables leaves the old state, and can be run again', async () => {
  await server.pool.query(`CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NEW; END $$;
    CREATE TRIGGER wait BEFORE UPDATE ON mcp_api_keys FOR EACH ROW EXECUTE FUNCTION wait()`)
  const before = await snapshot(server.pool)
  const blocker = new Client({ connectionString: server.url })
  await blocker.connect()
  try {
    await blocker.query('SELECT pg_advisory_lock(42)')
    const child = startCommand(image, [], { DATABASE_URL: server.url, ...keys })
    const waits = `SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`
    await expect.poll(async () => (await server.pool.query(waits)).rowCount).toBe(1)
    expect((await child.kill()).signal).toBe('SIGKILL')
  } finally {
    await blocker.end()
  }
  const sessions = `SELECT FROM pg_stat_activity WHERE application_name = 'rotate-encryption-key' AND datname = current_database()`
  await expect.poll(async () => (await server.pool.query(sessions)).rowCount).toBe(0)
  expect(await snapshot(server.pool)).toBe(before)
  await expectLedger(oldKey)
  expect((await command([])).code).toBe(0)
  await expectLedger(freshKey)
})

test('A4 Every column that holds ciphertext is rewritten: connector credentials, OAuth tokens, per-user keys; nothing in the database opens under the old key', async () => {
  const all = {
    'connectors.auth_config': 60,
    'connector_auth_cache.token': 12,
    'connector_auth_cache.refresh_token': 12,
    'mcp_api_keys.key': 6,
  }
  expect(Object.keys(all).sort()).toEqual([...encryptedColumns].sort())
  expect(await opening(server.pool, oldKey)).toEqual(all)
  expect((await command([])).code).toBe(0)
  expect([await opening(server.pool, oldKey), await opening(server.pool, freshKey)]).toEqual([{}, all])
})

test.each<[string, { OLD_ENCRYPTION_KEY?: string; NEW_ENCRYPTION_KEY?: string }, string]>([
  ['an old key that is too short', { OLD_ENCRYPTION_KEY: oldKey.slice(1) }, 'OLD_ENCRYPTION_KEY is not a key by the rule "utf8"'],
  ['an old key that is too long', { OLD_ENCRYPTION_KEY: `${oldKey}x` }, 'OLD_ENCRYPTION_KEY is not a key by the rule "utf8"'],
  ['a new key that is too short', { NEW_ENCRYPTION_KEY: freshKey.slice(1) }, 'NEW_ENCRYPTION_KEY is not a key by the rule "utf8"'],
  ['a new key in hexadecimal', { NEW_ENCRYPTION_KEY: randomBytes(32).toString('hex') }, 'it has 64 characters in 64 bytes'],
  ['32 characters that are more bytes', { NEW_ENCRYPTION_KEY: `é${freshKey.slice(1)}` }, 'it has 32 characters in 33 bytes'],
  ['no new key', { NEW_ENCRYPTION_KEY: '' }, 'NEW_ENCRYPTION_KEY'],
  ['equal keys', { NEW_ENCRYPTION_KEY: oldKey }, 'ERR_SAME_KEY'],
  ['an old key that does not open the first values', { OLD_ENCRYPTION_KEY: newKey() }, 'ERR_SAMPLE'],
])('A5 Refused before anything is attempted: %s', async (_, wrong, sentence) => {
  const before = await snapshot(server.pool)
  for (const mode of [[], ['--online']]) {
    const { code, stdout, stderr } = await command(mode, { ...keys, ...wrong })
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(sentence)
  }
  expect(await snapshot(server.pool)).toBe(before)
})

test.each([
  [['--old', newKey(), newKey()]],
  [['--stdin', '--old', newKey()]],
  [['--release', '--online']],
  [['--yes']],
  [['--oldd', newKey()]],
])('A5 Refused before anything is attempted: a command line that makes no sense (%#)', async (args) => {
  const { code, stdout, stderr } = await command(args)
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toMatch(/^usage: rotate-encryption-key/)
  for (const arg of args.filter((arg) => !arg.startsWith('--'))) expect(stderr).not.toContain(arg)
})

test('A6 The summary counts rows and the tables that they are in, and a second run finds nothing to do', async () => {
  await server.pool.query('DELETE FROM mcp_api_keys')
  expect((await command([])).stdout).toBe('72 rows re-encrypted across 2 tables\n')
  await release()
  const again = await command([])
  expect({ code: again.code, stdout: again.stdout }).toEqual({ code: 0, stdout: '0 rows re-encrypted across 0 tables\n' })
})

test('A7 A connector of each type and the keys of users work after the rotation as before, each at a service that accepts its own credentials only', async () => {
  const services = await startDoubles()
  const login = { role: `reader_${randomBytes(4).toString('hex')}`, password: `marked-${randomBytes(9).toString('hex')}` }
  await server.pool.query(`CREATE ROLE ${login.role} LOGIN PASSWORD '${login.password}'`)
  try {
    const application = await start({ ENCRYPTION_KEY: oldKey })
    const secretOf = () => `marked-${randomBytes(9).toString('hex')}`
    const database = new URL(server.url)
    for (const type of connectorTypes) {
      const [id, secret] = [type.toLowerCase(), type === 'DATABASE' ? login.password : secretOf()]
      const credentials = {
        REST: { headerName: 'X-API-Key', apiKey: secret },
        SOAP: { username: 'user', password: secret },
        GRAPHQL: { clientId: 'client', clientSecret: secret, tokenUrl: `${services.url}/token/graphql` },
        DATABASE: { username: login.role, password: secret },
        MCP: { token: secret },
      }[type]
      services.accepted.set(id, { secret, accessToken: secretOf(), refreshToken: secretOf() })
      const baseUrl = type === 'DATABASE' ? `postgres://${database.host}${database.pathname}` : `${services.url}/${id}/${id}`
      expect((await application.ask('PUT', `/connectors/${id}`, { name: id, type, baseUrl, authType: 'own', credentials })).status).toBe(
        200,
      )
      ledger.credentials.set(id, JSON.stringify(credentials))
    }
    const { accessToken, refreshToken } = services.accepted.get('graphql') ?? {}
    // The access token has expired: the first call renews both, and stores them.
    await application.ask('PUT', '/connectors/graphql/tokens', { accessToken, refreshToken, expiresAt: '2020-01-01T00:00:00Z' })
    const { body } = await application.ask('POST', '/users/u/keys', { name: 'client' })
    const called = async (application: Application) => {
      const statuses = connectorTypes.map((type) => application.ask('POST', `/connectors/${type.toLowerCase()}/call`, {}, body.key))
      return (await Promise.all(statuses)).map(({ status }) => status)
    }
    expect(await called(application)).toEqual([200, 200, 200, 200, 200])
    expect(services.accepted.get('graphql')?.refreshToken).not.toBe(refreshToken)

    expect((await command([])).code).toBe(0)
    const restarted = await start({ ENCRYPTION_KEY: freshKey })
    expect(await called(restarted)).toEqual([200, 200, 200, 200, 200])
    const { decrypt } = credentialCrypto(freshKey)
    for (const type of connectorTypes) {
      const { rows } = await server.pool.query('SELECT auth_config FROM connectors WHERE id = $1', [type.toLowerCase()])
      expect(decrypt(rows[0].auth_config)).toBe(ledger.credentials.get(type.toLowerCase()))
    }
    // Tokens that could not be stored must not be renewed: the provider would have ended the stored one.
    await server.pool.query(`UPDATE connector_auth_cache SET expires_at = '2020-01-01' WHERE connector_id = 'graphql'`)
    const before = services.accepted.get('graphql')?.refreshToken
    expect((await restarted.ask('POST', '/connectors/graphql/call', {}, body.key)).status).toBe(503)
    expect(services.accepted.get('graphql')?.refreshToken).toBe(before)
    await release()
    expect((await restarted.ask('POST', '/connectors/graphql/call', {}, body.key)).status).toBe(200)
    expect(services.accepted.get('graphql')?.refreshToken).not.toBe(before)
  } finally {
    await services.close()
    await server.pool.query(`DROP ROLE ${login.role}`)
  }
})

const many = count(2_000, 100_000)

test('A8 As SECURITY.md has it: while an application that knows one key goes on saving, no write that it accepted is lost or left under the old key', async () => {
  await server.pool.query('TRUNCATE connectors, connector_auth_cache, mcp_api_keys')
  ledger = await fill(server.pool, many, oldKey)
  const before = await start({ ENCRYPTION_KEY: oldKey })
  const clients = new Clients(before, ledger)
  try {
    await expect.poll(() => clients.accepted).toBeGreaterThan(20)
    const { code, stdout } = await documented('--stdin')
    expect(code).toBe(0)
    const [, total = '0'] = /^([\d,]+) rows re-encrypted across 3 tables\n$/.exec(stdout) ?? []
    expect(Number(total.replaceAll(',', ''))).toBeGreaterThanOrEqual(many * 1.3)

    await expect.poll(() => clients.refused).toBeGreaterThan(20)
    // In a container that was not restarted yet it would let values of the old key in.
    const tooSoon = await command(['--release'], { ENCRYPTION_KEY: oldKey })
    expect({ code: tooSoon.code, stdout: tooSoon.stdout }).toEqual({ code: 2, stdout: '' })
    expect(tooSoon.stderr).toContain('Restart the application with the new key first.')
    expect((await before.ask('POST', '/users/u/keys', { name: 'client' })).status).toBe(503)

    await before.stop()
    clients.application = await start({ ENCRYPTION_KEY: freshKey })
    const { code: released } = await runDocumented(image, documentedCommands().find((line) => line.includes('--release')) ?? '', {
      DATABASE_URL: server.url,
      ENCRYPTION_KEY: freshKey,
    })
    expect(released).toBe(0)
    const accepted = clients.accepted
    await expect.poll(() => clients.accepted).toBeGreaterThan(accepted + 20)
    await clients.stop()
  } finally {
    await clients.abandon()
  }
  expect(clients.errors).toEqual([])
  await expectLedger(freshKey)
})

test('A8 Without a pause: an application that reads both keys saves and opens all the time, and needs the new key only afterwards', async () => {
  await server.pool.query('TRUNCATE connectors, connector_auth_cache, mcp_api_keys')
  ledger = await fill(server.pool, many, oldKey)
  const application = await start({ ENCRYPTION_KEY: freshKey, ENCRYPTION_KEY_PREVIOUS: oldKey })
  const clients = new Clients(application, ledger)
  const reads: number[] = []
  let stopped = false
  const reading = (async () => {
    while (!stopped) {
      reads.push(
        await application.ask('GET', '/users/user-1-of-old/keys').then(
          ({ status }) => status,
          () => 0,
        ),
      )
      // The rotation shares the processor with this loop.
      await sleep(20)
    }
  })()
  try {
    const { code, stdout } = await documented('--stdin --online')
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/^[\d,]+ rows re-encrypted across 3 tables\n$/) })
    await expect.poll(() => clients.accepted).toBeGreaterThan(20)
    await clients.stop()
  } finally {
    stopped = true
    await Promise.all([clients.abandon(), reading])
  }
  expect(clients).toMatchObject({ errors: [], refused: 0 })
  expect(clients.accepted).toBeGreaterThan(20)
  expect(reads.length).toBeGreaterThan(20)
  expect(new Set(reads)).toEqual(new Set([200]))
  await expectLedger(freshKey)
})

test('A8 Without a pause: a command that is interrupted says so, and goes on when it is given again', async () => {
  const blocker = new Client({ connectionString: server.url })
  await blocker.connect()
  try {
    await blocker.query(`BEGIN; SELECT FROM mcp_api_keys FOR UPDATE`)
    const child = startCommand(image, ['--online'], { DATABASE_URL: server.url, ...keys })
    const left = async () => Object.keys(await opening(server.pool, oldKey))
    await expect.poll(left).toEqual(['mcp_api_keys.key'])
    const { code, stdout, stderr } = await child.kill('SIGTERM')
    expect({ code, stdout }).toEqual({ code: 4, stdout: '' })
    expect(stderr).toContain('Give the same command again to go on.')
  } finally {
    await blocker.end()
  }
  // The summary is of the whole rotation.
  expect(await command(['--online'])).toMatchObject({ code: 0, stdout: '78 rows re-encrypted across 3 tables\n' })
  await expectLedger(freshKey)
})

test('A8 Without a pause: values that do not open must be accepted, are listed and left as they are', async () => {
  await server.pool.query(`UPDATE connectors SET auth_config = 'not encrypted' WHERE id = 'connector-0'`)
  const refused = await command(['--online'])
  expect({ code: refused.code, stdout: refused.stdout }).toEqual({ code: 2, stdout: '' })
  expect(refused.stderr).toContain('ERR_SAMPLE_SHARE')
  const done = await command(['--online', '--yes'])
  expect({ code: done.code, stdout: done.stdout }).toEqual({ code: 3, stdout: '77 rows re-encrypted across 3 tables\n' })
  expect(done.stderr).toContain('connectors.auth_config {"id":"connector-0"} ERR_DECRYPT')
  expect((await server.pool.query(`SELECT auth_config FROM connectors WHERE id = 'connector-0'`)).rows).toEqual([
    { auth_config: 'not encrypted' },
  ])
})

test('No key and no credential was printed by any of these processes', () => {
  const all = printed.join('\n')
  expect(all.length).toBeGreaterThan(1_000)
  // Where the server trusts its clients, their password is empty.
  const secrets = [oldKey, freshKey, 'marked-', ...ledger.keys, new URL(server.url).password].filter((secret) => secret !== '')
  for (const secret of secrets) expect(all.includes(secret)).toBe(false)
})
