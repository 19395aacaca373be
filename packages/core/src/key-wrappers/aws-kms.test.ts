import { KMS } from '@aws-sdk/client-kms'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { conformsToKeyWrapper } from '../../../../test/conformance/key-wrapper.ts'
import { type KmsDouble, startKms } from '../../../../test/doubles/aws-kms.ts'
import { createDatabase, type TestDatabase } from '../../../../test/harness/postgres.ts'
import { defineConfig } from '../config/config.ts'
import { wrappingData } from '../keyring/seal.ts'
import { open } from '../open.ts'
import awsKms, { type AwsKmsOptions, type KmsClient } from './aws-kms.ts'

const kms: KmsDouble = await startKms()
const key = kms.createKey('1234abcd-12ab-34cd-56ef-1234567890ab')
const another = kms.createKey('mrk-1234abcd12ab34cd56ef1234567890ab')
const dataKey = Buffer.alloc(32, 7)
const data = Buffer.from('associated data')
// On a loaded machine an answer may take long; only the test of silence wants to wait for the end.
const wrapper = (more: Partial<AwsKmsOptions> = {}) => awsKms({ keyId: key, endpoint: kms.endpoint, timeoutMs: 60_000, ...more })

beforeAll(() => {
  for (const [name, value] of Object.entries(kms.env)) vi.stubEnv(name, value)
})
afterEach(async () => {
  Object.assign(kms.faults, { throttle: 0, refuse: null, silent: false, answerAs: null })
})
afterAll(async () => {
  vi.unstubAllEnvs()
  await kms.stop()
})

conformsToKeyWrapper('aws-kms, by the SDK of AWS', {
  same: () => wrapper(),
  other: () => wrapper({ keyId: another }),
  secrets: [kms.env.AWS_SECRET_ACCESS_KEY ?? 'none'],
})

test('Invariant: the encryption context never changes.', async () => {
  const place = { rootId: 'aws-kms:1234abcd-12ab-34cd-56ef-1234567890ab', keyring: 'app', id: 'aaaqeaye', number: 1 }
  const before = kms.calls.length
  const wrapped = await wrapper().wrap(dataKey, wrappingData(place))
  expect(wrapped[0]).toBe(1)
  const context = { keyturn: '9a19szQDdJVOTLLgSxJYroFl9fw98vXdUCwXeKQFhMw' }
  expect(kms.calls.slice(before)).toEqual([
    { operation: 'Encrypt', keyId: key, context, outcome: 'ok' },
    { operation: 'Decrypt', keyId: key, context, outcome: 'ok' },
  ])
})

test('the root is named by the id of the key, however it is written, in every region of a multi-region key', () => {
  expect(wrapper({ keyId: '1234abcd-12ab-34cd-56ef-1234567890ab' }).rootId).toBe(wrapper().rootId)
  expect(awsKms({ keyId: another.replace('eu-central-1', 'us-east-1') }).rootId).toBe('aws-kms:mrk-1234abcd12ab34cd56ef1234567890ab')
})

test('a client of the application’s is used as it is', async () => {
  const client: KmsClient = new KMS({ endpoint: kms.endpoint, maxAttempts: 1 })
  const wrapped = await awsKms({ keyId: key, client }).wrap(dataKey, data)
  expect(Buffer.from(await wrapper().unwrap(wrapped, data))).toEqual(dataKey)
})

