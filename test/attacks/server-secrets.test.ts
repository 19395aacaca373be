import { expect, test } from 'vitest'
import { defineSecrets, sealedSecrets } from '../../packages/secrets/src/index.ts'
import { config } from '../evidence/world.ts'
import { issue, issuerOf } from '../secrets/parts/issuer.ts'
import { memory } from '../secrets/parts/memory-store.ts'
import { type Answered, type Asked, passwordOf } from './server-people.ts'
import { names, useWorld } from './server-world.ts'

const store = (id: string) => ({
  store: './test/secrets/parts/memory-store.ts',
  id,
  values: { DSN: 'postgres://app:{value}@db.internal/app' },
})
const env = { BOUGHT: issue('bought', null).value, MADE: issue('made', null).value }
const world = useWorld({
  config: {
    ...config,
    // Credentials are sealed all the time here, and a process that stands still for longer than twice this seals nothing.
    refreshMs: 3000,
    fields: { ...config.fields, ...sealedSecrets('app') },
    secrets: defineSecrets({
      bought: {
        rotator: { rotator: './test/secrets/parts/pasted-key.ts', id: 'bought' },
        stores: [store('bought')],
        first: { value: { env: 'BOUGHT' } },
      },
      made: {
        rotator: { rotator: './test/secrets/parts/issuer.ts', id: 'made' },
        stores: [store('made')],
        first: { value: { env: 'MADE' } },
      },
    }),
  },
  env,
})
const seen: string[] = []

/** Asks, and keeps all that came back. */
async function ask(method: string, path: string, asked: Asked = {}): Promise<Answered> {
  const answered = await world.ask(method, path, asked)
  const { 'set-cookie': _, ...headers } = answered.headers
  seen.push(`${method} ${path}`, JSON.stringify(headers), answered.text)
  return answered
}
const waits = (id: string, bearer: string, step: string) => {
  const at = async () => {
    const { body } = await ask('GET', `/v1/runs/${id}`, { bearer })
    // A task that failed is there again a moment after its step is.
    return `${body.step} ${body.state} ${body.step !== 'task' || body.task !== null}`
  }
  return expect.poll(at, { timeout: 60_000, interval: 100 }).toBe(`${step} waiting true`)
}
const ends = (id: string, bearer: string, state: string) =>
  expect.poll(async () => (await ask('GET', `/v1/runs/${id}`, { bearer })).body.state, { timeout: 60_000, interval: 100 }).toBe(state)
const begin = async (name: string, bearer: string) => String((await ask('POST', `/v1/secrets/${name}/runs`, { bearer, body: {} })).body.id)

test('a credential cannot be revoked from a browser that somebody left open, nor under another name.', async () => {
  const bearer = world.tokens.operator
  const id = await begin('made', bearer)
  await waits(id, bearer, 'grace')
  const cookies = await world.signIn('operator')
  const revoke = (body: object) => ask('POST', `/v1/runs/${id}/revoke`, { cookies, body })
  expect(await revoke({ confirm: 'made' })).toMatchObject({ status: 403, body: { code: 'ERR_PASSWORD_AGAIN' } })
  expect(await revoke({ confirm: 'made', password: 'a wrong password, and long' })).toMatchObject({ status: 403 })
  const password = passwordOf(names.operator)
  expect(await revoke({ confirm: 'bought', password })).toMatchObject({ status: 400, body: { field: '/confirm' } })
  expect(await ask('POST', `/v1/runs/${id}/revoke`, { bearer: world.tokens.viewer, body: { confirm: 'made', password } })).toMatchObject({
    status: 403,
  })
  expect(issuerOf('made').size).toBe(2)
  expect((await revoke({ confirm: 'made', password })).status).toBe(202)
  await ends(id, bearer, 'completed')
  expect(issuerOf('made').size).toBe(1)
})

test('nor is its revocation begun from there as a rotation of what is leaked.', async () => {
  const bearer = world.tokens.operator
  const before = [...issuerOf('made').keys()]
  const cookies = await world.signIn('operator')
  const rotate = (body: object) => ask('POST', '/v1/secrets/made/runs', { cookies, body })
  expect(await rotate({ leaked: true })).toMatchObject({ status: 400, body: { field: '/confirm' } })
  expect(await rotate({ leaked: true, confirm: 'made' })).toMatchObject({ status: 403, body: { code: 'ERR_PASSWORD_AGAIN' } })
  expect(await rotate({ leaked: true, confirm: 'made', password: 'a wrong password, and long' })).toMatchObject({ status: 403 })
  const password = passwordOf(names.operator)
  expect(await rotate({ leaked: true, confirm: 'bought', password })).toMatchObject({ status: 400, body: { field: '/confirm' } })
  expect((await ask('GET', '/v1/secrets/made', { bearer })).body.run).toBeNull()
  expect([...issuerOf('made').keys()]).toEqual(before)
  const begun = await rotate({ leaked: true, confirm: 'made', password })
  expect(begun.status).toBe(202)
  await ends(String(begun.body.id), bearer, 'completed')
  expect([...issuerOf('made').keys()]).not.toEqual(before)
  expect(issuerOf('made').size).toBe(1)
})

