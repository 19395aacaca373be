import { expect, test } from 'vitest'
import { roles } from '../../packages/server/src/access.ts'
import { type Mounted, names, useWorld } from './server-world.ts'

const world = useWorld()
const below = (role: Mounted['role']) => roles.slice(0, Math.max(0, roles.indexOf(role as 'viewer')))
const from = (role: Mounted['role']) => roles.slice(roles.indexOf(role as 'viewer'))
/** What no route takes: whoever is let through is refused for this, and changes nothing. */
const body = { 'no such member': 1 }
const asked = (method: string) => (method === 'GET' || method === 'DELETE' ? {} : { body })
/** With something in place of each parameter. */
const addressOf = (path: string) => path.replaceAll(/:\w+/g, 'nothing').replace('*', 'nothing')
const api = () => world.mounted.filter(({ method, role }) => role !== undefined && method !== 'HEAD' && method !== 'OPTIONS')
/** What more than looking is, by the contract of the API; everything else is a viewer's. */
const wanted: Record<string, string> = {
  anyone: 'GET /v1/session, POST /v1/session, POST /v1/setup, GET /health',
  operator: `POST /v1/keyrings/:name/versions/:id/retire, POST /v1/census, POST /v1/plans, POST /v1/rotations, POST /v1/rotations/:id/pause,
    POST /v1/rotations/:id/resume, POST /v1/rotations/:id/cancel, POST /v1/rotations/:id/release, POST /v1/verify, GET /v1/audit/verify, GET /v1/audit/export,
    GET /v1/secrets/sync, POST /v1/secrets/sync, POST /v1/secrets/:name/plan, POST /v1/secrets/:name/runs, POST /v1/runs/:id/provide,
    POST /v1/runs/:id/resume, POST /v1/runs/:id/rollback, POST /v1/runs/:id/revoke, POST /v1/runs/:id/cancel`,
  admin: `POST /v1/keyrings/:name/versions/:id/destroy, POST /v1/root/rewrap, GET /v1/users, POST /v1/users, PATCH /v1/users/:id, DELETE /v1/users/:id,
    GET /v1/tokens, POST /v1/tokens, DELETE /v1/tokens/:id`,
}

test('every route says who may use it, but for the console and the routes that ask by themselves.', () => {
  const silent = world.mounted.filter(({ role, method }) => role === undefined && method !== 'HEAD').map(({ path }) => path)
  expect([...new Set(silent)].sort()).toEqual([
    '/',
    '/*',
    '/admin/encryption',
    '/api/connectors/rotate-keys',
    '/api/connectors/rotate-keys/*',
    '/v1/admin/encryption',
    '/v1/admin/encryption/*',
  ])
  expect(api().length).toBeGreaterThan(35)
  const ofRole = (wanted: string) =>
    api()
      .filter(({ role }) => role === wanted)
      .map(({ method, path }) => `${method} ${path}`)
  for (const [role, list] of Object.entries(wanted)) expect(ofRole(role).sort()).toEqual(list.split(/,\s*/).sort())
})

test('nobody is answered 401 on every other route, before it is said whether there is anything, and before what was sent is read.', async () => {
  for (const { method, path, role } of api()) {
    if (role === 'anyone') continue
    for (const bearer of [undefined, 'kt_nobody', 'a.b.c']) {
      const { status, body, headers } = await world.ask(method, addressOf(path), { ...asked(method), ...(bearer && { bearer }) })
      expect([method, path, status, body.code]).toEqual([method, path, 401, 'ERR_UNAUTHORIZED'])
      expect(headers['content-type']).toMatch(/^application\/problem\+json/)
    }
  }
  expect((await world.ask('GET', '/v1/no/such/thing')).status).toBe(401)
  expect((await world.ask('POST', '/v1/rotations', { headers: { 'content-type': 'application/json' }, body: '{' as never })).status).toBe(
    401,
  )
})

test.each(roles)('the role %s is answered 403 on every route of a higher one, by session and by token.', async (role) => {
  const cookies = await world.signIn(role)
  const higher = api().filter((route) => below(route.role).includes(role))
  expect(higher.length).toBe({ viewer: 29, operator: 9, admin: 0 }[role])
  for (const { method, path } of higher) {
    for (const by of [{ cookies }, { bearer: world.tokens[role] }]) {
      const { status, body } = await world.ask(method, addressOf(path), { ...asked(method), ...by })
      expect([method, path, status, body.code]).toEqual([method, path, 403, 'ERR_FORBIDDEN'])
    }
  }
})

test.each(roles)(
  'the role %s is let through on every route of its own and those below it, and what no route knows is refused.',
  async (role) => {
    for (const { method, path, role: needed } of api()) {
      if (needed === 'anyone' || !from(needed).includes(role)) continue
      const cookies = path === '/v1/session' ? await world.signIn(role) : undefined
      const by = cookies === undefined ? { bearer: world.tokens[role] } : { cookies }
      const { status } = await world.ask(method, addressOf(path), { ...asked(method), ...by })
      expect([method, path, [401, 403].includes(status) || status >= 500]).toEqual([method, path, false])
      if (method === 'POST' || method === 'PATCH') expect([method, path, status]).toEqual([method, path, path.includes('*') ? 404 : 400])
    }
  },
)

test('the routes of other products want an operator.', async () => {
  for (const [method, path] of [
    ['GET', '/v1/admin/encryption'],
    ['POST', '/v1/admin/encryption/rotate'],
    ['POST', '/api/connectors/rotate-keys'],
  ] as const) {
    expect((await world.ask(method, path)).status).toBe(401)
    expect((await world.ask(method, path, { bearer: world.tokens.viewer })).status).toBe(403)
  }
  expect((await world.ask('GET', '/v1/admin/encryption', { bearer: world.tokens.operator })).status).toBe(200)
})

test('nobody takes a higher role by what they send.', async () => {
  const bearer = world.tokens.viewer
  const tries = [
    { headers: { 'x-forwarded-user': 'ada', 'x-remote-user': 'ada', 'x-role': 'admin' } },
    { headers: { 'x-http-method-override': 'GET', 'x-method-override': 'GET' } },
    { headers: { 'x-original-url': '/health', 'x-rewrite-url': '/health' } },
  ]
  for (const one of tries) expect((await world.ask('POST', '/v1/users', { bearer, body: {}, ...one })).status).toBe(403)
  for (const path of ['/V1/users', '/v1//users', '/v1/users/', '/v1/./users', '/v1/%75sers', '/v1/users;x=1', '//v1/users', '/v1/users%2f'])
    expect([path, [401, 403, 404].includes((await world.ask('GET', path, { bearer })).status)]).toEqual([path, true])
  const cookies = await world.signIn('viewer')
  const me = (await world.ask('GET', '/v1/session', { cookies })).body.user as { id: string }
  expect((await world.ask('PATCH', `/v1/users/${me.id}`, { cookies, body: { role: 'admin' } })).status).toBe(403)
  expect((await world.ask('GET', '/v1/session', { cookies })).body.user).toMatchObject({ name: names.viewer, role: 'viewer' })
})
