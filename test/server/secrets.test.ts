import fastify, { type FastifyInstance } from 'fastify'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Config, defineConfig, env } from '../../packages/core/src/config/config.ts'
import type { Keyturn } from '../../packages/core/src/keyturn.ts'
import { open } from '../../packages/core/src/open.ts'
import { defineSecrets, sealedSecrets } from '../../packages/secrets/src/index.ts'
import { serverLog } from '../../packages/server/src/log.ts'
import { keyturnServer } from '../../packages/server/src/plugin.ts'
import { useDatabase } from '../harness/postgres.ts'
import { issue, issuerOf } from '../secrets/parts/issuer.ts'
import { memory } from '../secrets/parts/memory-store.ts'
import { taskTitle } from '../secrets/parts/pasted-key.ts'
import { type Api, apiAt, authorize, serving } from './world.ts'

const issued = (id: string, more: object = {}) => ({
  rotator: { rotator: './test/secrets/parts/issuer.ts', id },
  stores: [{ store: './test/secrets/parts/memory-store.ts', id, values: { KEY: '{value}' } }],
  first: { value: env(`KEY_${id.toUpperCase()}`) },
  ...more,
})
const config: Config = defineConfig({
  keyrings: { app: { root: env('ROOT') } },
  fields: { ...sealedSecrets('app') },
  secrets: defineSecrets({
    'mail.key': issued('mail', {
      owner: 'platform',
      every: '90d',
      window: '02:00-05:00',
      risk: 'high',
      runbook: 'https://run.example/mail',
    }),
    'maps.key': issued('maps', { grace: '1s', after: ['mail.key'] }),
    'ci.key': issued('ci', { grace: '1s', every: '30d', automatic: true }),
    'docs.key': { ...issued('docs'), rotator: { rotator: './test/secrets/parts/pasted-key.ts', id: 'docs' } },
  }),
})
const patiently = { timeout: 60_000 }

const database = useDatabase()
const environment: Record<string, string> = { ROOT: 'ab'.repeat(32) }
const opened: (() => Promise<unknown>)[] = []
let api: Api

async function serve(): Promise<{ readonly app: FastifyInstance; readonly api: Api; readonly keyturn: Keyturn }> {
  const keyturn = await open(config, { pool: database.pool, env: environment, warn: () => {} })
  const served = await serving(database.pool, keyturn, { env: environment })
  opened.unshift(
    () => served.app.close(),
    () => keyturn.close(),
  )
  return { ...served, keyturn }
}

beforeAll(async () => {
  for (const id of ['mail', 'maps', 'ci', 'docs']) environment[`KEY_${id.toUpperCase()}`] = issue(id, null).value
  api = (await serve()).api
})
afterAll(async () => {
  for (const close of opened) await close()
})

const begin = async (name: string, body: object = {}) => await api.post(`/v1/secrets/${name}/runs`, body)
const at = (step: string) => (run: { step: string | null; state: string }) => run.step === step && run.state === 'waiting'
const stored = (id: string) => memory.get(id)?.get('KEY')

test('The inventory: owners, parts, policy and dates; one secret; what is missing is answered 404.', async () => {
  const { items } = (await api.get('/v1/secrets')).body
  expect(items.map(({ name }: { name: string }) => name).sort()).toEqual(['ci.key', 'docs.key', 'mail.key', 'maps.key'])
  const { body } = await api.ask('GET', '/v1/secrets/mail.key', undefined, { role: 'viewer' })
  expect(body).toMatchObject({
    ...{ owner: 'platform', rotator: './test/secrets/parts/issuer.ts', risk: 'high', automatic: false, overdue: expect.any(Boolean) },
    stores: [{ store: './test/secrets/parts/memory-store.ts', names: ['KEY'] }],
    policy: { every: '90d', window: '02:00-05:00', grace: null, after: [] },
    ...{ runbook: 'https://run.example/mail', run: null, troubles: [], since: null },
  })
  for (const path of ['/v1/secrets/nothing', '/v1/secrets/nothing/runs', '/v1/runs/nothing', '/v1/runs/nothing/events'])
    expect(await api.get(path), path).toMatchObject({ status: 404, body: { code: 'ERR_UNKNOWN_NAME' } })
  expect((await begin('nothing')).status).toBe(404)
})