describe('when KMS does not answer as it should', () => {
  test('a call that is throttled is repeated, and succeeds', async () => {
    const before = kms.calls.length
    kms.faults.throttle = 2
    const wrapped = await wrapper().wrap(dataKey, data)
    expect(kms.calls.slice(before).map(({ outcome }) => outcome)).toEqual(['ThrottlingException', 'ThrottlingException', 'ok', 'ok'])
    kms.faults.throttle = 1
    expect(Buffer.from(await wrapper().unwrap(wrapped, data))).toEqual(dataKey)
  })

  test('it is repeated so often and no more, and then says what to do', async () => {
    const before = kms.calls.length
    kms.faults.throttle = 1_000
    await expect(wrapper({ attempts: 3 }).wrap(dataKey, data)).rejects.toMatchObject({
      code: 'ERR_ROOT_KEY_UNREACHABLE',
      name: 'ServiceError',
      message: expect.stringMatching(
        /^the root key aws-kms:1234abcd-.* was asked for 3 times .*: KMS throttles this account\. Nothing was changed/,
      ),
    })
    expect(kms.calls.slice(before)).toHaveLength(3)
  })

  test.each([
    ['KeyUnavailableException', 500, 'KMS cannot use the key at the moment'],
    ['DependencyTimeoutException', 503, 'KMS was too slow'],
    ['KMSInternalException', 500, 'KMS failed'],
    ['SomethingNew', 502, 'KMS failed'],
  ])('%s passes by itself: it is asked again', async (type, status, reason) => {
    const before = kms.calls.length
    kms.faults.refuse = [status, type]
    await expect(wrapper({ attempts: 2 }).wrap(dataKey, data)).rejects.toMatchObject({
      code: 'ERR_ROOT_KEY_UNREACHABLE',
      message: expect.stringContaining(reason),
    })
    expect(kms.calls.slice(before)).toHaveLength(2)
  })

  test.each([
    ['AccessDeniedException', 'Allow kms:Encrypt and kms:Decrypt'],
    ['DisabledException', 'it is disabled. Enable it'],
    ['KMSInvalidStateException', 'cancel that'],
    ['InvalidKeyUsageException', 'SYMMETRIC_DEFAULT'],
    ['ExpiredTokenException', 'AWS does not accept the credentials'],
    ['SomethingNew', 'KMS says SomethingNew'],
  ])('%s is asked once, and the message says who has to do what, without a word of the answer', async (type, words) => {
    const before = kms.calls.length
    kms.faults.refuse = [400, type]
    const error: Error = await wrapper()
      .wrap(dataKey, data)
      .then(
        () => Promise.reject(new Error('it succeeded')),
        (thrown) => thrown,
      )
    expect(error).toMatchObject({ code: 'ERR_ROOT_KEY_REFUSED', name: 'KeyError', message: expect.stringContaining(words) })
    expect(error.message).not.toContain('may hold anything')
    expect(error.cause).toBeUndefined()
    expect(kms.calls.slice(before)).toHaveLength(1)
  })

  test('a key that does not exist, and credentials that are wrong, are refused', async () => {
    const missing = wrapper({ keyId: '99999999-12ab-34cd-56ef-1234567890ab' })
    await expect(missing.wrap(dataKey, data)).rejects.toMatchObject({
      code: 'ERR_ROOT_KEY_REFUSED',
      message: expect.stringContaining('no such key'),
    })
    const secretAccessKey = 'x'.repeat(40)
    for (const accessKeyId of [kms.env.AWS_ACCESS_KEY_ID ?? '', 'AKIAUNKNOWN000000000']) {
      const client = new KMS({ endpoint: kms.endpoint, credentials: { accessKeyId, secretAccessKey } })
      await expect(wrapper({ client }).wrap(dataKey, data)).rejects.toMatchObject({
        code: 'ERR_ROOT_KEY_REFUSED',
        message: expect.stringContaining('AWS does not accept the credentials'),
      })
    }
  })

  test('an answer for another key is refused, when it wraps and when it opens', async () => {
    const wrapped = await wrapper().wrap(dataKey, data)
    kms.faults.answerAs = 'mrk-1234abcd12ab34cd56ef1234567890ab'
    const refusal = { code: 'ERR_ROOT_KEY_REFUSED', message: expect.stringContaining('answered for another key') }
    await expect(wrapper().wrap(dataKey, data)).rejects.toMatchObject(refusal)
    await expect(wrapper().unwrap(wrapped, data)).rejects.toMatchObject(refusal)
  })

  test('an answer without a key is refused', async () => {
    const client: KmsClient = { encrypt: async () => ({ KeyId: key }), decrypt: async () => ({ KeyId: key }) }
    await expect(awsKms({ keyId: key, client }).wrap(dataKey, data)).rejects.toThrow('answered without a ciphertext')
    await expect(awsKms({ keyId: key, client }).unwrap(Buffer.of(1, 2), data)).rejects.toThrow('answered without a key')
  })

  test('a call that is not answered ends by itself, also with a client that does not listen to the signal', async () => {
    kms.faults.silent = true
    const unreachable = { code: 'ERR_ROOT_KEY_UNREACHABLE', message: expect.stringContaining('it does not answer in time') }
    await expect(wrapper({ timeoutMs: 50, attempts: 2 }).wrap(dataKey, data)).rejects.toMatchObject(unreachable)
    const deaf = () => new Promise<never>(() => {})
    await expect(
      awsKms({ keyId: key, client: { encrypt: deaf, decrypt: deaf }, timeoutMs: 50, attempts: 1 }).wrap(dataKey, data),
    ).rejects.toMatchObject(unreachable)
  })

  test('one that is down is asked again, and answers once it is up', async () => {
    const wrapped = await wrapper().wrap(dataKey, data)
    await kms.stop()
    await expect(wrapper({ attempts: 2 }).unwrap(wrapped, data)).rejects.toMatchObject({
      code: 'ERR_ROOT_KEY_UNREACHABLE',
      message: expect.stringContaining('it cannot be reached (ECONNREFUSED)'),
    })
    await kms.start()
    expect(Buffer.from(await wrapper().unwrap(wrapped, data))).toEqual(dataKey)
  })
})

