import { afterAll, beforeEach, expect, test } from 'vitest'
import { rotatorConformance } from '../../../../test/conformance/secrets/rotator.ts'
import { startOkta } from '../../../../test/doubles/okta.ts'
import { callOf, worldOf } from '../../../../test/harness/parts.ts'
import { kindOf } from '../outside/failure.ts'
import oktaClientSecret, { options } from './okta-client-secret.ts'

const okta = await startOkta()
const first = { id: okta.firstSecret.id, parts: { clientId: okta.appId, clientSecret: okta.firstSecret.value } }
const open = (more: object = {}, admin = okta.adminToken) =>
  oktaClientSecret(options.parse({ org: okta.origin, app: okta.appId, admin: { env: 'ADMIN' }, ...more }), worldOf({ ADMIN: admin }))
const onlyFirst = [{ id: first.id, status: 'ACTIVE' }]

beforeEach(() => okta.faults.clear())
afterAll(() => okta.stop())

rotatorConformance('okta-client-secret', async () => {
  const own = await startOkta()
  return {
    config: { rotator: 'okta-client-secret', org: own.origin, app: own.appId, admin: { env: 'ADMIN' } },
    env: { ADMIN: own.adminToken },
    first: { clientSecret: own.firstSecret.value },
    templates: { OKTA_CLIENT_SECRET: '{clientSecret}' },
    login: async ({ OKTA_CLIENT_SECRET: secret = '' }) => {
      const body = new URLSearchParams({ grant_type: 'client_credentials', client_id: own.appId, client_secret: secret })
      return (await fetch(`${own.origin}/oauth2/v1/token`, { method: 'POST', body })).ok
    },
    live: async () => own.secrets().length,
    close: () => own.stop(),
  }
})

test('the secret that was proposed is made once, however often, works beside the old one, and ends.', async () => {
  const [rotator, call] = [open(), callOf()]
  expect(await rotator.check(call, first)).toEqual([])
  const proposed = await rotator.propose!(call, first)
  okta.faults.next('createSecret', 'drop')
  expect(await rotator.create(call, proposed, first).then(() => 'done', kindOf)).toBe('uncertain')
  const made = await rotator.create(call, proposed, first)
  expect(await rotator.create(call, proposed, first)).toEqual(made)
  expect(made).toMatchObject({ id: expect.stringMatching(/^ocs/), parts: proposed.parts })
  expect(okta.secrets()).toHaveLength(2)
  for (const secret of [first, made]) expect(await rotator.verify(call, secret)).toMatchObject({ works: true })
  for (const _ of [1, 2]) await rotator.disable!(call, made)
  expect(await rotator.verify(call, made)).toMatchObject({ works: false, later: false })
  for (const _ of [1, 2]) await rotator.enable!(call, made)
  expect(await rotator.verify(call, made)).toMatchObject({ works: true })
  for (const _ of [1, 2]) await rotator.revoke(call, made, first)
  expect(okta.secrets()).toEqual(onlyFirst)
})

test('a proposal that is given up is ended by its value, also where its id was never heard.', async () => {
  const [rotator, call] = [open(), callOf()]
  const proposed = await rotator.propose!(call, first)
  await rotator.revoke(call, proposed, first)
  await rotator.create(call, proposed, first)
  okta.faults.next('deleteSecret', 'drop')
  await expect(rotator.revoke(call, proposed, first)).rejects.toMatchObject({ code: 'ERR_OUTSIDE_UNCERTAIN' })
  await rotator.revoke(call, proposed, first)
  expect(okta.secrets()).toEqual(onlyFirst)
})

test('an application with two secrets is found before anything changes, a third is refused by its cause.', async () => {
  const [rotator, call] = [open(), callOf()]
  const made = await rotator.create(call, await rotator.propose!(call, first), first)
  expect(await rotator.check(call, first)).toMatchObject([{ severity: 'fault' }])
  const error = await rotator.create(call, await rotator.propose!(call, first), first).catch((each: unknown) => each)
  expect([kindOf(error), String(error)]).toEqual(['refused', expect.stringContaining('E0000001.too-many-client-secrets')])
  await rotator.revoke(call, made, first)
})

test('the only active secret is not ended.', async () => {
  const error = await open()
    .revoke(callOf(), first, null)
    .catch((each: unknown) => each)
  expect([kindOf(error), String(error)]).toEqual(['refused', expect.stringContaining('E0000001.only-active-client-secret')])
  expect(okta.secrets()).toEqual(onlyFirst)
})

test('the secret in use is known by its value.', async () => {
  const [rotator, call] = [open(), callOf()]
  expect(await rotator.adopt!(call, { clientSecret: first.parts.clientSecret })).toEqual(first)
  const error = await rotator.adopt!(call, { clientSecret: 'of another application' }).catch((each: unknown) => each)
  expect([kindOf(error), String(error).includes('of another application,')]).toEqual(['refused', false])
})

test('a login that may not log in by itself has shown a good secret; a wrong secret is refused before that.', async () => {
  const [rotator, call] = [open(), callOf()]
  okta.faults.next('token', { status: 400, body: { error: 'unauthorized_client' } })
  expect(await rotator.verify(call, first)).toMatchObject({ works: true, sentence: expect.stringContaining('unauthorized_client') })
  expect(await rotator.verify(call, { id: null, parts: { clientSecret: 'wrong' } })).toMatchObject({ works: false, later: false })
})

test('a token that is refused, and an application that is not there, are found before anything changes.', async () => {
  const [wrong] = await open({}, '00wrong-token').check(callOf(), first)
  expect(wrong).toMatchObject({ severity: 'fault', sentence: expect.stringContaining('401, E0000011') })
  expect(wrong?.sentence).not.toContain('00wrong-token')
  expect(await open({ app: '0oanone' }).check(callOf(), null)).toMatchObject([{ sentence: expect.stringContaining('E0000007') }])
})

test('options that cannot be right are refused, and what stood there is not repeated.', () => {
  const right = { org: 'https://example.okta.com', app: '0oa1', admin: { env: 'ADMIN' } }
  expect(options.safeParse(right).success).toBe(true)
  for (const wrong of [{ admin: '00s3cret' }, { app: '../0oa1' }, { tokenPath: '/token' }, { org: 'https://me:s3cret@example.com' }]) {
    const { success, error } = options.safeParse({ ...right, ...wrong })
    expect([wrong, success, JSON.stringify(error?.issues).includes('s3cret')]).toEqual([wrong, false, false])
  }
})

test('a page of a proxy is no sign that a secret works, and the secret that remains is not ended.', async () => {
  const [rotator, call] = [open(), callOf()]
  okta.faults.next('token', { status: 200, body: '<html>Sign in to the network</html>' })
  expect(await rotator.verify(call, first).then(() => 'done', kindOf)).toBe('uncertain')
  const made = await rotator.create(call, await rotator.propose!(call, first), first)
  for (const known of [made, { ...made, id: null }])
    expect(await rotator.revoke(call, known, made).then(() => 'done', kindOf)).toBe('refused')
  expect(await rotator.verify(call, made)).toMatchObject({ works: true })
  await rotator.revoke(call, made, first)
})
