import { afterAll, beforeEach, expect, test } from 'vitest'
import { rotatorConformance } from '../../../../test/conformance/secrets/rotator.ts'
import { startEntra } from '../../../../test/doubles/entra.ts'
import { callOf, worldOf } from '../../../../test/harness/parts.ts'
import { kindOf } from '../outside/failure.ts'
import entraClientSecret, { options } from './entra-client-secret.ts'

const entra = await startEntra()
const { app, admin, tenant, origin } = entra
const open = (more: object = {}, secret = admin.secret) => {
  const login = { tenant, clientId: app.appId, admin: { clientId: admin.appId, clientSecret: { env: 'ADMIN' } } }
  const parsed = options.parse({ ...login, login: origin, graph: origin, ...more })
  return entraClientSecret(parsed, worldOf({ ADMIN: secret }))
}
const first = { id: app.keyId, parts: { clientId: app.appId, keyId: app.keyId, clientSecret: app.secret } }
const withApi = { scope: entra.api.scope, api: entra.api.url }

beforeEach(() => {
  entra.faults.clear()
  Object.assign(entra.rules, { lag: { accept: [0], refuse: [0] }, removeUnknown: 400 })
})
afterAll(() => entra.stop())

rotatorConformance('entra-client-secret', async () => {
  const own = await startEntra()
  const { appId: clientId, secret: clientSecret } = own.app
  const token = `${own.origin}/${own.tenant}/oauth2/v2.0/token`
  const known = { tenant: own.tenant, clientId, login: own.origin, graph: own.origin }
  return {
    config: { rotator: 'entra-client-secret', ...known, admin: { clientId: own.admin.appId, clientSecret: { env: 'ADMIN' } } },
    env: { ADMIN: own.admin.secret },
    first: { clientSecret },
    templates: { AZURE_CLIENT_SECRET: '{clientSecret}' },
    login: async ({ AZURE_CLIENT_SECRET: secret = '' }) => {
      const form = { grant_type: 'client_credentials', client_id: clientId, client_secret: secret, scope: own.api.scope }
      return (await fetch(token, { method: 'POST', body: new URLSearchParams(form) })).ok
    },
    live: async () => own.live().length,
    close: () => own.stop(),
  }
})

test('a secret works beside the old one, at the protected API, and ends by its id.', async () => {
  const [rotator, call] = [open(withApi), callOf()]
  expect(await rotator.check(call, first)).toEqual([])
  const made = await rotator.create(call, null, first)
  expect(made.parts).toMatchObject({ clientId: app.appId, keyId: made.id })
  expect(await rotator.list!(call)).toContainEqual({
    id: made.id,
    name: `keyturn-${call.attempt}`,
    createdAt: expect.any(Number),
    used: null,
    enabled: true,
  })
  for (const secret of [first, made])
    expect(await rotator.verify(call, secret)).toEqual({ works: true, sentence: expect.stringContaining('the API took it') })
  for (const _ of [1, 2]) await rotator.revoke(call, { id: made.id, parts: {} }, first)
  expect(await rotator.verify(call, made)).toMatchObject({ works: false, sentence: expect.stringContaining('AADSTS7000215') })
  expect(entra.live()).toEqual([app.keyId])
})

test('a secret that one replica knows and another does not is not proved: it works later.', async () => {
  const [rotator, call] = [open(), callOf()]
  entra.rules.lag.accept = [0, 5]
  const made = await rotator.create(call, null, first)
  expect(await rotator.verify(call, made)).toMatchObject({
    works: false,
    later: true,
    sentence: expect.stringContaining('after 1 that succeeded'),
  })
  await expect.poll(() => rotator.verify(call, made), { timeout: 60_000, interval: 1 }).toMatchObject({ works: true })
  await rotator.revoke(call, made, first)
})

test('a secret expires after the time of the configuration, and then no later try helps.', async () => {
  const [rotator, call] = [open({ expires: '30d' }), callOf()]
  const made = await rotator.create(call, null, first)
  entra.advance(31)
  expect(await rotator.verify(call, made)).toMatchObject({ works: false, later: false, sentence: expect.stringContaining('AADSTS7000222') })
  entra.advance(-31)
  await rotator.revoke(call, made, first)
})

test('a secret whose answer was lost is found by the name of its attempt and removed.', async () => {
  const [rotator, call] = [open(), callOf()]
  entra.faults.next('addPassword', 'drop')
  expect(await rotator.create(call, null, first).then(() => 'done', kindOf)).toBe('uncertain')
  const [lost, ...more] = (await rotator.list!(call)).filter(({ name }) => name?.includes(call.attempt))
  expect(more).toEqual([])
  await rotator.revoke(call, { id: lost!.id, parts: {} }, first)
  expect(entra.live()).toEqual([app.keyId])
})

