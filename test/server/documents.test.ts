import { Validator } from '@seriousme/openapi-schema-validator'
import { OpenAPIClientAxios } from 'openapi-client-axios'
import { expect, test } from 'vitest'
import { useServer } from './world.ts'

const world = useServer(20)

test('The OpenAPI document is valid, and names every route with its role.', async () => {
  const { body } = await world.api.get('/openapi.json')
  const { valid, errors } = await new Validator().validate(structuredClone(body))
  expect({ valid, errors }).toEqual({ valid: true, errors: undefined })
  expect(body.openapi).toBe('3.1.0')
  expect(body.paths['/v1/rotations/{id}/pause'].post).toMatchObject({ 'x-keyturn-role': 'operator' })
  expect(Object.keys(body.paths)).toContain('/v1/session')
})

test('A client that knows nothing but the OpenAPI document goes through a rotation.', async () => {
  const { body: definition } = await world.api.get('/openapi.json')
  const maker = new OpenAPIClientAxios({
    definition: { ...definition, servers: [{ url: world.api.url }] },
    axiosConfigDefaults: { headers: { authorization: 'Bearer operator' }, adapter: 'fetch' },
  })
  const client = await maker.init()
  const call = async (operation: string, params: object | null = null, body?: object) =>
    (await (client as unknown as Record<string, (...given: unknown[]) => Promise<{ data: never }>>)[operation]?.(params, body))
      ?.data as never
  const keyrings: { items: { name: string }[] } = await call('get_keyrings')
  const keyring = keyrings.items[0]?.name
  const plan = await call('post_plans', null, { keyring })
  const { id }: { id: string } = await call('post_rotations', null, { keyring, plan })
  const state = async () => ((await call('get_rotations_by_id', { id })) as { state: string }).state
  await expect.poll(state).toBe('completed')
  expect(await call('get_rotations_by_id_set_aside', { id })).toEqual({ items: [], next: null, total: 0 })
  expect((await call('get_audit', { limit: 3, action: 'rotation.complete' })) as object).toMatchObject({
    items: [{ actor: 'user:operator' }],
  })
})

test('The API is a page as well, without a script.', async () => {
  const { body, headers } = await world.api.get('/docs')
  expect(headers.get('content-type')).toContain('text/html')
  expect(body).toContain('/v1/rotations/:id/set-aside')
  expect(body).not.toContain('<script')
  expect((await world.api.get('/docs.css')).headers.get('content-type')).toContain('text/css')
})

test('Measurements: values by state of their key, rotations, the age of the key, the event loop and the pool.', async () => {
  await world.api.post('/v1/census', { keyring: 'app' })
  await world.api.until('/v1/census', (body) => body.censuses[0].at !== null)
  await expect
    .poll(async () => (await world.api.get('/metrics')).body as string)
    .toContain('keyturn_values{keyring="app",field="tokens.token",state="active"} 20')
  const { body, headers } = await world.api.get('/metrics')
  expect(headers.get('content-type')).toContain('text/plain')
  for (const name of ['active_key_age_seconds', 'overdue', 'due', 'event_loop_delay_seconds', 'pool_connections', 'event_streams'])
    expect(body).toContain(`keyturn_${name}`)
})

test('Health is for anyone, and says of a failing database only that it fails.', async () => {
  expect(await world.api.ask('GET', '/health', undefined, { role: null })).toMatchObject({
    status: 200,
    body: { status: 'ok', components: { database: 'ok', keyrings: 'ok' } },
  })
})
