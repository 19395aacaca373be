import { expect, test } from 'vitest'
import type { Role } from '../../packages/server/src/access.ts'
import { routes } from '../../packages/server/src/routes/all.ts'
import { useServer } from './world.ts'

const world = useServer(4)

/** Roles that may not do what a route does. */
const below: Record<Role, readonly Role[]> = { viewer: [], operator: ['viewer'], admin: ['viewer', 'operator'] }
const pathOf = (path: string) => path.replace(':name', 'app').replaceAll(':id', 'none')
const changes = routes.filter(({ method }) => method !== 'GET')
const facts = async () => {
  const { rows } = await world.database.pool.query(
    `SELECT (SELECT count(*) FROM keyturn.audit_event) AS events, (SELECT count(*) FROM keyturn.rotation) AS rotations,
       (SELECT count(*) FROM keyturn.operation) AS operations, (SELECT count(*) FROM keyturn.key_version) AS versions`,
  )
  return rows[0]
}

test('Every route says who may use it, and answers nobody else: before it says whether there is anything, and before it reads anything.', async () => {
  const { api } = world
  const before = await facts()
  for (const { method, path, role } of routes) {
    expect(['viewer', 'operator', 'admin'], path).toContain(role)
    const nobody = await api.ask(method, pathOf(path), method === 'GET' ? undefined : 'no json', { role: null })
    expect({ path, status: nobody.status, code: nobody.body.code }).toEqual({ path, status: 401, code: 'ERR_UNAUTHORIZED' })
    expect(nobody.headers.get('content-type')).toContain('application/problem+json')
    for (const lower of below[role as Role]) {
      const refused = await api.ask(method, pathOf(path), method === 'GET' ? undefined : 'no json', { role: lower })
      expect({ path, lower, status: refused.status, code: refused.body.code }).toEqual({ path, lower, status: 403, code: 'ERR_FORBIDDEN' })
    }
  }
  for (const path of ['/v1', '/v1/nothing', '/v1/rotations/1/2/3', '/metrics', '/docs', '/openapi.json']) {
    const { status } = await api.ask('GET', path, undefined, { role: null })
    if (path !== '/v1') expect({ path, status }).toEqual({ path, status: 401 })
  }
  expect(await api.get('/v1/nothing')).toMatchObject({ status: 404, body: { code: 'ERR_NOT_FOUND' } })
  expect(await facts()).toEqual(before)
})

test('Every route that changes something refuses what it does not know, wrong types and too much, names the member, and changes nothing.', async () => {
  const { api } = world
  const before = await facts()
  for (const { method, path } of changes) {
    const ask = (body: unknown) => api.ask(method, pathOf(path), body)
    expect(await ask({ surprise: 1 }), path).toMatchObject({ status: 400, body: { code: 'ERR_INPUT' } })
    expect(await ask([]), path).toMatchObject({ status: 400, body: { code: 'ERR_INPUT', field: '' } })
    expect(await ask('{"a":'), path).toMatchObject({ status: 400, body: { code: 'ERR_INPUT', field: '' } })
    expect(await ask(`"${'x'.repeat(1_100_000)}"`), path).toMatchObject({ status: 413, body: { code: 'ERR_INPUT' } })
    const text = await api.ask(method, pathOf(path), 'surprise=1', { headers: { 'content-type': 'text/plain' } })
    expect(text, path).toMatchObject({ status: 415, body: { code: 'ERR_INPUT' } })
  }
  expect(await facts()).toEqual(before)
})

const wrong = [
  ['POST', '/v1/rotations', { keyring: 'app', mode: 'both' }, '/mode'],
  ['POST', '/v1/rotations', { keyring: 7 }, '/keyring'],
  ['POST', '/v1/rotations', { keyring: 'app', plan: { format: 'keyturn/plan/1' } }, '/plan'],
  ['POST', '/v1/rotations', { keyring: 'app', fields: ['x'.repeat(200)] }, '/fields/0'],
  ['POST', '/v1/rotations', { keyring: 'app', toString: 1 }, '/toString'],
  ['POST', '/v1/plans', { keyring: 'app', newVersion: 'yes' }, '/newVersion'],
  ['POST', '/v1/census', {}, '/keyring'],
  ['POST', '/v1/verify', { keyring: 'x'.repeat(129) }, '/keyring'],
  ['POST', '/v1/root/rewrap', { keyring: 'app', drop: '' }, '/drop'],
  ['POST', '/v1/keyrings/app/versions/x/retire', { acceptSetAside: -1 }, '/acceptSetAside'],
  ['POST', '/v1/keyrings/app/versions/x/destroy', { confirm: true }, '/confirm'],
  ['GET', '/v1/rotations?limit=0', undefined, '/limit'],
  ['GET', '/v1/rotations?limit=201', undefined, '/limit'],
  ['GET', '/v1/rotations?state=asleep', undefined, '/state'],
  ['GET', '/v1/keyrings?after=nowhere', undefined, '/after'],
  ['GET', '/v1/audit?from=yesterday', undefined, '/from'],
  ['GET', '/v1/audit?surprise=1', undefined, '/surprise'],
] as const

