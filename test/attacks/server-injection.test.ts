import { beforeAll, expect, test } from 'vitest'
import { passwordOf } from './server-people.ts'
import { useWorld } from './server-world.ts'

const world = useWorld()

const payloads = [
  "'; DROP TABLE keyturn.user_account; --",
  "x' OR '1'='1",
  '$1::text); DELETE FROM tokens; --',
  '\u0000',
  'ada\u0000',
  '\ud800',
  '../../../etc/passwd',
  '$(id)`id`|id',
  '<script>alert(1)</script>',
  'app\r\nset-cookie: keyturn=x',
  '{"$gt":""}',
  '%00%0d%0a%27',
  '__proto__',
  'x'.repeat(5_000),
  '9'.repeat(400),
]
const odd: unknown[] = [null, true, -1, 1e308, [], ['app'], {}, { $ne: null }, [[[['app']]]], JSON.parse('{"__proto__":{"role":"admin"}}')]

interface Schema {
  readonly type?: string | readonly string[]
  readonly enum?: readonly unknown[]
  readonly anyOf?: readonly Schema[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly items?: Schema
  readonly format?: string
  readonly const?: unknown
}
interface Operation {
  readonly method: string
  readonly path: string
  readonly parameters: readonly { readonly name: string; readonly in: string; readonly required?: boolean }[]
  readonly body: Schema | undefined
}
let operations: Operation[]

beforeAll(async () => {
  const { body } = await world.ask('GET', '/openapi.json', { bearer: world.tokens.viewer })
  operations = Object.entries(body.paths as Record<string, Record<string, Record<string, unknown>>>).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path,
      parameters: operation.parameters as Operation['parameters'],
      body: (operation.requestBody as { content: Record<string, { schema: Schema }> } | undefined)?.content['application/json']?.schema,
    })),
  )
})

/** Something that fits a schema, or nearly: enough that what is beside it is looked at. */
function sample(schema: Schema): unknown {
  if (schema.const !== undefined) return schema.const
  if (schema.enum !== undefined) return schema.enum[0]
  if (schema.anyOf !== undefined) return sample(schema.anyOf[0] ?? {})
  if (schema.format === 'date-time') return '2099-01-01T00:00:00Z'
  const type = [schema.type].flat()[0]
  if (type === 'object') return Object.fromEntries((schema.required ?? []).map((name) => [name, sample(schema.properties?.[name] ?? {})]))
  if (type === 'array') return [sample(schema.items ?? {})]
  if (type === 'boolean') return false
  if (type === 'integer' || type === 'number') return 0
  return 'nothing-of-this-name'
}

/** What requests with nonsense in them must not change: keys, values, and who may do what. */
async function standing(): Promise<string> {
  const lines: string[] = []
  for (const rows of [
    "SELECT name AS line FROM keyturn.user_account WHERE role <> 'viewer'",
    "SELECT name AS line FROM keyturn.api_token WHERE role <> 'viewer'",
    'SELECT t::text AS line FROM keyturn.keyring t',
    'SELECT t::text AS line FROM keyturn.key_version t',
    'SELECT t::text AS line FROM keyturn.rotation t',
    'SELECT t::text AS line FROM tokens t',
  ])
    lines.push(...(await world.database.pool.query(rows)).rows.map(({ line }) => line))
  return lines.sort().join('\n')
}

async function withstands(method: string, path: string, body?: unknown): Promise<void> {
  const { status, text, headers } = await world.ask(method, path, { bearer: world.tokens.admin, ...(body === undefined ? {} : { body }) })
  expect([method, path.slice(0, 200), body, status < 500]).toEqual([method, path.slice(0, 200), body, true])
  expect(headers['set-cookie']).toBeUndefined()
  expect(text).not.toMatch(/syntax error|relation "|pg_|SELECT |node:internal|\.ts:\d/)
}

test('no parameter of a path or a query of any route is more than text.', async () => {
  const before = await standing()
  let asked = 0
  for (const { method, path, parameters, body } of operations) {
    // A session of its own is ended by this one, and nothing else.
    if (path === '/v1/session' && method === 'DELETE') continue
    for (const { name, in: place } of parameters) {
      if (place === 'header') continue
      for (const payload of payloads) {
        const value = encodeURIComponent(payload.isWellFormed() ? payload : payload.toWellFormed())
        const filled = place === 'path' ? path.replace(`{${name}}`, value) : `${path}?${name}=${value}`
        await withstands(method, filled.replaceAll(/\{\w+\}/g, 'nothing'), body === undefined ? undefined : sample(body))
        asked++
      }
    }
  }
  expect(asked).toBeGreaterThan(500)
  expect(await standing()).toBe(before)
})

test('no member of a body of any route is more than it says.', async () => {
  const before = await standing()
  let asked = 0
  for (const { method, path, body } of operations) {
    if (body === undefined) continue
    const address = path.replaceAll(/\{\w+\}/g, 'nothing')
    const whole = sample(body) as Record<string, unknown>
    for (const value of odd) await withstands(method, address, value === null ? 'null' : value)
    for (const name of Object.keys(body.properties ?? {})) {
      for (const value of [...payloads, ...odd]) {
        await withstands(method, address, { ...whole, [name]: value })
        asked++
      }
    }
  }
  expect(asked).toBeGreaterThan(300)
  expect(await standing()).toBe(before)
})

test('a name in a log-in is text, whatever it looks like, and lets nobody in.', async () => {
  for (const name of [...payloads, 'ada', "ada'--", 'ada%', '_da', 'ADA\\']) {
    const { status } = await world.ask('POST', '/v1/session', {
      body: { name, password: "' OR ''='" },
      address: `10.1.${name.length % 250}.${name.charCodeAt(0) % 250}`,
    })
    expect([name.slice(0, 40), [400, 401, 429].includes(status)]).toEqual([name.slice(0, 40), true])
  }
  const { status } = await world.ask('POST', '/v1/session', { body: { name: 'ada', password: passwordOf('ada') } })
  expect(status).toBe(201)
})

test('headers that we read are text: an address, a cookie, a key of a request.', async () => {
  const bearer = world.tokens.admin
  for (const payload of payloads.filter((each) => /^[\x20-\x7e]+$/.test(each) && each.length < 1000)) {
    for (const name of [
      'cookie',
      'x-forwarded-for',
      'x-forwarded-host',
      'origin',
      'sec-fetch-site',
      'last-event-id',
      'accept',
      'idempotency-key',
    ]) {
      const { status } = await world.ask('POST', '/v1/plans', {
        bearer,
        headers: { [name]: payload },
        body: { keyring: 'no such keyring' },
      })
      expect([name, payload, [400, 404, 409, 422].includes(status)]).toEqual([name, payload, true])
    }
    for (const cookie of [`keyturn=${payload}`, `keyturn-browser=${payload}`]) {
      expect((await world.ask('GET', '/v1/session', { headers: { cookie } })).status).toBe(200)
      expect(
        (await world.ask('POST', '/v1/session', { headers: { cookie }, body: { name: 'x', password: 'y' }, address: '10.2.2.2' })).status,
      ).toBeLessThan(430)
    }
    expect((await world.ask('GET', '/v1/session', { headers: { authorization: `Bearer ${payload}` } })).body.user).toBeNull()
  }
})