test('A plan says what would be called, and changes nothing.', async () => {
  const { body } = await api.post('/v1/secrets/mail.key/plan')
  expect(body).toMatchObject({ secret: 'mail.key', hasOld: true, gap: false, findings: [] })
  expect(body.steps.map(({ step }: { step: string }) => step)).toEqual(
    expect.arrayContaining(['create', 'verify', 'write:promote', 'grace', 'revoke', 'confirm']),
  )
  expect(issuerOf('mail').size).toBe(1)
  expect((await api.post('/v1/secrets/docs.key/plan')).body.findings).toMatchObject([
    { severity: 'warning', place: 'secrets.docs.key.rotator' },
  ])
})

test('A run goes on behind its answer; another is a conflict; the grace is ended by its name alone, and then the old key is gone.', async () => {
  const [old] = [...issuerOf('mail').values()]
  const begun = await api.ask('POST', '/v1/secrets/mail.key/runs', {}, { role: 'operator', headers: { 'idempotency-key': 'mail' } })
  expect(begun).toMatchObject({ status: 202, body: { secret: 'mail.key', startedBy: 'user:operator' } })
  const run = `/v1/runs/${begun.body.id}`
  expect(begun.headers.get('location')).toBe(run)
  const again = await api.ask('POST', '/v1/secrets/mail.key/runs', {}, { role: 'operator', headers: { 'idempotency-key': 'mail' } })
  expect(again).toMatchObject({ status: 202, body: { id: begun.body.id } })
  expect(await begin('mail.key')).toMatchObject({ status: 409, body: { code: 'ERR_RUN_RUNNING' } })
  const waiting = await api.until(run, at('grace'))
  expect(waiting).toMatchObject({ actions: ['rollback', 'revoke'], note: expect.stringContaining('both credentials work') })
  expect(waiting.steps.find(({ step }: { step: string }) => step === 'verify')).toMatchObject({ state: 'done', tries: 1 })
  expect(waiting.steps.at(-1)).toMatchObject({ step: 'sweep', state: 'later', tries: 0, begunAt: null })
  expect((await api.get('/v1/secrets/mail.key')).body.run).toMatchObject({ id: begun.body.id, step: 'grace' })
  expect(issuerOf('mail').size).toBe(2)
  expect(await api.post(`${run}/revoke`, { confirm: 'mail' })).toMatchObject({ status: 400, body: { field: '/confirm' } })
  expect(await api.post(`${run}/cancel`, { confirm: 'mail' })).toMatchObject({ status: 400, body: { field: '/confirm' } })
  expect((await api.post(`${run}/revoke`, { confirm: 'mail.key' })).status).toBe(202)
  const done = await api.until(run, ({ state }) => state === 'completed')
  expect(done).toMatchObject({ actions: [], step: null, endedAt: expect.any(String), oldId: old?.id })
  const keys = [...issuerOf('mail').values()]
  expect(keys.map(({ id, value }) => [id, value])).toEqual([[done.newId, stored('mail')]])
  expect(await api.post(`${run}/rollback`, { confirm: 'mail.key' })).toMatchObject({ status: 409, body: { code: 'ERR_RUN_STATE' } })
  const { items } = (await api.get('/v1/audit?subject=secret/mail.key&action=run.revoke')).body
  expect(items).toMatchObject([{ actor: 'user:admin', data: { run: begun.body.id } }])
})

test('A run is taken back by the name of its secret, and the old key is in use again.', async () => {
  const before = stored('mail')
  const { id } = (await begin('mail.key')).body
  await api.until(`/v1/runs/${id}`, at('grace'))
  expect(stored('mail')).not.toBe(before)
  expect(await api.post(`/v1/runs/${id}/rollback`)).toMatchObject({ status: 400, body: { field: '/confirm' } })
  expect((await api.post(`/v1/runs/${id}/rollback`, { confirm: 'mail.key' })).status).toBe(202)
  const back = await api.until(`/v1/runs/${id}`, ({ state }) => state === 'rolled-back')
  expect(back.steps.map(({ direction }: { direction: string }) => direction)).toEqual(expect.arrayContaining(['forward', 'back']))
  expect(stored('mail')).toBe(before)
  expect(issuerOf('mail').size).toBe(1)
  const history = (await api.get('/v1/secrets/mail.key/runs?limit=1')).body
  expect(history).toMatchObject({ items: [{ id, state: 'rolled-back' }], next: expect.any(String) })
  expect((await api.get(`/v1/secrets/mail.key/runs?after=${history.next}`)).body.items).toMatchObject([{ state: 'completed' }])
})

test('A secret that is due is rotated by the server itself, once.', async () => {
  await expect.poll(async () => (await api.get('/v1/secrets/ci.key/runs')).body.items, patiently).toMatchObject([{ state: 'completed' }])
  const { items } = (await api.get('/v1/secrets/ci.key/runs')).body
  expect(items).toMatchObject([{ startedBy: 'server:policy' }])
  expect(issuerOf('ci').size).toBe(1)
})