test.each([
  ['an alias', { keyId: 'alias/app' }, 'an alias can be moved'],
  ['an alias by its ARN', { keyId: 'arn:aws:kms:eu-central-1:111122223333:alias/app' }, 'an alias can be moved'],
  ['no key', {}, 'option "keyId"'],
  ['something else', { keyId: 'no key at all' }, 'expected the ARN of a key'],
  ['an address that is none', { keyId: key, endpoint: 'kms.local' }, 'option "endpoint"'],
  ['credentials', { keyId: key, secretAccessKey: 'x' }, 'there is no such option'],
  ['no attempt', { keyId: key, attempts: 0 }, 'from 1 to 10'],
  ['an endless wait', { keyId: key, timeoutMs: 100_000 }, 'from 1 to 60000'],
])('%s is refused before anything is asked', (_, options, message) => {
  expect(() => awsKms(options as AwsKmsOptions)).toThrow(message)
})

describe('as the root of a keyring', () => {
  let server: TestDatabase
  beforeAll(async () => {
    server = await createDatabase()
  })
  afterAll(() => server.drop())
  const root = (more: object = {}) => ({
    wrapper: 'aws-kms',
    keyId: key,
    region: 'eu-central-1',
    endpoint: kms.endpoint,
    timeoutMs: 60_000,
    ...more,
  })
  const config = (more: object = {}) => defineConfig({ keyrings: { app: { root: root(more) } }, fields: {} })

  test('nothing is made and nothing is served while KMS is down; then one keyring, which opens with KMS only', async () => {
    await kms.stop()
    const down = open(config({ attempts: 2 }), { pool: server.pool })
    await expect(down).rejects.toMatchObject({ code: 'ERR_ROOT_KEY_UNREACHABLE' })
    await kms.start()
    const first = await open(config(), { pool: server.pool })
    const status = await first.status('app')
    expect(status.keyrings[0]?.versions.map(({ number, roots }) => ({ number, roots }))).toEqual([
      { number: 1, roots: ['aws-kms:1234abcd-12ab-34cd-56ef-1234567890ab'] },
    ])
    await first.close()
    kms.faults.refuse = [400, 'AccessDeniedException']
    await expect(open(config(), { pool: server.pool })).rejects.toMatchObject({ code: 'ERR_ROOT_KEY_REFUSED' })
    kms.faults.refuse = null
    await expect(open(config({ keyId: another }), { pool: server.pool })).rejects.toMatchObject({ code: 'ERR_ROOT_KEY' })
    await (await open(config(), { pool: server.pool })).close()
  })

  test('a key that KMS wraps and does not open is not made: nothing changes, and values are encrypted as before', async () => {
    const real = new KMS({ endpoint: kms.endpoint, maxAttempts: 1 })
    const denied = () => Promise.reject(Object.assign(new Error('a message that may hold anything'), { name: 'AccessDeniedException' }))
    const may = { decrypt: true, forge: false }
    const client: KmsClient = {
      encrypt: (input, options) => real.encrypt(may.forge ? { ...input, Plaintext: Buffer.alloc(32, 9) } : input, options),
      decrypt: (input, options) => (may.decrypt ? real.decrypt(input, options) : denied()),
    }
    await server.pool.query('CREATE TABLE notes (id int PRIMARY KEY, note text)')
    const fields = { note: { column: 'notes.note', keyring: 'revoked' } }
    const keyturn = await open(defineConfig({ refreshMs: 200, keyrings: { revoked: { root: root({ client }) } }, fields }), {
      pool: server.pool,
    })
    await server.pool.query('INSERT INTO notes VALUES (1, $1)', [await keyturn.field('note').encrypt('before')])
    may.decrypt = false
    await expect(keyturn.rotate('revoked')).rejects.toMatchObject({ code: 'ERR_ROOT_KEY_REFUSED' })
    Object.assign(may, { decrypt: true, forge: true })
    await expect(keyturn.rotate('revoked')).rejects.toThrow('does not open what it wrapped')
    expect((await keyturn.status('revoked')).keyrings[0]?.versions).toHaveLength(1)
    may.forge = false
    expect(await keyturn.rotate('revoked')).toMatchObject({ state: 'completed', rotated: 1 })
    await keyturn.close()
  })

  test('the root moves from a variable to KMS without touching a value', async () => {
    const env = { LOCAL_ROOT: 'ab'.repeat(32) }
    const [local, remote] = [{ env: 'LOCAL_ROOT' }, root()]
    const moving = (...roots: object[]) => defineConfig({ refreshMs: 50, keyrings: { moved: { root: roots as never } }, fields: {} })
    const before = await open(moving(local), { pool: server.pool, env })
    const [old] = (await before.status('moved')).keyrings[0]?.versions[0]?.roots ?? []
    await before.close()
    const both = await open(moving(remote, local), { pool: server.pool, env })
    await both.rewrap('moved')
    expect((await both.rewrap('moved', { drop: old ?? '' })).roots).toEqual(['aws-kms:1234abcd-12ab-34cd-56ef-1234567890ab'])
    await both.close()
    await expect(open(moving(local), { pool: server.pool, env })).rejects.toMatchObject({ code: 'ERR_ROOT_KEY' })
    await (await open(moving(remote), { pool: server.pool, env: {} })).close()
  })

  test('a process that KMS does not answer while another rotates reads on with the keys it has, encrypts no more, and learns the new key later', async () => {
    await server.pool.query('CREATE TABLE tokens (id int PRIMARY KEY, token text)')
    const state = { down: false }
    const real = new KMS({ endpoint: kms.endpoint, maxAttempts: 1 })
    const throttled = () => Promise.reject(Object.assign(new Error('a message that may hold anything'), { name: 'ThrottlingException' }))
    const client: KmsClient = {
      encrypt: (input, options) => (state.down ? throttled() : real.encrypt(input, options)),
      decrypt: (input, options) => (state.down ? throttled() : real.decrypt(input, options)),
    }
    const rotating = (more: object) =>
      defineConfig({
        refreshMs: 200,
        keyrings: { live: { root: root(more) } },
        fields: { token: { column: 'tokens.token', keyring: 'live' } },
      })
    const [mine, theirs] = [
      await open(rotating({ client, attempts: 1 }), { pool: server.pool }),
      await open(rotating({}), { pool: server.pool }),
    ]
    const old = await mine.field('token').encrypt('before')
    await server.pool.query('INSERT INTO tokens VALUES (1, $1)', [old])
    state.down = true
    expect((await theirs.rotate('live')).state).toBe('completed')
    const { rows } = await server.pool.query('SELECT token FROM tokens')
    await expect(mine.field('token').decrypt(rows[0].token)).rejects.toMatchObject({ code: 'ERR_ROOT_KEY_UNREACHABLE' })
    expect(await mine.field('token').decrypt(old)).toBe('before')
    await expect
      .poll(() =>
        mine
          .field('token')
          .encrypt('x')
          .then(
            () => 'encrypted',
            ({ code }) => code,
          ),
      )
      .toBe('ERR_KEYRING_STALE')
    state.down = false
    const read = () =>
      mine
        .field('token')
        .decrypt(rows[0].token)
        .catch(({ code }) => code)
    await expect.poll(read).toBe('before')
    await mine.close()
    await theirs.close()
  })
})