test('What is wrong with a request is named by its pointer.', async () => {
  for (const [method, path, body, field] of wrong) {
    const { status, body: problem } = await world.api.ask(method, path, body)
    expect({ path, status, code: problem.code, field: problem.field }).toEqual({ path, status: 400, code: 'ERR_INPUT', field })
  }
})

const missing = [
  ['GET', '/v1/keyrings/ap', undefined],
  ['GET', '/v1/rotations/none', undefined],
  ['GET', '/v1/rotations/none/events', undefined],
  ['POST', '/v1/rotations/none/pause', {}],
  ['POST', '/v1/rotations/none/resume', {}],
  ['GET', '/v1/operations/none', undefined],
  ['POST', '/v1/census', { keyring: 'ap' }],
  ['GET', '/v1/secrets/none', undefined],
  ['POST', '/v1/secrets/none/runs', {}],
  ['POST', '/v1/secrets/sync', {}],
  ['GET', '/v1/runs/none/events', undefined],
  ['POST', '/v1/runs/none/rollback', { confirm: 'none' }],
  ['POST', '/v1/rotations', { keyring: 'ap' }],
  ['POST', '/v1/keyrings/app/versions/none/retire', {}],
] as const

test('What a request names and is not there is answered 404.', async () => {
  for (const [method, path, body] of missing)
    expect(await world.api.ask(method, path, body), path).toMatchObject({ status: 404, body: { code: 'ERR_UNKNOWN_NAME' } })
})

test('The same Idempotency-Key with the same body is done once and answered alike; with another body it is refused.', async () => {
  const { api } = world
  const send = (body: object, key = 'once', role: Role = 'admin') =>
    api.ask('POST', '/v1/rotations', body, { role, headers: { 'idempotency-key': key } })
  const first = await send({ keyring: 'app' })
  expect(first.status).toBe(202)
  await api.until(`/v1/rotations/${first.body.id}`, ({ state, live }) => state === 'completed' && !live)
  const again = await send({ keyring: 'app' })
  expect(again).toMatchObject({ status: 202, body: { id: first.body.id } })
  expect(again.headers.get('idempotency-replayed')).toBe('true')
  expect(again.headers.get('location')).toBe(first.headers.get('location'))
  expect((await api.get('/v1/rotations')).body.items).toHaveLength(1)
  expect(await send({ keyring: 'app', mode: 'online' })).toMatchObject({ status: 422, body: { code: 'ERR_IDEMPOTENCY_KEY' } })
  expect(await send({ keyring: 'app' }, 'with a space')).toMatchObject({ status: 400, body: { field: '/Idempotency-Key' } })
  // A refusal is answered again as well; and another actor has keys of its own.
  expect(await send({ keyring: 'ap' }, 'refused')).toMatchObject({ status: 404 })
  expect((await send({ keyring: 'ap' }, 'refused')).headers.get('idempotency-replayed')).toBe('true')
  expect((await send({ keyring: 'ap' }, 'refused', 'operator')).headers.get('idempotency-replayed')).toBeNull()
})

test('Without secrets in the configuration there are none, and the server is whole.', async () => {
  const { api } = world
  expect((await api.get('/v1/secrets')).body).toEqual({ items: [], next: null })
  expect((await api.get('/v1/secrets/sync')).body).toEqual({ items: [] })
  expect(Object.keys((await api.get('/health')).body.components)).not.toContain('secrets')
})

test('Lists come in pages.', async () => {
  const { api } = world
  const first = (await api.get('/v1/fields?limit=1')).body
  const second = (await api.get(`/v1/fields?limit=1&after=${first.next}`)).body
  expect([first, second].map(({ items }) => items[0].name)).toEqual(['tokens.token', 'tokens.note'])
  expect(second.next).toBeNull()
  expect(first.items[0]).toMatchObject({ place: 'tokens.token', table: 'tokens', column: 'token', path: null, bound: ['id'], findings: [] })
  expect(second.items[0]).toMatchObject({ bound: [], findings: [expect.stringContaining('bound to nothing')] })
  for (const action of ['report.read', 'report.sent'])
    await world.keyturn.audit.record({ actor: 'user:ada', action, subject: 'keyring/app', data: {} })
  const events = (await api.get('/v1/audit?limit=1')).body
  const [earlier] = (await api.get(`/v1/audit?limit=1&after=${events.next}`)).body.items
  expect(earlier.seq).toBe(events.items[0].seq - 1)
  const exported = (await api.get('/v1/audit/export')).body as string
  expect(exported.trimEnd().split('\n')).toHaveLength(events.items[0].seq)
  expect((await api.post('/v1/root/rewrap', { keyring: 'app' })).body).toMatchObject({ dropped: 0, roots: [expect.any(String)] })
})
