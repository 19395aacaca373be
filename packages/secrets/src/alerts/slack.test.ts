import { afterAll, afterEach, expect, test } from 'vitest'
import { alertConformance } from '../../../../test/conformance/secrets/alert.ts'
import { startSlack, tooFast } from '../../../../test/doubles/slack.ts'
import { waitOf } from '../outside/failure.ts'
import type { Notice } from '../secret/alert.ts'
import type { Call } from '../secret/call.ts'
import { worldOf } from '../secret/opened-secret.ts'
import slack, { options } from './slack.ts'

const double = await startSlack()
const world = worldOf({ SLACK_URL: double.url, ODD: 'no address' }, Date.now)
const alertOf = (env = 'SLACK_URL') => slack(options.parse({ url: { env } }), world)
const call: Call = { secret: 'jwt', attempt: 'a1', signal: new AbortController().signal }
const notice: Notice = {
  key: 'keyturn/jwt/leak',
  state: 'open',
  severity: 'critical',
  condition: 'leak',
  secret: 'jwt',
  runId: null,
  summary: 'a <secret> of "jwt" & others is known: <!channel>',
  runbook: 'https://runbooks.test/leak?a=1&b=2',
  at: '2026-11-21T00:00:00.000Z',
}
const last = () => JSON.stringify(double.messages.at(-1))

afterEach(() => {
  double.faults.clear()
  double.state = 'active'
})
afterAll(() => double.stop())

alertConformance('slack', async () => {
  const own = await startSlack()
  const token = own.url.split('/').at(-1) ?? ''
  const config = { url: { env: 'CONFORMING' } }
  return {
    config: { alert: 'slack', ...config },
    env: { CONFORMING: own.url, TOKEN: token },
    part: () => slack(options.parse(config), worldOf({ CONFORMING: own.url }, Date.now)),
    fail: (fault) => own.faults.next('post', fault),
    tries: () => own.calls.length,
    received: () =>
      own.messages.map((message) => ({
        state: / \*Over\* /.test(` ${message.text}`) ? 'resolved' : 'open',
        says: JSON.stringify(message),
      })),
    knows: false,
    close: () => own.stop(),
  }
})

test('a notice is a message with its severity and its runbook, in which nothing calls everybody', async () => {
  await alertOf().send(call, notice)
  expect(last()).toContain(':rotating_light: *critical* · a &lt;secret&gt;')
  expect(last()).toContain('<https://runbooks.test/leak?a=1&amp;b=2|runbook>')
  expect(last()).not.toContain('<!channel>')
})

test('the end of the trouble is another message', async () => {
  await alertOf().send(call, { ...notice, state: 'resolved', runId: '7', runbook: null })
  expect(last()).toContain(':white_check_mark: *Over*')
  expect(last()).toContain('run `7`')
})

test('a long summary is cut, not refused', async () => {
  await alertOf().send(call, { ...notice, summary: 'x'.repeat(10_000) })
  expect(double.messages.at(-1)?.text).toHaveLength(3_000)
})

test('too fast is busy, with the time to wait; a refusal says Slack’s word and not the address', async () => {
  double.faults.next('post', tooFast(30))
  const busy = await alertOf()
    .send(call, notice)
    .catch((error: unknown) => error)
  expect(busy).toMatchObject({ code: 'ERR_OUTSIDE_BUSY' })
  expect(waitOf(busy)).toBe(30_000)
  double.state = 'archived'
  const refusal = await alertOf().send(call, notice).catch(String)
  expect(refusal).toContain('channel_is_archived')
  expect(refusal).not.toContain(double.url.split('/').at(-1))
})

test('a check finds an address that is not set or none', async () => {
  expect(await alertOf().check(call)).toEqual([])
  expect(await alertOf('UNSET').check(call)).toMatchObject([{ severity: 'fault' }])
  expect(await alertOf('ODD').check(call)).toMatchObject([{ severity: 'fault' }])
  expect(options.safeParse({ url: double.url }).success).toBe(false)
})