test.each([400, 404] as const)('removing goes well where the answer was lost, and where another was faster (%i).', async (status) => {
  const [rotator, call] = [open(), callOf()]
  entra.rules.removeUnknown = status
  const made = await rotator.create(call, null, first)
  entra.faults.next('removePassword', 'drop')
  await expect(rotator.revoke(call, made, first)).rejects.toMatchObject({ code: 'ERR_OUTSIDE_UNCERTAIN' })
  await rotator.revoke(call, made, first)
  const another = await rotator.create(call, null, first)
  const { promise: held, resolve } = Promise.withResolvers<void>()
  entra.faults.next('getApplication', { until: held })
  const slow = rotator.revoke(call, another, first)
  await expect.poll(() => entra.calls.at(-1), { timeout: 60_000 }).toMatchObject({ operation: 'getApplication', status: 0 })
  await rotator.revoke(call, another, first)
  resolve()
  await slow
  expect(entra.live()).toEqual([app.keyId])
})

test('the secret in use is known by its first characters, or by the id given.', async () => {
  const [rotator, call] = [open(), callOf()]
  expect(await rotator.adopt!(call, { clientSecret: app.secret })).toEqual(first)
  expect(await rotator.adopt!(call, { clientSecret: app.secret, keyId: app.keyId })).toEqual(first)
  const error = await rotator.adopt!(call, { clientSecret: '~~~another' }).catch((each: unknown) => each)
  expect([kindOf(error), String(error).includes('~~~another')]).toEqual(['refused', false])
})

test('what stands in the way is found before anything changes.', async () => {
  const call = callOf()
  const wrong = await open({}, 'a wrong secret').check(call, first)
  expect(wrong).toMatchObject([{ severity: 'fault', sentence: expect.stringContaining('401, AADSTS7000215') }])
  expect(JSON.stringify(wrong)).not.toContain('a wrong secret')
  const own = open({ admin: { clientId: app.appId, clientSecret: { env: 'ADMIN' } } }, app.secret)
  expect(await own.check(call, first)).toMatchObject([
    { severity: 'fault', sentence: expect.stringContaining('Authorization_RequestDenied') },
  ])
  // The object id in place of the client id.
  expect(await open({ clientId: app.objectId }).check(call, null)).toMatchObject([{ sentence: expect.stringContaining('404') }])
  expect(await open().check(call, { id: 'gone', parts: {} })).toMatchObject([{ severity: 'warning' }])
})

test('a call that is throttled is busy.', async () => {
  entra.faults.next('addPassword', { status: 429, headers: { 'retry-after': '7' } })
  expect(
    kindOf(
      await open()
        .create(callOf(), null, first)
        .catch((error: unknown) => error),
    ),
  ).toBe('busy')
})

test('options that cannot be right are refused, and what stood there is not repeated.', () => {
  const right = { tenant: 'example.com', clientId: app.appId, admin: { clientId: admin.appId, clientSecret: { env: 'ADMIN' } } }
  expect(options.safeParse(right).success).toBe(true)
  for (const wrong of [
    { admin: { clientId: admin.appId, clientSecret: 's3cret' } },
    { clientId: 'app' },
    { tenant: 'a/b' },
    { scope: 'api://app' },
    { graph: 'https://me:s3cret@example.com' },
    { expires: 'soon' },
  ]) {
    const { success, error } = options.safeParse({ ...right, ...wrong })
    expect([wrong, success, JSON.stringify(error?.issues).includes('s3cret')]).toEqual([wrong, false, false])
  }
})

test('the id that is given for the secret in use must be that of the secret: else another one would be removed in the end.', async () => {
  const [rotator, call] = [open(), callOf()]
  const other = await rotator.create(call, null, first)
  const { clientSecret } = first.parts
  const wrong = rotator.adopt!(call, { keyId: other.parts.keyId ?? '', clientSecret: `~${clientSecret.slice(1)}` })
  expect(await wrong.then(() => 'done', kindOf)).toBe('refused')
  expect(await rotator.adopt!(call, { keyId: ` ${first.id.toUpperCase()}\n`, clientSecret })).toEqual(first)
  expect(await rotator.revoke(call, first, first).then(() => 'done', kindOf)).toBe('refused')
  await rotator.revoke(call, other, first)
  expect(entra.live()).toEqual([app.keyId])
})
