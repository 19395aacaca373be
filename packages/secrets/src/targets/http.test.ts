import { createHmac } from 'node:crypto'
import { afterAll, afterEach, expect, test } from 'vitest'
import { targetConformance } from '../../../../test/conformance/secrets/target.ts'
import { type Answer, type Asked, startDouble } from '../../../../test/doubles/faults.ts'
import { memory } from '../../../../test/secrets/parts/memory-store.ts'
import type { Call } from '../secret/call.ts'
import { worldOf } from '../secret/opened-secret.ts'
import http, { options } from './http.ts'

const key = 'k3y-'.repeat(10)
const asked: Asked[] = []
let answers: Answer[] = []
const next = (one: Asked): Answer => {
  asked.push(one)
  return answers.shift() ?? { status: 200 }
}
const hook = await startDouble([
  { name: 'deploy', method: 'POST', path: /^\/deploy$/, answer: next },
  { name: 'look', method: 'GET', path: /^\/deployments\/7$/, answer: next },
])
const now = Date.UTC(2026, 10, 21)
const world = worldOf({ KEY: key, SHORT: 'short', HOOK: `${hook.origin}/deploy`, ODD: 'ftp://x' }, () => now)
const targetOf = (more: object = {}) =>
  http(options.parse({ url: `${hook.origin}/deploy`, key: { env: 'KEY' }, pauseMs: 1, ...more }), world)
const call = (signal = new AbortController().signal): Call => ({ secret: 'jwt', attempt: 'a1', signal })

afterEach(() => {
  asked.splice(0)
  answers = []
  hook.faults.clear()
})
afterAll(() => hook.stop())

targetConformance('http', async (first) => {
  const came: Asked[] = []
  let running = first
  memory.set('behind the hook', new Map([['KEY', first]]))
  const answer = (one: Asked): Answer => {
    came.push(one)
    running = memory.get('behind the hook')?.get('KEY') ?? ''
    return { status: 200 }
  }
  const own = await startDouble([{ name: 'deploy', method: 'POST', path: /^\/deploy$/, answer }])
  const config = { url: { env: 'HOOK' }, key: { env: 'KEY' } }
  const mine = { KEY: key, HOOK: `${own.origin}/deploy?token=s3cret-address` }
  return {
    store: { store: './test/secrets/parts/memory-store.ts', id: 'behind the hook' },
    config: { target: 'http', ...config },
    env: mine,
    part: http(options.parse(config), worldOf(mine, Date.now)),
    running: async () => [running],
    deployments: async () => new Set(came.map(({ headers }) => headers['idempotency-key'])).size,
    sent: async () => came.map(({ headers, body }) => `${JSON.stringify(headers)}${body}`).join('\n'),
    lose: () => own.faults.next('deploy', 'drop'),
    refuse: () => own.faults.next('deploy', { status: 400, body: first }),
    hang: () => {
      own.faults.next('deploy', 'silent')
      return () => own.calls.at(-1)?.fault === 'silent'
    },
    close: () => own.stop(),
  }
})

const isSigned = ({ headers, body }: Asked) => {
  const [, seconds = '', signature] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(headers['keyturn-signature'])) ?? []
  return signature === createHmac('sha256', key).update(`${seconds}.${body}`).digest('hex') && Number(seconds) * 1000 === now
}

test('the hook is told the secret, the attempt and the versions, signed over its very bytes', async () => {
  expect(await targetOf().deploy(call(), { fly: 'shop@7' })).toEqual({ status: 'deployed', looks: 0 })
  const [one] = asked
  expect(JSON.parse(one!.body.toString())).toEqual({
    type: 'secret.deploy',
    secret: 'jwt',
    attempt: 'a1',
    versions: { fly: 'shop@7' },
    at: '2026-11-21T00:00:00.000Z',
  })
  expect(isSigned(one!)).toBe(true)
})

test('a repetition has the same idempotency key', async () => {
  hook.faults.next('deploy', 'drop')
  await expect(targetOf().deploy(call(), {})).rejects.toMatchObject({ code: 'ERR_OUTSIDE_UNCERTAIN' })
  await targetOf({ url: { env: 'HOOK' } }).deploy(call(), {})
  expect(asked.map(({ headers }) => headers['idempotency-key'])).toEqual(['a1', 'a1'])
})

test('a deployment that goes on is asked for, signed, until it is over', async () => {
  answers = [{ status: 202, headers: { location: '/deployments/7' } }, { status: 202 }, { status: 200 }]
  expect(await targetOf().deploy(call(), {})).toEqual({ status: 'deployed', looks: 2 })
  expect(asked.map(isSigned)).toEqual([true, true, true])
})

test('a deployment that fails, leads to another host or nowhere, or does not end in time is none', async () => {
  const failing = async (...given: Answer[]) => {
    answers = given
    return targetOf()
      .deploy(call(), {})
      .catch((error: { code: string }) => error.code)
  }
  const going = { status: 202, headers: { location: '/deployments/7' } }
  expect(await failing(going, { status: 409 })).toBe('ERR_OUTSIDE_REFUSED')
  expect(await failing({ status: 202 })).toBe('ERR_OUTSIDE_UNCERTAIN')
  expect(await failing({ status: 202, headers: { location: 'https://another.test/' } })).toBe('ERR_OUTSIDE_UNCERTAIN')
  expect(await failing({ status: 302, headers: { location: 'https://another.test/' } })).toBe('ERR_OUTSIDE_REFUSED')
  expect(await failing({ status: 503, headers: { 'retry-after': '1' } })).toBe('ERR_OUTSIDE_BUSY')
  expect(await failing({ status: 503 })).toBe('ERR_OUTSIDE_UNCERTAIN')
  answers = [going]
  const late = targetOf({ pauseMs: 60_000 }).deploy(call(AbortSignal.timeout(500)), {})
  await expect(late).rejects.toMatchObject({ code: 'ERR_OUTSIDE_UNCERTAIN' })
})

test('no key and no body of an answer stands in a refusal', async () => {
  answers = [{ status: 400, body: 's3cret-value' }]
  const refusal = await targetOf().deploy(call(), {}).catch(String)
  expect(refusal).not.toMatch(/s3cret-value|k3y-/)
})

test('a check finds a key that is short or not set, an address that is none, and one without TLS', async () => {
  expect(await targetOf().check(call())).toEqual([])
  for (const more of [{ key: { env: 'SHORT' } }, { key: { env: 'UNSET' } }, { url: { env: 'ODD' } }])
    expect(await targetOf(more).check(call())).toMatchObject([{ severity: 'fault' }])
  expect(await targetOf({ url: 'http://deploy.test/x' }).check(call())).toMatchObject([{ severity: 'warning' }])
  expect(options.safeParse({ url: 'https://a:b@x.test', key: { env: 'KEY' } }).success).toBe(false)
})