test('A run is watched to its end, and a client that comes back is told nothing twice.', async () => {
  const { id } = (await begin('maps.key')).body
  const watch = async (headers: Record<string, string> = {}) => {
    const { body } = await api.ask('GET', `/v1/runs/${id}/events`, undefined, { role: 'viewer', headers })
    const blocks = String(body).split('\n\n')
    return {
      runs: blocks.filter((each) => /^event: run$/m.test(each)).map((each) => JSON.parse(/^data: (.*)$/m.exec(each)?.[1] ?? '')),
      ids: blocks.flatMap((each) => /^id: (.*)$/m.exec(each)?.[1] ?? []),
      ended: blocks.some((each) => /^event: end$/m.test(each)),
    }
  }
  const seen = await watch()
  expect(seen).toMatchObject({ ended: true })
  expect(seen.runs.at(-1)).toMatchObject({ id, state: 'completed' })
  expect(new Set(seen.ids).size).toBe(seen.ids.length)
  expect(await watch({ 'last-event-id': seen.ids.at(-1) ?? '' })).toEqual({ runs: [], ids: [], ended: true })
})

test('A person is asked for what no API makes: what cannot be it is refused, what is it goes the whole way.', async () => {
  const { id } = (await begin('docs.key')).body
  const run = `/v1/runs/${id}`
  const asked = await api.until(run, at('task'))
  expect(asked).toMatchObject({
    actions: ['provide', 'cancel'],
    task: { title: taskTitle, paste: [{ part: 'value', label: 'Key' }], until: expect.any(String) },
  })
  const give = (parts: unknown) => api.post(`${run}/provide`, { parts })
  expect(await give({ value: 'too short' })).toMatchObject({ status: 422, body: { code: 'ERR_PROVIDED' } })
  expect(await give({ value: 'x', other: 'y' })).toMatchObject({ status: 422, body: { code: 'ERR_PROVIDED' } })
  expect(await give({ 'not a part': 'y' })).toMatchObject({ status: 400, body: { code: 'ERR_INPUT' } })
  // Of the right form, and refused by the issuer: it is asked for again.
  expect((await give({ value: 'x'.repeat(24) })).status).toBe(202)
  await api.until(
    run,
    (found) => at('task')(found) && found.task !== null && found.steps.some(({ state }: { state: string }) => state === 'failed'),
  )
  const { value } = issue('docs', null)
  expect((await give({ value: ` ${value}\n` })).status).toBe(202)
  await api.until(run, at('grace'))
  expect(stored('docs')).toBe(value)
  expect((await api.post(`${run}/revoke`, { confirm: 'docs.key' })).status).toBe(202)
  await api.until(run, ({ state }) => state === 'completed')
})

test('What is pasted, wherever it is put, stands in no answer and in no line of the log, however much is logged.', async () => {
  const lines: string[] = []
  const app = fastify({ loggerInstance: serverLog('trace', { write: (line) => void lines.push(line) }), forceCloseConnections: true })
  const keyturn = await open(config, { pool: database.pool, env: environment, warn: () => {} })
  opened.unshift(
    () => app.close(),
    () => keyturn.close(),
  )
  await app.register(keyturnServer, { pool: database.pool, keyturn, authorize, env: environment, console: null, wakeMs: 60_000 })
  const logging = apiAt(await app.listen({ port: 0, host: '127.0.0.1' }))
  const { id } = (await logging.post('/v1/secrets/docs.key/runs')).body
  await logging.until(`/v1/runs/${id}`, at('task'))
  const pasted = 'S3cretThatWasPasted0123456789'
  const bodies: unknown[] = [
    { parts: { value: pasted, other: 'x' } },
    { parts: { [pasted]: 'x' } },
    { parts: { value: 'x'.repeat(24), [pasted]: 'x' } },
    { parts: { [`sk-${pasted}`]: 'x' } },
    { parts: { value: { [pasted]: pasted } } },
    { parts: { value: pasted.repeat(1_000) } },
    { parts: pasted },
    { parts: { value: 'x' }, [pasted]: 'x' },
    `{"parts":{"value":"${pasted}`,
    `"${pasted}"`,
    pasted,
    { parts: { value: `${pasted}\u0000` } },
    { parts: { [`${pasted}\u0000`]: 'x' } },
  ]
  for (const [verb, more] of [
    ['provide', bodies],
    ['revoke', [{ confirm: pasted }, { confirm: 'docs.key', [pasted]: pasted }]],
    ['cancel', [{ confirm: pasted }]],
    ['resume', [{ remove: [pasted] }, { keep: [{ [pasted]: 1 }] }]],
  ] as const) {
    for (const body of more) {
      const answer = await logging.ask('POST', `/v1/runs/${id}/${verb}`, body)
      const told = JSON.stringify([answer.body, [...answer.headers]])
      expect([verb, body, answer.status < 500 && answer.status >= 400, told.includes(pasted)]).toEqual([verb, body, true, false])
    }
  }
  expect(lines.length).toBeGreaterThan(bodies.length)
  expect(lines.filter((line) => line.includes(pasted))).toEqual([])
  await logging.post(`/v1/runs/${id}/cancel`, { confirm: 'docs.key' })
})

