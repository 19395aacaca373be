import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Config, defineConfig, env } from '../../packages/core/src/config/config.ts'
import type { Keyturn } from '../../packages/core/src/keyturn.ts'
import { open } from '../../packages/core/src/open.ts'
import { defineSecrets, sealedSecrets } from '../../packages/secrets/src/index.ts'
import type { WireLeak } from '../../packages/server/src/wire/leak.ts'
import { useDatabase } from '../harness/postgres.ts'
import { issue, issuerOf } from '../secrets/parts/issuer.ts'
import { type Api, serving } from './world.ts'

const issued = (id: string, risk: 'critical' | 'low') => ({
  ...{ rotator: { rotator: './test/secrets/parts/issuer.ts', id }, risk, owner: 'platform', grace: '1d' },
  stores: [{ store: './test/secrets/parts/memory-store.ts', id, values: { KEY: 'value is {value}' } }],
  first: { value: env(id === 'leak-pay' ? 'PAY' : 'ADS') },
})
const config: Config = defineConfig({
  refreshMs: 500,
  keyrings: { app: { root: env('ROOT') }, tokens: { root: env('ROOT'), sign: 'ES256' } },
  fields: { ...sealedSecrets('app'), 'tokens.token': { column: 'tokens.token', keyring: 'app', bind: ['id'] } },
  secrets: defineSecrets({ ads: issued('leak-ads', 'low'), pay: issued('leak-pay', 'critical') }),
})
const patiently = { timeout: 60_000 }
const plaintext = 'what the application keeps'

const database = useDatabase()
const environment: Record<string, string> = { ROOT: 'ab'.repeat(32) }
const closing: (() => Promise<unknown>)[] = []
let api: Api
let keyturn: Keyturn

beforeAll(async () => {
  Object.assign(environment, { PAY: issue('leak-pay', null).value, ADS: issue('leak-ads', null).value })
  await database.pool.query('CREATE TABLE tokens (id int PRIMARY KEY, token text)')
  keyturn = await open(config, { pool: database.pool, env: environment, warn: () => {} })
  const served = await serving(database.pool, keyturn, { env: environment })
  api = served.api
  closing.push(
    () => served.app.close(),
    () => keyturn.close(),
  )
})
afterAll(async () => {
  for (const close of closing) await close()
})

const look = async (query: string): Promise<WireLeak> => {
  const { status, body } = await api.ask('GET', `/v1/leaks?${query}`, undefined, { role: 'viewer' })
  expect([query, status]).toEqual([query, 200])
  return body
}
const counted = async () => {
  await api.post('/v1/census', { keyring: 'app' })
  await api.until('/v1/census?keyring=app', ({ censuses: [of] }) => !of.running && of.at !== null)
}
const kinds = (found: WireLeak) => found.mends.map(({ act }) => act?.kind ?? null)

test.each([
  ['', '/key'],
  ['key=app&secret=pay', '/secret'],
  ['key=app&since=2026-11-21', '/since'],
  ['secret=pay&since=yesterday', '/since'],
  [`secret=pay&since=2026-11-21${'0'.repeat(50)}`, '/since'],
  ['key=app&key=tokens', '/key'],
  ['key=', '/key'],
  [`key=${'x'.repeat(331)}`, '/key'],
  ['name=app', '/name'],
])('A question that is none is refused by its pointer: %s', async (query, field) => {
  expect(await api.get(`/v1/leaks?${query}`)).toMatchObject({ status: 400, body: { code: 'ERR_INPUT', field } })
  expect((await api.ask('GET', `/v1/leaks?${query}`, undefined, { role: null })).status).toBe(401)
})

test.each(['key=nothing', 'key=app/nothing', 'key=__proto__', 'key=constructor/x', 'key=/', 'secret=nothing', 'secret=__proto__'])(
  'What is not there is answered 404, and nobody is told so: %s',
  async (query) => {
    expect(await api.get(`/v1/leaks?${query}`)).toMatchObject({ status: 404, body: { code: 'ERR_UNKNOWN_NAME' } })
    expect(await api.ask('GET', `/v1/leaks?${query}`, undefined, { role: null })).toMatchObject({
      status: 401,
      body: { code: 'ERR_UNAUTHORIZED' },
    })
  },
)

