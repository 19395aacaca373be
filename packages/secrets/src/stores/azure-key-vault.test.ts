import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { storeConformance } from '../../../../test/conformance/secrets/store.ts'
import { startEntra } from '../../../../test/doubles/entra.ts'
import { startKeyVault } from '../../../../test/doubles/key-vault.ts'
import { callOf, worldOf } from '../../../../test/harness/parts.ts'
import { kindOf } from '../outside/failure.ts'
import azureKeyVault, { options } from './azure-key-vault.ts'

const entra = await startEntra()
const isToken = (token: string) => entra.isToken(token, 'https://vault.azure.net')
const vault = await startKeyVault({ isToken, authority: `${entra.origin}/${entra.tenant}` })
const trusted = getCACertificates('default')

const config = {
  vault: vault.origin,
  tenant: entra.tenant,
  clientId: entra.app.appId,
  clientSecret: { env: 'SECRET' },
  login: entra.origin,
}
const open = (more: object = {}, secret = entra.app.secret) =>
  azureKeyVault(options.parse({ ...config, ...more }), worldOf({ SECRET: secret }))

beforeAll(() => setDefaultCACertificates([...trusted, vault.ca]))
afterEach(() => vault.faults.clear())
afterAll(async () => {
  setDefaultCACertificates(trusted)
  await vault.stop()
  await entra.stop()
})

storeConformance('azure-key-vault', async () => {
  await open().write(callOf(), { app: '{"REGION":"eu","PORT":5432}' })
  const members = () => JSON.parse(vault.value('app') ?? '{}')
  return {
    config: { store: 'azure-key-vault', ...config, secret: 'app' },
    env: { SECRET: entra.app.secret },
    names: ['API_KEY', 'API_KEY_PREVIOUS'],
    read: async () => {
      const { REGION: _region, PORT: _port, ...read } = members()
      return read
    },
    others: async () => [members().REGION, members().PORT],
    close: async () => {},
  }
})

test('a value without a document is the secret itself, and one write is one version, however often.', async () => {
  const [store, call] = [open(), callOf()]
  expect(await store.check(call, ['api-key'])).toEqual([])
  expect(await store.look(call, ['api-key'])).toEqual({ 'api-key': null })
  const first = await store.write(call, { 'api-key': 'one' })
  expect(first.version).toMatch(/^api-key@[0-9a-f]{32}$/)
  expect(await store.write(call, { 'api-key': 'one' })).toEqual(first)
  expect(vault.versions('api-key')).toEqual([{ enabled: true, tags: { keyturn: call.attempt } }])
  expect(await store.look(call, ['api-key'])).toEqual({ 'api-key': { value: 'one' } })
})

test('a write whose answer was lost is made again without a second version.', async () => {
  const [store, call] = [open({ secret: 'lost' }), callOf()]
  vault.faults.next('setSecret', 'drop')
  expect(await store.write(call, { A: 'one', B: null }).then(() => 'done', kindOf)).toBe('uncertain')
  await store.write(call, { A: 'one', B: null })
  expect([vault.value('lost'), vault.versions('lost').length]).toEqual(['{"A":"one"}', 1])
})

test('two writes at the same time leave both members: who finds another version on top writes again.', async () => {
  const store = open({ secret: 'shared' })
  const { promise: held, resolve } = Promise.withResolvers<void>()
  vault.faults.next('setSecret', { until: held })
  const slow = store.write(callOf(), { A: 'a' }).then(() => 'done', kindOf)
  await expect.poll(() => vault.value('shared'), { timeout: 60_000 }).toBe('{"A":"a"}')
  await open().write(callOf(), { shared: '{"B":"b"}' })
  resolve()
  expect(await slow).toBe('uncertain')
  await store.write(callOf(), { A: 'a' })
  expect(vault.value('shared')).toBe('{"B":"b","A":"a"}')
})

test('names that no vault can hold, several without a document, and a text that is none are found before.', async () => {
  const call = callOf()
  expect(await open().check(call, ['with_underscore'])).toMatchObject([{ severity: 'fault', sentence: expect.stringContaining('hyphens') }])
  expect(await open().check(call, ['a', 'b'])).toMatchObject([
    { severity: 'fault', sentence: expect.stringContaining('one secret at a time') },
  ])
  await open().write(call, { text: 'a plain password' })
  const found = await open({ secret: 'text' }).check(call, ['A'])
  expect(found).toMatchObject([{ severity: 'fault', sentence: expect.stringContaining('no JSON object') }])
  expect(JSON.stringify(found)).not.toContain('plain password')
})

test('a newest version that is disabled is not written over.', async () => {
  const [store, call] = [open(), callOf()]
  await store.write(call, { off: 'one' })
  const body = new URLSearchParams({ grant_type: 'client_credentials', client_id: config.clientId, client_secret: entra.app.secret })
  body.set('scope', 'https://vault.azure.net/.default')
  const login = await fetch(`${entra.origin}/${entra.tenant}/oauth2/v2.0/token`, { method: 'POST', body })
  const headers = { authorization: `Bearer ${JSON.parse(await login.text()).access_token}` }
  const url = `${vault.origin}/secrets/off?api-version=2025-07-01`
  await fetch(url, { method: 'PATCH', headers, body: '{"attributes":{"enabled":false}}' })
  const error = await store.write(call, { off: 'two' }).catch((each: unknown) => each)
  expect([kindOf(error), String(error)]).toEqual(['refused', expect.stringContaining('403, SecretDisabled')])
})

test('a login that is refused is found before anything changes, and is not sent where the vault says.', async () => {
  const before = vault.calls.length
  const found = await open({}, 'a wrong secret').check(callOf(), ['api-key'])
  expect(found).toMatchObject([{ severity: 'fault', sentence: expect.stringContaining('AADSTS7000215') }])
  expect(vault.calls.length).toBe(before)
})

test('a call that is throttled is busy.', async () => {
  vault.faults.next('setSecret', { status: 429, headers: { 'retry-after': '3' } })
  const error = await open()
    .write(callOf(), { throttled: 'x' })
    .catch((each: unknown) => each)
  expect(kindOf(error)).toBe('busy')
})

test('options that cannot be right are refused, and what stood there is not repeated.', () => {
  const right = config
  expect(options.safeParse(right).success).toBe(true)
  for (const wrong of [
    { clientSecret: 's3cret' },
    { secret: 'with_underscore' },
    { clientId: 'app' },
    { vault: 'https://me:s3cret@example.com' },
    { values: {} },
  ]) {
    const { success, error } = options.safeParse({ ...right, ...wrong })
    expect([wrong, success, JSON.stringify(error?.issues).includes('s3cret')]).toEqual([wrong, false, false])
  }
})