test('A run that nothing was made for is cancelled.', async () => {
  const { id } = (await begin('docs.key')).body
  await api.until(`/v1/runs/${id}`, at('task'))
  expect((await api.post(`/v1/runs/${id}/cancel`, { confirm: 'docs.key' })).body).toMatchObject({ state: 'cancelled', actions: [] })
})

test('Stores are compared with what is in use, and brought in line when that is asked for.', async () => {
  const right = stored('mail')
  memory.get('mail')?.set('KEY', 'somebody wrote this by hand')
  const drift = await api.get('/v1/secrets/sync?only=mail.key')
  expect(drift.body.items).toMatchObject([{ secret: 'mail.key', name: 'KEY', state: 'differs' }])
  expect(stored('mail')).not.toBe(right)
  const begun = await api.post('/v1/secrets/sync', { only: ['mail.key'] })
  expect(begun.status).toBe(202)
  const done = await api.until(begun.headers.get('location') ?? '', ({ state }) => state !== 'running')
  expect(done).toMatchObject({ kind: 'sync', state: 'done' })
  expect(stored('mail')).toBe(right)
  expect((await api.get('/v1/secrets/mail.key/runs?limit=1')).body.items).toMatchObject([{ kind: 'sync', state: 'completed' }])
  expect((await api.post('/v1/secrets/sync', { only: ['nothing'] })).status).toBe(404)
})

test('A leaked secret is rotated without a grace, by a server that follows the one at which it was begun.', async () => {
  const other = await serve()
  for (const body of [{ leaked: true }, { leaked: true, confirm: 'mail' }])
    expect(await begin('mail.key', body)).toMatchObject({ status: 400, body: { field: '/confirm' } })
  expect(await begin('mail.key', { confirm: 'mail.key' })).toMatchObject({ status: 400, body: { field: '/confirm' } })
  expect(await begin('nothing', { leaked: true, confirm: 'nothing' })).toMatchObject({ status: 404 })
  expect((await api.get('/v1/secrets/mail.key')).body.run).toBeNull()
  const { id } = (await other.api.post('/v1/secrets/mail.key/runs', { leaked: true, confirm: 'mail.key' })).body
  await other.app.close()
  const next = await serve()
  await next.api.until(`/v1/runs/${id}`, ({ state }) => state === 'completed')
  expect(issuerOf('mail').size).toBe(1)
  expect([...issuerOf('mail').values()].map(({ value }) => value)).toEqual([stored('mail')])
})

test('A run that is paused makes no server ill, and is said; measurements count runs and troubles.', async () => {
  const { id } = (await begin('docs.key')).body
  await api.until(`/v1/runs/${id}`, at('task'))
  await database.pool.query(`UPDATE keyturn.secret_run SET state = 'paused' WHERE id = $1`, [id])
  const health = () => api.ask('GET', '/health', undefined, { role: null })
  await expect.poll(async () => (await health()).body.components, patiently).toEqual({ database: 'ok', keyrings: 'ok', secrets: 'paused' })
  expect(await health()).toMatchObject({ status: 200, body: { status: 'ok' } })
  const { body } = await api.get('/metrics')
  expect(body).toContain('keyturn_secret_runs{secret="docs.key",state="paused"} 1')
  expect(body).toContain('keyturn_secret_troubles{secret="docs.key",condition="task"} 1')
  expect(body).toMatch(/^keyturn_secret_due_seconds\{secret="mail.key"\} 77\d{5}/m)
  expect((await api.post(`/v1/runs/${id}/resume`)).status).toBe(202)
  await api.until(`/v1/runs/${id}`, at('task'))
  await api.post(`/v1/runs/${id}/cancel`, { confirm: 'docs.key' })
})