test('who mistypes the password may send the same request with the right one: a refusal of the person is no answer to keep.', async () => {
  const bearer = world.tokens.operator
  const cookies = await world.signIn('operator')
  const headers = { 'idempotency-key': 'leaked-now' }
  const rotate = (password: string) =>
    ask('POST', '/v1/secrets/made/runs', { cookies, headers, body: { leaked: true, confirm: 'made', password } })
  expect(await rotate('a wrong password, and long')).toMatchObject({ status: 403, body: { code: 'ERR_PASSWORD_AGAIN' } })
  const begun = await rotate(passwordOf(names.operator))
  expect(begun.status).toBe(202)
  await ends(String(begun.body.id), bearer, 'completed')
  expect(await rotate('a wrong password, and long')).toMatchObject({ status: 202, body: { id: begun.body.id } })
})

test('no value of a secret, no part that was pasted and no connection string is in an answer, a stream, a log, a measurement or a table.', async () => {
  const bearer = world.tokens.operator
  const values = [...issuerOf('made').values(), ...issuerOf('bought').values()].map(({ value }) => value)
  const wrong = 'PASTED-INTO-THE-RIGHT-PL'
  const misplaced = 'PastedIntoTheWrongPlace0'
  const id = await begin('bought', bearer)
  const stream = ask('GET', `/v1/runs/${id}/events`, { bearer })
  await waits(id, bearer, 'task')
  const give = (body: object) => ask('POST', `/v1/runs/${id}/provide`, { bearer, body, headers: { 'idempotency-key': 'paste' } })
  expect((await give({ parts: { value: `${wrong} ` }, value: misplaced })).status).toBe(400)
  expect((await give({ parts: { value: [misplaced] } })).status).toBe(400)
  expect((await give({ parts: { value: wrong.slice(1) } })).status).toBe(422)
  expect((await give({ parts: { value: wrong } })).status).toBe(202)
  const failed = async () => JSON.stringify((await ask('GET', `/v1/runs/${id}`, { bearer })).body.steps)
  await expect.poll(failed, { timeout: 60_000, interval: 100 }).toContain('"failed"')
  await waits(id, bearer, 'task')
  const { value } = issue('bought', null)
  expect((await give({ parts: { value } })).status).toBe(202)
  await waits(id, bearer, 'grace')
  expect(memory.get('bought')?.get('DSN')).toContain(value)
  await ask('GET', '/v1/secrets/sync', { bearer })
  expect((await ask('POST', `/v1/runs/${id}/revoke`, { bearer, body: { confirm: 'bought' } })).status).toBe(202)
  await ends(id, bearer, 'completed')
  expect((await stream).text).toContain('event: end')
  const looks = ['/v1/leaks?key=app', '/v1/leaks?secret=bought', '/v1/audit?limit=200', '/metrics', '/health']
  for (const path of ['/v1/secrets', '/v1/secrets/bought', '/v1/secrets/bought/runs', ...looks]) await ask('GET', path, { bearer })
  await ask('POST', '/v1/secrets/bought/plan', { bearer, body: {} })

  const tables: string[] = []
  const { rows } = await world.database.pool.query<{ sql: string }>(
    `SELECT format('SELECT to_jsonb(t)::text AS line FROM %I.%I t', schemaname, tablename) AS sql FROM pg_tables WHERE schemaname LIKE 'keyturn%'`,
  )
  for (const { sql } of rows) tables.push(...(await world.database.pool.query<{ line: string }>(sql)).rows.map(({ line }) => line))
  const secrets = [...values, value, ...Object.values(env), wrong, misplaced, 'db.internal']
  for (const [place, text] of Object.entries({ answers: seen.join('\n'), log: world.logged.join('\n'), tables: tables.join('\n') })) {
    expect(text.length, place).toBeGreaterThan(1_000)
    expect([place, secrets.filter((secret) => text.includes(secret)).length]).toEqual([place, 0])
  }
})
