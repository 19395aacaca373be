import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { gateConformance, gateInARun } from '../../../../test/conformance/secrets/gate.ts'
import { type Double, startDouble } from '../../../../test/doubles/faults.ts'
import { callOf, worldOf } from '../../../../test/harness/parts.ts'
import type { Asked } from '../secret/gate.ts'
import health, { options } from './health.ts'

let double: Double
let [status, body]: [number, object | string] = [200, {}]
let token: string | undefined

beforeAll(async () => {
  const answer = ({ headers }: { headers: { 'x-token'?: string | string[] } }) => {
    token = String(headers['x-token'])
    return { status, body }
  }
  double = await startDouble([{ name: 'health', method: 'GET', path: /^\/health$/, answer: answer as never }])
})
afterAll(() => double.stop())
beforeEach(() => {
  double.faults.clear()
  ;[status, body] = [200, { components: { postgres: 'ok', redis: 'down', dsn: 'postgres://u:hunter2@h/d' } }]
})

const open = (more: object = {}) =>
  health(options.parse({ url: `${double.origin}/health`, path: '.components.postgres', ...more }), worldOf({ TOKEN: 'a token' }))
const asked: Asked = { before: null, since: 0, current: { id: null, parts: {} }, previous: null }
const look = (more: object = {}) => open(more).look(callOf(), asked)

test('the place in the document decides.', async () => {
  expect(await look()).toEqual({ works: true, sentence: expect.stringMatching(/has "ok" at \.components\.postgres$/) })
  expect(await look({ path: '.components.redis' })).toEqual({
    works: false,
    later: true,
    sentence: expect.stringContaining('has "down" at'),
  })
  expect(await look({ path: '.components.redis', expect: ['down'] })).toMatchObject({ works: true })
  expect(await look({ path: '.components.redis', expect: 'up' })).toMatchObject({ works: false })
  expect(await look({ path: undefined })).toMatchObject({ works: true })
  expect(await look({ path: '.components.dsn' })).toMatchObject({ works: false, sentence: expect.not.stringContaining('hunter2') })
})

test('a document that comes with 503 is a document.', async () => {
  status = 503
  expect(await look()).toMatchObject({ works: true })
  expect(await look({ path: undefined })).toMatchObject({ works: false, later: true })
  expect(await look({ status: [200] })).toMatchObject({ works: false, later: true })
})

test('a header comes out of its variable.', async () => {
  await look({ headers: { 'x-token': { env: 'TOKEN' } } })
  expect(token).toBe('a token')
})

test('a service that is away may come back.', async () => {
  for (const fault of ['cut', 'drop', { status: 502 }, { status: 429 }] as const) {
    double.faults.next('health', fault)
    expect(await look()).toMatchObject({ works: false, later: true })
  }
  expect(await look()).toMatchObject({ works: true })
})

test('a look beforehand tells a wrong configuration from a service that is ill.', async () => {
  const check = async (more: object = {}) => (await open(more).check(callOf())).map(({ severity }) => severity)
  expect(await check()).toEqual([])
  expect(await check({ path: '.components.nothing' })).toEqual(['fault'])
  expect(await check({ path: '.components.redis' })).toEqual(['warning'])
  expect(await check({ url: `${double.origin}/nowhere` })).toEqual(['fault'])
  double.faults.next('health', 'cut')
  expect(await check()).toEqual(['warning'])
})

gateConformance('health', async () => {
  let component: string = 'ok'
  const answer = () => ({ status: 200, body: { postgres: component } })
  const own = await startDouble([{ name: 'me', method: 'GET', path: /^\/health$/, answer }])
  const more = { url: `${own.origin}/health?token=s3cret-address`, path: '.postgres', headers: { 'x-token': { env: 'TOKEN' } } }
  const turn = (word: string) => {
    own.faults.clear()
    component = word
  }
  return {
    part: () => health(options.parse(more), worldOf({ TOKEN: 's3cret-token' })),
    asked,
    secrets: ['hunter2', 's3cret-'],
    make: {
      well: () => turn('ok'),
      ill: () => turn('postgres://u:hunter2@h/d'),
      down: () => own.faults.next('me', 'cut', { times: 1_000 }),
      silent: () => own.faults.next('me', 'silent'),
    },
    isAsked: () => own.calls.at(-1)?.fault === 'silent',
    state: async () => own.calls.filter(({ operation }) => operation !== 'me'),
    close: () => own.stop(),
  }
})

gateInARun('health', async () => {
  const own = await startDouble([{ name: 'me', method: 'GET', path: /^\/health$/, answer: () => ({ status: 200, body: {} }) }])
  return { config: { gate: 'health', url: `${own.origin}/health` }, step: 'gates:promote', close: () => own.stop() }
})