test('What an answer offers is done through the routes, one after another, until nothing is exposed any more. No answer holds a value.', async () => {
  for (const id of [1, 2, 3])
    await database.pool.query('INSERT INTO tokens VALUES ($1, $2)', [id, await keyturn.field('tokens.token').encrypt(plaintext, { id })])
  const seen: unknown[] = []
  // Credentials stand under the key once they were rotated.
  for (const name of ['ads', 'pay']) {
    const { id } = (await api.post(`/v1/secrets/${name}/runs`, { leaked: true, confirm: name })).body
    await api.until(`/v1/runs/${id}`, ({ state }) => state === 'completed')
  }
  await counted()
  const [version] = (await api.get('/v1/keyrings/app')).body.versions
  const first = await look('key=app')
  seen.push(first)
  expect(first.subject).toEqual({ kind: 'key', keyring: 'app', versions: [version.id] })
  expect(first.countedAt).toEqual(expect.any(String))
  expect(first.opens.map(({ what, name, risk, values }) => [what, name, risk, values])).toEqual([
    ['field', 'tokens.token', 'critical', 3],
    ['field', 'keyturn.sealed', 'critical', expect.any(Number)],
    ['secret', 'pay', 'critical', null],
    ['secret', 'ads', 'low', null],
  ])
  expect(kinds(first)).toEqual(['rotate-key', 'retire-key', 'rotate-secret', 'rotate-secret'])

  const { id } = (await api.post('/v1/rotations', { keyring: 'app' })).body
  await api.until(`/v1/rotations/${id}`, ({ state, live }) => state === 'completed' && !live)
  const { id: retiring } = (await api.post(`/v1/keyrings/app/versions/${version.id}/retire`)).body
  expect(await api.until(`/v1/operations/${retiring}`, ({ state }) => state !== 'running')).toMatchObject({ state: 'done' })
  await counted()
  const one = `key=${encodeURIComponent(`app/${version.id}`)}`
  const retired = await look(one)
  seen.push(retired)
  // The database refuses the key, but what stood under it is known: only new credentials mend that, the highest risk first.
  expect(retired.mends.map(({ act }) => act)).toEqual([
    { kind: 'rotate-secret', secret: 'pay' },
    { kind: 'rotate-secret', secret: 'ads' },
  ])
  for (const { act } of retired.mends) {
    const name = act?.kind === 'rotate-secret' ? act.secret : ''
    const { id } = (await api.post(`/v1/secrets/${name}/runs`, { leaked: true, confirm: name })).body
    await api.until(`/v1/runs/${id}`, ({ state }) => state === 'completed')
  }
  const over = await look(one)
  seen.push(over)
  expect([over.exposed, over.mends]).toEqual([[], []])
  const text = JSON.stringify(seen)
  const values = [...issuerOf('leak-pay').values(), ...issuerOf('leak-ads').values()].map(({ value }) => value)
  for (const value of [plaintext, 'value is', ...values, ...Object.values(environment)]) expect(text).not.toContain(value)
})

test('A leaked secret in its grace names the run that ends it; who knows since when it leaked is told of what is older.', async () => {
  const { id } = (await api.post('/v1/secrets/pay/runs', {})).body
  await api.until(`/v1/runs/${id}`, ({ step, state }) => step === 'grace' && state === 'waiting')
  const found = await look('secret=pay')
  expect(found).toMatchObject({ subject: { kind: 'secret', secret: 'pay' }, countedAt: null, counting: false })
  expect(found.mends[0]).toMatchObject({ command: `keyturn secrets revoke ${id} --yes`, act: { kind: 'run', secret: 'pay', run: id } })
  // Also where its note, which a part has written, is a script: it stays text in JSON.
  const script = '<script>alert("keyturn")</script>'
  await database.pool.query(`UPDATE keyturn.secret_run SET note = $1 WHERE id = $2`, [script, id])
  const told = await api.ask('GET', '/v1/leaks?secret=pay', undefined, { headers: { accept: 'text/html' } })
  expect(told.headers.get('content-type')).toMatch(/^application\/json/)
  expect(told.headers.get('x-content-type-options')).toBe('nosniff')
  expect(told.body.exposed.join()).toContain(script)
  await api.post(`/v1/runs/${id}/revoke`, { confirm: 'pay' })
  await expect.poll(async () => (await look('secret=pay&since=2020-01-01')).exposed, patiently).toEqual([])
  expect((await look('secret=pay&since=2100-01-01T00:00:00Z')).exposed).toHaveLength(1)
})

test('Keys that sign have no act: their command says what to do. To look writes nothing.', async () => {
  const events = async () => (await database.pool.query('SELECT count(*)::text FROM keyturn.audit_event')).rows
  const before = await events()
  const found = await look('key=tokens')
  expect(found.opens).toMatchObject([{ what: 'tokens', name: 'tokens', risk: 'critical', values: null }])
  expect(found.mends.map(({ command, act }) => [command, act])).toEqual([
    ['keyturn rotate tokens --now', null],
    ['keyturn retire tokens --compromised', null],
  ])
  expect(found.countedAt).toBeNull()
  expect(await events()).toEqual(before)
})
