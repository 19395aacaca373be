import { expect, test } from 'vitest'
import type { Answered, Asked } from './server-people.ts'
import { passwordOf } from './server-people.ts'
import { useWorld } from './server-world.ts'

const world = useWorld()
/** What a browser says of a request that a page of another server sends; and what it leaves out where it is old. */
const ridden: Record<string, Asked['headers']> = {
  'without our header': { 'x-keyturn': '' },
  'with our header, which says something else': { 'x-keyturn': 'true' },
  'from another site': { 'sec-fetch-site': 'cross-site' },
  'from a neighbour of the same site': { 'sec-fetch-site': 'same-site' },
  'by nobody, as browsers say of what was typed': { 'sec-fetch-site': 'none' },
  'from another origin': { origin: 'https://evil.example' },
  'from our host at another port': { origin: 'http://localhost:81' },
  'from a host that ends like ours': { origin: 'http://evil-localhost' },
  'from no origin, as of a frame in a sandbox': { origin: 'null' },
}
const changing = () => world.mounted.filter(({ method, role }) => ['POST', 'PATCH', 'DELETE', 'PUT'].includes(method) && role !== undefined)
const addressOf = (path: string) => path.replaceAll(/:\w+/g, 'nothing').replace('*', 'nothing')

test.each(Object.entries(ridden))('every route that changes something refuses a cookie %s.', async (_, headers) => {
  const cookies = await world.signIn('admin')
  const routes = changing().filter(({ path, method, role }) => role !== 'anyone' && !(method === 'POST' && path === '/v1/*'))
  expect(routes.length).toBeGreaterThan(18)
  for (const { method, path } of routes) {
    const { status, body } = await world.ask(method, addressOf(path), {
      cookies,
      headers: headers ?? {},
      ...(method === 'DELETE' ? {} : { body: {} }),
    })
    expect([method, path, status, body.code]).toEqual([method, path, 403, 'ERR_FORBIDDEN'])
  }
  for (const path of ['/v1/admin/encryption/rotate', '/api/connectors/rotate-keys'])
    expect((await world.ask('POST', path, { cookies, headers: headers ?? {} })).status).toBe(403)
  expect((await world.ask('GET', '/v1/session', { cookies })).body.user).toMatchObject({ name: 'ada' })
})

test.each(Object.entries(ridden).filter(([, headers]) => headers?.['x-keyturn'] === undefined))(
  'nobody is signed in, or made the first admin, by a request %s.',
  async (_, headers) => {
    const body = { name: 'ada', password: passwordOf('ada') }
    const { status, cookies } = await world.ask('POST', '/v1/session', { body, headers: headers ?? {} })
    expect([status, cookies]).toEqual([403, {}])
    expect((await world.ask('POST', '/v1/setup', { body: { ...body, token: 'x' }, headers: headers ?? {} })).status).toBe(403)
  },
)

test.each<[string, Asked['headers']]>([
  ['of our origin', { 'sec-fetch-site': 'same-origin', origin: 'http://localhost:80' }],
  ['of our origin, where browsers say no more', { origin: 'http://localhost:80' }],
  ['of our origin, behind a proxy that nobody declared', { 'sec-fetch-site': 'same-origin', origin: 'https://keys.example' }],
  ['that says nothing', {}],
])('a page of ours is let through: %s.', async (_, headers) => {
  const cookies = await world.signIn('operator')
  const { status, body } = await world.ask('POST', '/v1/plans', { cookies, headers: headers ?? {}, body: { keyring: 'app' } })
  expect([status, body.code]).toEqual([200, undefined])
})

test.each([
  'text/plain',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=x',
  'application/octet-stream',
  'text/plain; application/json',
  'application/json5',
  '',
])('what a form can send is not read: %s.', async (type) => {
  const bearer = world.tokens.admin
  const before = await world.ask('GET', '/v1/users', { bearer })
  const payload = JSON.stringify({ name: 'eve', role: 'admin', password: passwordOf('eve') })
  const { status } = await world.ask('POST', '/v1/users', { bearer, headers: { 'content-type': type }, body: payload as never })
  expect([400, 415]).toContain(status)
  expect(
    (
      await world.ask('POST', '/v1/session', {
        headers: { 'content-type': type },
        body: JSON.stringify({ name: 'ada', password: passwordOf('ada') }) as never,
      })
    ).cookies,
  ).toEqual({})
  expect((await world.ask('GET', '/v1/users', { bearer })).body).toEqual(before.body)
})

test('no other page is told that it may read or send anything: there is no CORS.', async () => {
  const cookies = await world.signIn('admin')
  const headers = { origin: 'https://evil.example', 'access-control-request-method': 'POST', 'access-control-request-headers': 'x-keyturn' }
  const told: string[] = []
  for (const [method, path] of [
    ['OPTIONS', '/v1/rotations'],
    ['OPTIONS', '/v1/session'],
    ['GET', '/v1/keyrings'],
    ['GET', '/v1/session'],
    ['GET', '/'],
  ] as const) {
    const { headers: answered } = await world.ask(method, path, { cookies, headers })
    told.push(...Object.keys(answered).filter((name) => name.startsWith('access-control-')))
  }
  expect(told).toEqual([])
})

test('a token is no cookie: what it asks for needs no page.', async () => {
  const asked: Answered = await world.ask('POST', '/v1/plans', {
    bearer: world.tokens.operator,
    headers: { 'x-keyturn': '' },
    body: { keyring: 'app' },
  })
  expect(asked.status).toBe(200)
})

test('what a page of another site had a browser send is on record, by the address.', async () => {
  const { rows } = await world.database.pool.query(
    "SELECT sum(count)::int AS count, name FROM keyturn.refusal WHERE reason = 'cross-site' GROUP BY name ORDER BY name",
  )
  const early = await world.database.pool.query("SELECT data FROM keyturn.audit_event WHERE action = 'session.refuse'")
  const counted = rows.map(({ name }) => name).join() + JSON.stringify(early.rows)
  expect(counted).toContain('ada')
})
