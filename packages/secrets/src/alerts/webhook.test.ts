import { createHmac } from 'node:crypto'
import { afterAll, afterEach, expect, test } from 'vitest'
import { alertConformance } from '../../../../test/conformance/secrets/alert.ts'
import { type Asked, startDouble } from '../../../../test/doubles/faults.ts'
import type { Notice } from '../secret/alert.ts'
import type { Call } from '../secret/call.ts'
import { worldOf } from '../secret/opened-secret.ts'
import webhook, { options } from './webhook.ts'

const key = 'k3y-'.repeat(10)
const asked: Asked[] = []
const hook = await startDouble([
  {
    name: 'tell',
    method: 'POST',
    path: /^\/notices$/,
    answer: (one) => {
      asked.push(one)
      return { status: 204 }
    },
  },
])
const world = worldOf({ KEY: key, SHORT: 'short' }, () => Date.UTC(2026, 10, 21))
const alertOf = (more: object = {}) => webhook(options.parse({ url: `${hook.origin}/notices`, key: { env: 'KEY' }, ...more }), world)
const call: Call = { secret: 'jwt', attempt: 'a1', signal: new AbortController().signal }
const notice: Notice = {
  key: 'keyturn/jwt/failed',
  state: 'open',
  severity: 'error',
  condition: 'failed',
  secret: 'jwt',
  runId: '7',
  summary: 'the run was taken back',
  runbook: 'https://runbooks.test/jwt',
  at: '2026-11-21T00:00:00.000Z',
}

afterEach(() => {
  asked.splice(0)
  hook.faults.clear()
})
afterAll(() => hook.stop())

alertConformance('webhook', async () => {
  // As a hook is to do it: what comes with a key that it has seen is answered and forgotten.
  const seen = new Map<string, string>()
  const answer = ({ headers, body }: Asked) => {
    const known = String(headers['idempotency-key'])
    if (!seen.has(known)) seen.set(known, body.toString())
    return { status: 204 }
  }
  const own = await startDouble([{ name: 'tell', method: 'POST', path: /^\/notices$/, answer }])
  const config = { url: { env: 'CONFORMING' }, key: { env: 'SIGNING' } }
  const env = { CONFORMING: `${own.origin}/notices?token=s3cret-address`, SIGNING: key }
  return {
    config: { alert: 'webhook', ...config },
    env,
    part: () => webhook(options.parse(config), worldOf(env, Date.now)),
    fail: (fault) => own.faults.next('tell', fault),
    tries: () => own.calls.length,
    received: () => [...seen.values()].map((says) => ({ state: JSON.parse(says).state, says })),
    knows: true,
    close: () => own.stop(),
  }
})

test('the hook is told the notice as it is, signed over its very bytes', async () => {
  await alertOf().send(call, notice)
  const { headers, body } = asked[0]!
  expect(JSON.parse(String(body))).toEqual({ type: 'secret.notice', ...notice })
  const [, seconds = '', signature] = /^t=(\d+),v1=(\w+)$/.exec(String(headers['keyturn-signature'])) ?? []
  expect(signature).toBe(createHmac('sha256', key).update(`${seconds}.${body}`).digest('hex'))
})

test('a repetition can be known again; the end of the trouble is told from its beginning', async () => {
  hook.faults.next('tell', 'drop')
  await expect(alertOf().send(call, notice)).rejects.toMatchObject({ code: 'ERR_OUTSIDE_UNCERTAIN' })
  await alertOf().send(call, notice)
  await alertOf().send(call, { ...notice, state: 'resolved' })
  const [one, two, three] = asked.map(({ headers }) => headers['idempotency-key'])
  expect(two).toBe(one)
  expect(three).not.toBe(one)
})

test('refusals keep their kinds, without the key', async () => {
  hook.faults.next('tell', { status: 429 })
  await expect(alertOf().send(call, notice)).rejects.toMatchObject({ code: 'ERR_OUTSIDE_BUSY' })
  hook.faults.next('tell', { status: 400, body: key })
  const refusal = await alertOf().send(call, notice).catch(String)
  expect(refusal).toContain('400')
  expect(refusal).not.toContain('k3y-')
})

test('a check finds a key that is too short or not set', async () => {
  expect(await alertOf().check(call)).toEqual([])
  expect(await alertOf({ key: { env: 'SHORT' } }).check(call)).toMatchObject([{ severity: 'fault' }])
  expect(await alertOf({ key: { env: 'UNSET' } }).check(call)).toMatchObject([{ severity: 'fault' }])
})
