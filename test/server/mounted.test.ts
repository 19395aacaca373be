import fastify from 'fastify'
import { expect, test } from 'vitest'
import { open } from '../../packages/core/src/open.ts'
import { keyturnServer } from '../../packages/server/src/plugin.ts'
import { createPglite } from '../harness/pglite.ts'
import { apiAt, authorize, config, fill, keys, useServer } from './world.ts'

const world = useServer(30, { options: { prefix: '/internal/keys' } })

test('The server stands below a prefix of an application’s Fastify, which goes on with its own routes, errors and checks.', async () => {
  const { app, api } = world
  const own = api.url.replace('/internal/keys', '')
  expect((await api.get('/v1/keyrings')).body.items).toHaveLength(1)
  const { headers, body } = await api.post('/v1/rotations', { keyring: 'app' })
  expect(headers.get('location')).toBe(`/internal/keys/v1/rotations/${body.id}`)
  expect((await api.get('/openapi.json')).body.servers).toEqual([{ url: '/internal/keys' }])
  const redirect = await api.ask('GET', '/admin/encryption', undefined, { role: null })
  expect({ status: redirect.status, location: redirect.headers.get('location') }).toEqual({ status: 302, location: '/internal/keys/keys' })
  const outside = await apiAt(own).get('/v1/keyrings')
  expect({ status: outside.status, policy: outside.headers.get('content-security-policy') }).toEqual({ status: 404, policy: null })
  expect(app.hasDecorator('keyturn')).toBe(false)
  await api.until(`/v1/rotations/${body.id}`, ({ state }) => state === 'completed')
})

test('The application says who makes a request; there are no users of ours, and a cookie alone changes nothing.', async () => {
  const { api } = world
  expect((await api.get('/v1/session')).body).toEqual({ user: { id: 'admin', name: 'admin', role: 'admin' }, token: null, setup: false })
  expect((await api.ask('GET', '/v1/session', undefined, { role: null })).body).toEqual({ user: null, token: null, setup: false })
  expect((await api.post('/v1/session', { name: 'ada', password: 'x' })).status).toBe(404)
  expect((await api.get('/v1/users')).status).toBe(404)
  // The application of this test knows who it is by the header; another one would know it by its cookie.
  const other = fastify()
  await other.register(keyturnServer, {
    pool: world.database.pool,
    keyturn: world.keyturn,
    console: null,
    authorize: ({ headers }) =>
      headers.cookie === 'of=ada' ? { actor: 'user:ada', role: 'admin', kind: 'application', id: '1', name: 'ada' } : null,
  })
  const send = async (headers: Record<string, string>) =>
    (await other.inject({ method: 'POST', url: '/v1/verify', headers: { cookie: 'of=ada', ...headers }, payload: {} })).statusCode
  expect(await send({})).toBe(403)
  expect(await send({ 'x-keyturn': '1', 'sec-fetch-site': 'cross-site' })).toBe(403)
  expect(await send({ 'x-keyturn': '1', 'sec-fetch-site': 'same-origin' })).toBe(202)
  expect((await other.inject({ url: '/v1/keyrings', headers: { cookie: 'of=ada' } })).statusCode).toBe(200)
  await other.close()
})

test('The routes that other products have ask for the role of an operator.', async () => {
  const { api } = world
  const ask = async (role: 'viewer' | 'operator' | null) => (await api.ask('GET', '/v1/admin/encryption', undefined, { role })).status
  expect([await ask(null), await ask('viewer'), await ask('operator')]).toEqual([401, 403, 200])
})

test('Without saying who makes requests, or who may, nothing is mounted.', async () => {
  const app = fastify()
  const options = { pool: world.database.pool, keyturn: world.keyturn, console: null, authorize: null as never }
  await expect(app.register(keyturnServer, options)).rejects.toMatchObject({ code: 'ERR_USAGE' })
})

test('On an embedded database the same server counts, rotates and retires.', async () => {
  const pglite = await createPglite()
  await pglite.exec('CREATE TABLE tokens (id text PRIMARY KEY, token text, note text)')
  const keyturn = await open(config, { pglite, env: keys, warn: () => {} })
  const pool = { query: (text: string, values?: unknown[]) => pglite.query(text, values) }
  await fill(pool as never, keyturn, 40)
  const app = fastify({ forceCloseConnections: true })
  await app.register(keyturnServer, { pglite, keyturn, authorize, console: null, throttle: { share: 1 }, wakeMs: 1_000 })
  const api = apiAt(await app.listen({ port: 0, host: '127.0.0.1' }))
  try {
    const { id } = (await api.post('/v1/rotations', { keyring: 'app' })).body
    const done = await api.until(`/v1/rotations/${id}`, ({ state, live }) => state === 'completed' && !live)
    expect(done).toMatchObject({ rotated: 60, hasCertificate: true })
    await api.post('/v1/census', { keyring: 'app' })
    await api.until('/v1/census', (body) => body.censuses[0].at !== null)
    const { versions } = (await api.get('/v1/keyrings/app')).body
    const begun = await api.post(
      `/v1/keyrings/app/versions/${versions.find(({ state }: { state: string }) => state === 'retiring').id}/retire`,
    )
    expect(await api.until(begun.headers.get('location') ?? '', ({ state }) => state !== 'running')).toMatchObject({ state: 'done' })
  } finally {
    await app.close()
    await keyturn.close()
    await pglite.close()
  }
})
