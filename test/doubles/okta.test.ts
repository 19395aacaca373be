import { afterAll, expect, test } from 'vitest'
import { startOkta } from './okta.ts'

const okta = await startOkta()
afterAll(() => okta.stop())

/** Status and JSON of a call. */
const call = async (method: string, path: string, body?: object, token = okta.adminToken) => {
  const headers = { authorization: `SSWS ${token}`, 'content-type': 'application/json' }
  const response = await fetch(okta.origin + path, { method, headers, ...(body && { body: JSON.stringify(body) }) })
  const text = await response.text()
  return { status: response.status, body: text === '' ? null : JSON.parse(text) }
}
const secrets = `/api/v1/apps/${okta.appId}/credentials/secrets`
const me = async (token: string) => (await call('GET', '/api/v1/users/me', undefined, token)).status
const login = async (client_secret: string) => {
  const body = new URLSearchParams({ grant_type: 'client_credentials', client_id: okta.appId, client_secret, scope: 'app.read' })
  return (await fetch(`${okta.origin}/oauth2/default/v1/token`, { method: 'POST', body })).status
}

test('no API makes an API token: 405; what a person made is found by its name and works', async () => {
  expect((await call('POST', '/api/v1/api-tokens', { name: 'rot-1' })).status).toBe(405)
  const { id, value } = okta.makeToken('rot-1')
  const { body } = await call('GET', '/api/v1/api-tokens')
  expect(body).toContainEqual(expect.objectContaining({ id, name: 'rot-1', tokenWindow: 'P30D', clientName: 'Okta API' }))
  expect(JSON.stringify(body)).not.toContain(value)
  expect(await me(value)).toBe(200)
})

test('a token is ended by its id, and one that has ended already is not found', async () => {
  const { id, value } = okta.makeToken('over')
  expect((await call('DELETE', `/api/v1/api-tokens/${id}`)).status).toBe(204)
  expect(await call('GET', '/api/v1/users/me', undefined, value)).toMatchObject({
    status: 401,
    body: { errorCode: 'E0000011', errorSummary: 'Invalid token provided', errorCauses: [] },
  })
  expect(await call('DELETE', `/api/v1/api-tokens/${id}`)).toMatchObject({ status: 404, body: { errorCode: 'E0000007' } })
})

test('a token can end itself', async () => {
  const { value } = okta.makeToken('itself')
  expect((await call('DELETE', '/api/v1/api-tokens/current', undefined, value)).status).toBe(204)
  expect(await me(value)).toBe(401)
})

test('a token that nobody uses for thirty days ends; every use moves the end', async () => {
  const [used, unused] = [okta.makeToken('used'), okta.makeToken('unused')]
  okta.advance(20)
  expect([await me(used.value), await me(okta.adminToken)]).toEqual([200, 200])
  okta.advance(20)
  expect([await me(used.value), await me(unused.value), await me(okta.adminToken)]).toEqual([200, 401, 200])
  expect(okta.tokens()).not.toContain(unused.id)
})

test('there are two client secrets at most, whatever their status, and both work while active', async () => {
  const made = await call('POST', secrets, {})
  expect(made).toMatchObject({ status: 201, body: { id: expect.stringMatching(/^ocs/), status: 'ACTIVE' } })
  expect([await login(made.body.client_secret), await login(okta.firstSecret.value)]).toEqual([200, 200])
  const third = { status: 400, body: { errorCode: 'E0000001', errorSummary: 'Api validation failed: OAuth2ClientSecretMediated' } }
  const cause = { errorCauses: [{ errorSummary: "You've reached the maximum number of client secrets per client." }] }
  expect(await call('POST', secrets, {})).toMatchObject({ ...third, body: { ...third.body, ...cause } })
  await call('POST', `${secrets}/${made.body.id}/lifecycle/deactivate`)
  expect(await call('POST', secrets, {})).toMatchObject(third)
  expect(await login(made.body.client_secret)).toBe(401)
  expect((await call('DELETE', `${secrets}/${made.body.id}`)).status).toBe(204)
})

test('an active client secret is not deleted, and the only active one not deactivated', async () => {
  const active = await call('DELETE', `${secrets}/${okta.firstSecret.id}`)
  expect(active.body.errorCauses[0].errorSummary).toBe(
    "You can't delete an active client secret. Deactivate the secret before deleting it.",
  )
  const only = await call('POST', `${secrets}/${okta.firstSecret.id}/lifecycle/deactivate`)
  expect(only.body.errorCauses[0].errorSummary).toBe("You can't deactivate the only active client secret.")
  expect([active, only].map(({ status, body }) => [status, body.errorCode])).toEqual([
    [400, 'E0000001'],
    [400, 'E0000001'],
  ])
})

test('a client secret is shown in clear, also after deactivation, and can be activated again', async () => {
  const mine = 'chosen by ourselves, 32 or more letters'
  const made = await call('POST', secrets, { client_secret: mine })
  await call('POST', `${secrets}/${made.body.id}/lifecycle/deactivate`)
  expect((await call('GET', `${secrets}/${made.body.id}`)).body).toMatchObject({ status: 'INACTIVE', client_secret: mine })
  await call('POST', `${secrets}/${made.body.id}/lifecycle/activate`)
  expect(await login(mine)).toBe(200)
  expect(okta.secrets()).toEqual([
    { id: okta.firstSecret.id, status: 'ACTIVE' },
    { id: made.body.id, status: 'ACTIVE' },
  ])
})

test('a rate limit says when it ends', async () => {
  okta.faults.next('me', { status: 429, headers: { 'x-rate-limit-reset': '1800000000' } })
  const headers = { authorization: `SSWS ${okta.adminToken}` }
  const response = await fetch(`${okta.origin}/api/v1/users/me`, { headers })
  expect(response.headers.get('x-rate-limit-reset')).toBe('1800000000')
  expect(await response.json()).toMatchObject({ errorCode: 'E0000047' })
})
