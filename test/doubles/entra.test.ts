import { afterAll, beforeEach, expect, test } from 'vitest'
import { type EntraApplication, startEntra } from './entra.ts'

const entra = await startEntra()
const graph = 'https://graph.microsoft.com/.default'
const { app, admin } = entra

beforeEach(() => {
  Object.assign(entra.rules, { lag: { accept: [0], refuse: [0] }, removeUnknown: 400 })
})
afterAll(() => entra.stop())

/** The answer of the token endpoint. */
const login = async ({ appId }: EntraApplication, client_secret: string, scope = entra.api.scope) => {
  const body = new URLSearchParams({ grant_type: 'client_credentials', client_id: appId, client_secret, scope })
  const response = await fetch(`${entra.origin}/${entra.tenant}/oauth2/v2.0/token`, { method: 'POST', body })
  return { status: response.status, body: JSON.parse(await response.text()) }
}
const statuses = async (secret: string, calls: number) => {
  const found: number[] = []
  for (let call = 0; call < calls; call++) found.push((await login(app, secret)).status)
  return found
}
const token = (await login(admin, admin.secret, graph)).body.access_token
/** The answer of Graph for an application, named as in the path. */
const call = async (method: string, path: string, body?: object, bearer = token) => {
  const headers = { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' }
  const response = await fetch(`${entra.origin}/v1.0/applications${path}`, { method, headers, ...(body && { body: JSON.stringify(body) }) })
  const text = await response.text()
  return { status: response.status, body: text === '' ? null : JSON.parse(text) }
}
const add = async (passwordCredential: object = { displayName: 'rot-1' }) =>
  (await call('POST', `/${app.objectId}/addPassword`, { passwordCredential })).body
const remove = (keyId: string) => call('POST', `/${app.objectId}/removePassword`, { keyId })

test('a secret is shown once; afterwards Graph has its name, its first three characters and its end, two years away', async () => {
  const made = await add()
  expect(made).toMatchObject({ displayName: 'rot-1', hint: made.secretText.slice(0, 3), customKeyIdentifier: null })
  expect(Date.parse(made.endDateTime) - Date.parse(made.startDateTime)).toBe(730 * 86_400_000)
  const { body } = await call('GET', `/${app.objectId}?$select=id,appId,passwordCredentials`)
  expect(body.passwordCredentials).toContainEqual({ ...made, secretText: null })
  await remove(made.keyId)
})

test('the path takes the object id, or the client id as a key; a client id in place of the object id is not found', async () => {
  expect((await call('GET', `/${app.objectId}`)).body.appId).toBe(app.appId)
  expect((await call('GET', `(appId='${app.appId}')`)).body.id).toBe(app.objectId)
  expect(await call('GET', `/${app.appId}`)).toMatchObject({ status: 404, body: { error: { code: 'Request_ResourceNotFound' } } })
})

test('several secrets work beside each other, and the API takes the tokens', async () => {
  const made = await add()
  for (const secret of [app.secret, made.secretText]) {
    const { body } = await login(app, secret)
    const response = await fetch(entra.api.url, { headers: { authorization: `Bearer ${body.access_token}` } })
    expect(await response.json()).toEqual({ appId: app.appId })
  }
  await remove(made.keyId)
})

test('a new secret is refused for some calls, and then by some replicas only: a success is followed by a failure', async () => {
  entra.rules.lag.accept = [2, 6]
  const made = await add()
  expect(await statuses(made.secretText, 8)).toEqual([401, 401, 200, 401, 200, 401, 200, 200])
  await remove(made.keyId)
})

test('a secret that is not known and one that has expired are refused with different codes', async () => {
  expect(await login(app, 'wrong')).toMatchObject({ status: 401, body: { error: 'invalid_client', error_codes: [7000215] } })
  const made = await add({ displayName: 'short', endDateTime: new Date(Date.now() + 86_400_000).toISOString() })
  expect((await login(app, made.secretText)).status).toBe(200)
  entra.advance(2)
  const { status, body } = await login(app, made.secretText)
  expect([status, body.error_codes, body.error_description]).toEqual([401, [7000222], expect.stringMatching(/^AADSTS7000222: /)])
  expect(entra.live()).not.toContain(made.keyId)
  entra.advance(-2)
})

test('a removed secret ends, at some replicas later, and tokens already issued stay', async () => {
  const made = await add()
  const { body } = await login(app, made.secretText)
  entra.rules.lag.refuse = [0, 2]
  expect((await remove(made.keyId)).status).toBe(204)
  expect(await statuses(made.secretText, 4)).toEqual([401, 200, 401, 401])
  expect((await fetch(entra.api.url, { headers: { authorization: `Bearer ${body.access_token}` } })).status).toBe(200)
})

test.each([400, 404] as const)('removing a key id that is not there is an error: %i', async (status) => {
  entra.rules.removeUnknown = status
  expect((await remove('6c1ac0e2-0000-4000-8000-000000000000')).status).toBe(status)
})

test('secrets are not set by a change of the application', async () => {
  expect((await call('PATCH', `/${app.objectId}`, { passwordCredentials: [] })).status).toBe(400)
})

test('an application without rights is refused by Graph, and a token for another resource too', async () => {
  const own = (await login(app, app.secret, graph)).body.access_token
  expect((await call('GET', `/${app.objectId}`, undefined, own)).status).toBe(403)
  const other = (await login(admin, admin.secret)).body.access_token
  expect((await call('GET', `/${app.objectId}`, undefined, other)).status).toBe(401)
})

test('an answer that is lost leaves a secret behind that only its name tells', async () => {
  entra.faults.next('addPassword', 'drop')
  await expect(add({ displayName: 'rot-lost' })).rejects.toThrow()
  const { body } = await call('GET', `/${app.objectId}`)
  const lost = body.passwordCredentials.find(({ displayName }: { displayName: string }) => displayName === 'rot-lost')
  expect(entra.calls.find(({ fault }) => fault === 'drop')?.ids).toContain(lost.keyId)
  expect(JSON.stringify(entra.calls)).not.toContain(app.secret)
})
