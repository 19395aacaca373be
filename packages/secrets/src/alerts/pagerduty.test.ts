import { afterAll, afterEach, expect, test } from 'vitest'
import { alertConformance } from '../../../../test/conformance/secrets/alert.ts'
import { startPagerDuty } from '../../../../test/doubles/pagerduty.ts'
import type { Notice } from '../secret/alert.ts'
import type { Call } from '../secret/call.ts'
import { worldOf } from '../secret/opened-secret.ts'
import pagerDuty, { options } from './pagerduty.ts'

const double = await startPagerDuty()
const world = worldOf({ KEY: double.routingKey, WRONG: 'e'.repeat(32) }, Date.now)
const alertOf = (env = 'KEY') => pagerDuty(options.parse({ routingKey: { env }, endpoint: double.endpoint }), world)
const call: Call = { secret: 'jwt', attempt: 'a1', signal: new AbortController().signal }
const noticeOf = (key: string, more: Partial<Notice> = {}): Notice => ({
  key,
  state: 'open',
  severity: 'critical',
  condition: 'revocation',
  secret: 'jwt',
  runId: '7',
  summary: 'the old key still works',
  runbook: 'https://runbooks.test/jwt',
  at: '2026-11-21T00:00:00.000Z',
  ...more,
})
const alerts = (key: string) => double.alerts.filter(({ dedupKey }) => dedupKey === key)

afterEach(() => double.faults.clear())
afterAll(() => double.stop())

alertConformance('pagerduty', async () => {
  const own = await startPagerDuty()
  const config = { routingKey: { env: 'CONFORMING' }, endpoint: own.endpoint }
  return {
    config: { alert: 'pagerduty', ...config },
    env: { CONFORMING: own.routingKey },
    part: () => pagerDuty(options.parse(config), worldOf({ CONFORMING: own.routingKey }, Date.now)),
    fail: (fault) => own.faults.next('enqueue', fault),
    tries: () => own.calls.length,
    // An alert that was opened and closed again is two notices.
    received: () =>
      own.alerts.flatMap(({ state, event }) => {
        const one = { state: 'open', says: JSON.stringify(event) } as const
        return state === 'resolved' ? [one, { ...one, state: 'resolved' } as const] : [one]
      }),
    knows: true,
    close: () => own.stop(),
  }
})

test('a trouble is one alert, however often it is told, and closes when it is over', async () => {
  double.faults.next('enqueue', 'drop')
  await expect(alertOf().send(call, noticeOf('a'))).rejects.toMatchObject({ code: 'ERR_OUTSIDE_UNCERTAIN' })
  await alertOf().send(call, noticeOf('a'))
  expect(alerts('a')).toMatchObject([{ state: 'triggered', triggers: 2, severity: 'critical', summary: 'the old key still works' }])
  expect(alerts('a')[0]?.event).toMatchObject({
    payload: { component: 'jwt', class: 'revocation', source: 'keyturn', timestamp: '2026-11-21T00:00:00.000Z' },
    links: [{ href: 'https://runbooks.test/jwt' }],
  })
  await alertOf().send(call, noticeOf('a', { state: 'resolved' }))
  await alertOf().send(call, noticeOf('a', { runbook: null }))
  expect(alerts('a').map(({ state }) => state)).toEqual(['resolved', 'triggered'])
})

test('what is too long for PagerDuty is shortened, and a long key still means one trouble', async () => {
  const [before, key] = [double.alerts.length, 'x'.repeat(300)]
  await alertOf().send(call, noticeOf(key, { summary: 'y'.repeat(5_000) }))
  await alertOf().send(call, noticeOf(key))
  expect(double.alerts.slice(before)).toMatchObject([{ triggers: 2, summary: 'y'.repeat(1_024) }])
})

test('too many events are busy; a refusal does not repeat the key', async () => {
  double.faults.next('enqueue', { status: 429 })
  await expect(alertOf().send(call, noticeOf('b'))).rejects.toMatchObject({ code: 'ERR_OUTSIDE_BUSY' })
  const refusal = await alertOf('WRONG').send(call, noticeOf('b')).catch(String)
  expect(refusal).toContain('400')
  expect(refusal).not.toContain('eeee')
})

test('a check finds a key that is not known or not set, and opens no alert', async () => {
  const before = double.alerts.length
  expect(await alertOf().check(call)).toEqual([])
  expect(await alertOf('WRONG').check(call)).toMatchObject([{ severity: 'fault' }])
  expect(await alertOf('UNSET').check(call)).toMatchObject([{ severity: 'fault' }])
  expect(double.alerts).toHaveLength(before)
})
