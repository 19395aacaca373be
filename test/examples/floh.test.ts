import { createHash, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { encryption } from '../../examples/floh/src/encryption.ts'
import { open } from '../../packages/core/src/index.ts'
import { runChild } from '../harness/child.ts'
import { useRedis } from '../harness/redis.ts'
import type { Answer } from './asking.ts'
import type { Floh } from './floh/application.ts'
import { type CalledSystem, startCalledSystem } from './floh/called-system.ts'
import { documentedRequests } from './floh/procedure.ts'
import { follow } from './floh/rolling.ts'
import { useFloh } from './floh/world.ts'
import { documentedScripts, readProcedure } from './procedure.ts'

/** Only to end what hangs. */
const patient = { timeout: 120_000 }

const redis = await useRedis()
const MASK = '********'
const zeros = '0'.repeat(64)

describe.skipIf(redis.missing)('Floh', () => {
  const floh = useFloh(redis)
  const [key, sessionKey] = [floh.secret(), floh.secret()]
  const sessions = { SESSION_ENCRYPTION_KEY: sessionKey }
  const one = { ...sessions, CONNECTOR_ENCRYPTION_KEY: key }
  let called: CalledSystem
  let token = ''
  beforeAll(async () => {
    called = await startCalledSystem()
  })
  afterAll(() => called?.close())

  /** As an administrator with a bearer. */
  const ask = (method: string, path: string, body?: object): Promise<Answer> =>
    floh.ask(method, path, { token, ...(body === undefined ? {} : { body }) })
  async function start(keys: object): Promise<Floh> {
    const instance = await floh.start({ ...keys })
    token = await floh.bearer('ada')
    return instance
  }

  const configSchema = {
    type: 'object',
    properties: {
      url: { type: 'string' },
      apiKey: { type: 'string', secret: true },
      headers: {
        type: 'array',
        items: { type: 'object', properties: { name: { type: 'string' }, value: { type: 'string', secret: true } } },
      },
    },
  }
  async function connect(apiKey = called.issue(), headers: object[] = []): Promise<string> {
    const { status, body } = await ask('POST', '/api/connectors', {
      name: 'c',
      configSchema,
      config: { url: called.url, apiKey, headers },
    })
    expect(status).toBe(201)
    return body.id
  }
  const call = (id: string, body = '') => ask('POST', `/api/connectors/${id}/call`, { body })
  const accepted = { status: 200, body: { status: 200, body: 'accepted' } }
  const storedConfig = async (id: string) =>
    (await floh.server.pool.query('SELECT connector_config AS config FROM connector_definition WHERE id = $1', [id])).rows[0].config
  const statusOf = async (name = 'connectors') =>
    (await ask('GET', '/api/admin/encryption')).body.keyrings.find(({ keyring }: { keyring: string }) => keyring === name)
  const rotate = () => ask('POST', '/api/connectors/rotate-keys')

  const variables = [
    { name: 'region', type: 'string', required: true },
    { name: 'token', type: 'string', required: true, secret: true },
    { name: 'retries', type: 'number', secret: true },
    { name: 'greeting', type: 'string', secret: true },
  ]
  async function define(connector: string): Promise<string> {
    const steps = [
      { set: 'greeting', value: 'hello {{region}}, {{token}}' },
      { connector, body: '{{greeting}} {{retries}}' },
    ]
    return (await ask('POST', '/api/workflows', { name: 'w', variables, steps })).body.id
  }
  const secretValue = () => `marked-${randomBytes(9).toString('hex')}`

  /** How the values of the database open with one key and no other. */
  async function opening(primary: string) {
    const config = encryption(true)
    const env = { ...floh.signing, ...sessions, CONNECTOR_ENCRYPTION_KEY: primary }
    const keyturn = await open(config, { pool: floh.server.pool, redis: redis.client, env, readOnly: true, warn: () => {} })
    try {
      const { total, current, failedCount } = await keyturn.verify({ keyring: 'connectors' })
      return { total, current, failedCount }
    } finally {
      await keyturn.close()
    }
  }

  test('L1 What a configSchema marks with secret: true is encrypted in connector_config under CONNECTOR_ENCRYPTION_KEY, used, and shown as a mask; production takes 64 hex characters and nothing else', async () => {
    await start(one)
    const [apiKey, tenant] = [called.issue(), secretValue()]
    const id = await connect(apiKey, [{ name: 'X-Tenant', value: tenant }])
    const stored = await storedConfig(id)
    expect(stored).toEqual({
      url: called.url,
      apiKey: expect.stringMatching(/^kt1\./),
      headers: [{ name: 'X-Tenant', value: expect.stringMatching(/^kt1\./) }],
    })
    expect(await opening(key)).toEqual({ total: 2, current: 2, failedCount: 0 })
    expect(await opening(floh.secret())).toMatchObject({ failedCount: 2 })
    expect(await call(id, 'a body')).toEqual(accepted)
    expect(called.received.at(-1)).toMatchObject({ body: 'a body', headers: { 'x-tenant': tenant } })

    const [shown] = (await ask('GET', '/api/connectors')).body
    expect(shown.config).toEqual({ url: called.url, apiKey: MASK, headers: [{ name: 'X-Tenant', value: MASK }] })
    // The form comes back: one header was added, the rest was not touched.
    const config = { ...shown.config, headers: [...shown.config.headers, { name: 'X-More', value: secretValue() }] }
    expect((await ask('PUT', `/api/connectors/${id}`, { name: 'c', config })).status).toBe(200)
    const kept = await storedConfig(id)
    expect([kept.apiKey, kept.headers[0]]).toEqual([stored.apiKey, stored.headers[0]])
    expect(await call(id)).toEqual(accepted)
    const unknown = { url: called.url, apiKey: MASK }
    expect(await ask('POST', '/api/connectors', { name: 'd', configSchema, config: unknown })).toMatchObject({
      status: 400,
      body: { code: 'ERR_MASK' },
    })
    // A value of one connector does not open in another.
    const other = await connect()
    await floh.server.pool.query(`UPDATE connector_definition SET connector_config = $1 WHERE id = $2`, [JSON.stringify(kept), other])
    expect(await call(other)).toMatchObject({ status: 503, body: { code: 'ERR_DECRYPT_AT' } })
  })

  test("L2 In production a missing or malformed key stops the start; on a developer's machine a fixed key comes from SESSION_SECRET and JWT_SECRET, with a warning, and a value says when one of them has changed", async () => {
    const message = (text: string) => ({ code: 1, message: expect.stringContaining(text) })
    expect(await floh.refused({ ...one, SESSION_SECRET: 'short' })).toEqual(message('SESSION_SECRET'))
    expect(await floh.refused({ ...one, JWT_SECRET: undefined })).toEqual(message('JWT_SECRET'))
    expect(await floh.refused(sessions)).toEqual(message('CONNECTOR_ENCRYPTION_KEY'))
    expect(await floh.refused({ ...sessions, CONNECTOR_ENCRYPTION_KEY: '' })).toEqual(message('CONNECTOR_ENCRYPTION_KEY'))
    expect(await floh.refused({ ...sessions, CONNECTOR_ENCRYPTION_KEY: key.slice(1) })).toEqual(message('CONNECTOR_ENCRYPTION_KEY'))
    const development = { NODE_ENV: 'development', ...sessions }
    expect(await floh.refused({ ...development, CONNECTOR_ENCRYPTION_KEY: 'not a key' })).toEqual(message('CONNECTOR_ENCRYPTION_KEY'))

    const first = await start(development)
    const said = (instance: Floh) => instance.events('encryption-key-warning').map(({ msg }) => msg)
    expect(said(first)).toEqual([expect.stringContaining('development key derived from SESSION_SECRET and JWT_SECRET')])
    const id = await connect()
    await floh.stop(first)
    const again = await start(development)
    expect(await call(id)).toEqual(accepted)
    await floh.stop(again)
    const changed = await start({ ...development, JWT_SECRET: floh.secret() })
    const answer = await call(id)
    expect(answer).toMatchObject({ status: 503, body: { code: 'ERR_DEVELOPMENT_KEY' } })
    expect(answer.body.error).toMatch(/SESSION_SECRET.*JWT_SECRET/)
    await floh.stop(changed)
    const known = await start({ ...development, SESSION_SECRET: undefined, JWT_SECRET: undefined })
    expect(said(known)).toEqual([expect.stringContaining('EVERYBODY KNOWS')])
  })

  test('L3 Reads fall back to CONNECTOR_ENCRYPTION_KEY_PREVIOUS, and what is saved is under the current key', async () => {
    const before = await start(one)
    const id = await connect()
    await floh.stop(before)
    const next = floh.secret()
    const between = await start({ ...sessions, CONNECTOR_ENCRYPTION_KEY: next, CONNECTOR_ENCRYPTION_KEY_PREVIOUS: key })
    expect(await call(id)).toEqual(accepted)
    await expect.poll(() => between.events('encryption-rewrap-needed'), patient).toMatchObject([{ field: 'connector.config' }])
    const fresh = await connect()
    expect([await opening(key), await opening(next)]).toEqual([1, 1].map((current) => ({ total: 2, current, failedCount: 1 })))
    expect((await statusOf()).keys).toEqual([
      { source: 'CONNECTOR_ENCRYPTION_KEY', encrypts: true, values: 1, knownToAll: false },
      { source: 'CONNECTOR_ENCRYPTION_KEY_PREVIOUS', encrypts: false, values: 1, knownToAll: false },
    ])
    await floh.stop(between)
    await start({ ...sessions, CONNECTOR_ENCRYPTION_KEY: next })
    expect([(await call(id)).body.code, await call(fresh)]).toEqual(['ERR_KEY_NOT_FOUND', accepted])
  })

  test('L4 POST /api/connectors/rotate-keys rewrites connectors, runs and triggers, counts documents, and is for administrators with a bearer', async () => {
    const before = await start(one)
    const connectors = [await connect(), await connect()]
    const workflow = await define(connectors[0] as string)
    const values = { region: 'eu', token: secretValue() }
    const run = (await ask('POST', `/api/workflows/${workflow}/runs`, { variables: values })).body.id
    await ask('POST', `/api/workflows/${workflow}/triggers`, { cron: '@daily', variables: values })
    await floh.stop(before)

    const next = floh.secret()
    await start({ ...sessions, CONNECTOR_ENCRYPTION_KEY: next, CONNECTOR_ENCRYPTION_KEY_PREVIOUS: key })
    const fresh = await connect()
    const cookie = await floh.login('ada')
    const nobody = [{}, { token: 'none' }, { cookie }, { token: await floh.bearer('eve') }]
    for (const asking of nobody) expect(await floh.ask('POST', '/api/connectors/rotate-keys', asking)).toMatchObject({ status: 401 })
    expect(await opening(key)).toEqual({ total: 5, current: 4, failedCount: 1 })

    expect(await rotate()).toEqual({ status: 200, body: { total: 5, rotated: 4, skipped: 1, failed: [] } })
    expect(await opening(next)).toEqual({ total: 5, current: 5, failedCount: 0 })
    expect((await statusOf()).keys).toMatchObject([{ values: 5 }, { source: 'CONNECTOR_ENCRYPTION_KEY_PREVIOUS', values: 0 }])
    for (const id of [...connectors, fresh]) expect(await call(id)).toEqual(accepted)
    expect((await ask('POST', `/api/runs/${run}/step`)).status).toBe(200)

    // What does not open stays as it is, and is listed.
    const damaged = await storedConfig(fresh)
    damaged.apiKey = `${damaged.apiKey.slice(0, -4)}AAAA`
    await floh.server.pool.query('UPDATE connector_definition SET connector_config = $1 WHERE id = $2', [JSON.stringify(damaged), fresh])
    const failed = [{ table: 'connector_definition', row: { id: fresh }, reason: 'ERR_DECRYPT' }]
    expect(await rotate()).toMatchObject({ status: 200, body: { total: 5, rotated: 0, skipped: 4, failed } })
    expect(await storedConfig(fresh)).toEqual(damaged)
  })

  test('L4 The next connector key, as the README has it: with two instances and connectors in use all the time nothing fails, and the status says when the previous key may go', async () => {
    const next = floh.secret()
    const seed = await start(one)
    const ids = [await connect(), await connect(), await connect()]
    await floh.stop(seed)
    const [rotateKeys, look] = documentedRequests('README.md') as [{ method: string; path: string }, { method: string; path: string }]
    const turns = ids.map((id, n) => async () => {
      expect(await call(id)).toEqual(accepted)
      // One of them gets a new credential each time.
      if (n > 0) return
      const config = { url: called.url, apiKey: called.issue(), headers: [] }
      expect((await ask('PUT', `/api/connectors/${id}`, { name: 'c', config })).status).toBe(200)
    })
    const { faults } = await follow(floh, readProcedure('floh', 'The next connector key', { current: key, next }), {
      keys: sessions,
      turns,
      rotate: async () => {
        const { status, body } = await ask(rotateKeys.method, rotateKeys.path)
        expect([status, body.total, body.failed]).toEqual([200, 3, []])
        const { keyrings } = (await ask(look.method, look.path)).body
        expect(keyrings[0].keys).toMatchObject([{ values: 3 }, { source: 'CONNECTOR_ENCRYPTION_KEY_PREVIOUS', values: 0 }])
      },
    })
    expect(faults).toEqual([])
    expect(await opening(next)).toEqual({ total: 3, current: 3, failedCount: 0 })
  })

  test('L4 A rotation that a restart has stopped goes on with the next request, and what it left is rewritten', async () => {
    const before = await start(one)
    const ids = [await connect(), await connect()]
    await floh.stop(before)
    const keys = { ...sessions, CONNECTOR_ENCRYPTION_KEY: floh.secret(), CONNECTOR_ENCRYPTION_KEY_PREVIOUS: key }
    const stopped = await start(keys)
    const client = await floh.server.pool.connect()
    try {
      // Somebody holds one of the rows: the rotation comes back to it until the process ends.
      await client.query('BEGIN')
      await client.query('SELECT 1 FROM connector_definition WHERE id = $1 FOR UPDATE', [ids[0]])
      const pending = stopped.ask('POST', '/api/connectors/rotate-keys', { token })
      await expect.poll(async () => (await opening(keys.CONNECTOR_ENCRYPTION_KEY)).current).toBe(1)
      await floh.stop(stopped)
      // After 30 seconds it would have been answered that it goes on.
      expect([202, 409]).toContain((await pending).status)
    } finally {
      await client.query('ROLLBACK')
      client.release()
    }
    await start(keys)
    // It is one rotation, and what was rewritten before the restart is counted with it.
    expect(await rotate()).toEqual({ status: 200, body: { total: 2, rotated: 2, skipped: 0, failed: [] } })
    expect((await floh.server.pool.query('SELECT state FROM keyturn.rotation')).rows).toEqual([{ state: 'completed' }])
    for (const id of ids) expect(await call(id)).toEqual(accepted)
  })

  test("L5 An older deployment's key of 64 zeros is refused in production, and accepted as the previous key: what is under it is a finding of its own until it is rotated", async () => {
    expect(await floh.refused({ ...sessions, CONNECTOR_ENCRYPTION_KEY: zeros })).toEqual({
      code: 1,
      message: expect.stringContaining('CONNECTOR_ENCRYPTION_KEY is all zeros'),
    })
    const older = await start({ ...sessions, NODE_ENV: 'development', CONNECTOR_ENCRYPTION_KEY: zeros })
    const ids = [await connect(), await connect()]
    await floh.stop(older)

    const next = floh.secret()
    const [first, second, third] = readProcedure('floh', 'From an empty key', { next, zeros })
    expect([first?.does, second?.does, third?.does]).toEqual(['start', 'rotate', 'restart'])
    const between = await start({ ...sessions, ...first?.keys })
    const finding = expect.stringContaining('CONNECTOR_ENCRYPTION_KEY_PREVIOUS is all zeros')
    expect(between.events('encryption-key-finding')).toMatchObject([{ msg: finding }])
    expect(await statusOf()).toMatchObject({
      findings: [finding],
      keys: [
        { values: 0, knownToAll: false },
        { source: 'CONNECTOR_ENCRYPTION_KEY_PREVIOUS', values: 2, knownToAll: true },
      ],
    })
    for (const id of ids) expect(await call(id)).toEqual(accepted)
    expect(await rotate()).toEqual({ status: 200, body: { total: 2, rotated: 2, skipped: 0, failed: [] } })
    expect((await statusOf()).keys).toMatchObject([{ values: 2 }, { values: 0, knownToAll: false }])
    await floh.stop(between)
    await start({ ...sessions, ...third?.keys })
    expect((await statusOf()).findings).toEqual([])
    for (const id of ids) expect(await call(id)).toEqual(accepted)
  })

  test('L7 Secret variables are encrypted in runs and triggers, masked in answers, open for the evaluation of a step and encrypted again; a mask that comes back keeps what is stored', async () => {
    await start(one)
    const [apiKey, secret] = [called.issue(), secretValue()]
    const workflow = await define(await connect(apiKey))
    const stored = async (table: string) => (await floh.server.pool.query(`SELECT variables FROM ${table} ORDER BY id`)).rows
    const variables = { region: 'eu', token: secret, retries: 3 }
    const runs = `/api/workflows/${workflow}/runs`
    expect((await ask('POST', runs, { variables: { region: 'eu' } })).body).toEqual({ error: 'missing: token' })
    const { id } = (await ask('POST', runs, { variables })).body
    const sealed = expect.stringMatching(/^kt1\./)
    expect(await stored('workflow_run')).toEqual([{ variables: { region: 'eu', token: sealed, retries: sealed } }])
    const shown = { region: 'eu', token: MASK, retries: MASK }
    expect((await ask('GET', `/api/runs/${id}`)).body).toEqual({ id, status: 'running', step: 0, variables: shown })

    expect((await ask('POST', `/api/runs/${id}/step`)).body).toEqual({ status: 'running', answer: null })
    expect(await stored('workflow_run')).toEqual([{ variables: { region: 'eu', token: sealed, retries: sealed, greeting: sealed } }])
    const updated = await ask('PUT', `/api/runs/${id}/variables`, { variables: { ...shown, retries: 4, greeting: MASK } })
    expect(updated.body.variables).toEqual({ ...shown, greeting: MASK })
    expect((await ask('POST', `/api/runs/${id}/step`)).body).toEqual({ status: 'done', answer: 200 })
    expect(called.received.at(-1)?.body).toBe(`hello eu, ${secret} 4`)
    expect(await ask('POST', `/api/runs/${id}/step`)).toMatchObject({ status: 400 })

    const trigger = (await ask('POST', `/api/workflows/${workflow}/triggers`, { cron: '@daily', variables })).body.id
    const [before] = await stored('scheduled_trigger')
    expect(before).toEqual({ variables: { region: 'eu', token: sealed, retries: sealed } })
    expect((await ask('GET', '/api/triggers')).body).toEqual([{ id: trigger, cron: '@daily', variables: shown }])
    const changed = { cron: '@hourly', variables: { ...shown, region: 'us' } }
    expect((await ask('PUT', `/api/triggers/${trigger}`, changed)).status).toBe(200)
    expect(await stored('scheduled_trigger')).toEqual([{ variables: { ...before.variables, region: 'us' } }])
    const fired = (await ask('POST', `/api/triggers/${trigger}/fire`)).body.id
    for (let step = 0; step < 2; step++) await ask('POST', `/api/runs/${fired}/step`)
    expect(called.received.at(-1)?.body).toBe(`hello us, ${secret} 3`)
    for (const table of ['workflow_run', 'scheduled_trigger']) expect(JSON.stringify(await stored(table))).not.toContain('marked-')
  })

  test('L8 Migration 030_hash_invitation_tokens turns tokens into SHA-256 hashes for good, once however often it runs; mailed links go on working, and a hash lets nobody in', async () => {
    const { pool } = floh.server
    const mailed = Array.from({ length: 50 }, () => randomBytes(32).toString('hex'))
    await pool.query(`CREATE TABLE invitation_token (
      id uuid PRIMARY KEY DEFAULT gen_random_uuid(), token text NOT NULL UNIQUE, email text NOT NULL,
      expires_at timestamptz NOT NULL DEFAULT now() + interval '1 day', accepted_by text)`)
    const insert = 'INSERT INTO invitation_token (token, email) SELECT token, $2 FROM unnest($1::text[]) AS token'
    await pool.query(insert, [mailed, 'grace@example.org'])
    const tokens = async () => (await pool.query('SELECT token FROM invitation_token ORDER BY token')).rows.map(({ token }) => token)
    const hashOf = (token: string) => `sha256:${createHash('sha256').update(token).digest('hex')}`
    const hashes = mailed.map(hashOf).sort()

    await floh.stop(await start(one))
    expect(await tokens()).toEqual(hashes)
    const ran = await pool.query("DELETE FROM kysely_migration WHERE name = '030_hash_invitation_tokens'")
    expect(ran.rowCount).toBe(1)
    await start(one)
    expect(await tokens()).toEqual(hashes)

    const cookie = await floh.login('grace')
    const [first = '', second = ''] = mailed
    expect((await floh.ask('GET', `/invitations/${first}`)).body).toEqual({ email: 'grace@example.org' })
    for (const stolen of [hashOf(first), hashOf(first).slice(7), 'none']) {
      expect((await floh.ask('GET', `/invitations/${stolen}`)).status).toBe(404)
      expect((await floh.ask('POST', `/invitations/${stolen}/accept`, { cookie })).status).toBe(404)
    }
    const accept = () => floh.ask('POST', `/invitations/${first}/accept`, { cookie })
    expect([(await accept()).status, (await accept()).status]).toEqual([200, 404])

    const { link } = (await ask('POST', '/api/invitations', { email: 'new@example.org' })).body
    const fresh = link.split('/').at(-1)
    expect(await tokens()).toContain(hashOf(fresh))
    expect((await floh.ask('GET', `/invitations/${fresh}`)).body).toEqual({ email: 'new@example.org' })

    // An instance of before has stored one meanwhile.
    const late = randomBytes(32).toString('hex')
    await pool.query(insert, [[late], 'late@example.org'])
    expect((await floh.ask('GET', `/invitations/${late}`)).status).toBe(200)
    const script = await runChild(join(floh.image.folder, documentedScripts('floh')[0]?.[0] ?? ''), [], {
      node: [],
      env: { DATABASE_URL: floh.server.url },
    })
    expect(script).toMatchObject({ code: 0, stdout: expect.stringMatching(/^1 tokens hashed, 52 in all/) })
    for (const token of [late, second]) expect((await floh.ask('GET', `/invitations/${token}`)).status).toBe(200)
    await expect(pool.query(insert, [[first], 'x'])).rejects.toMatchObject({ code: '23514' })
  })
})
