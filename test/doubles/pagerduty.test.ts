import { afterAll, afterEach, expect, test } from 'vitest'
import { startPagerDuty } from './pagerduty.ts'

const pagerDuty = await startPagerDuty()
const payload = { summary: 'a secret could not be rotated', source: 'keyturn', severity: 'critical' }

afterEach(() => pagerDuty.faults.clear())
afterAll(() => pagerDuty.stop())

async function enqueue(event: object) {
  const answer = await fetch(`${pagerDuty.endpoint}/v2/enqueue`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ routing_key: pagerDuty.routingKey, event_action: 'trigger', payload, ...event }),
  })
  return { status: answer.status, body: (await answer.json()) as { dedup_key?: string; errors?: string[] } }
}
const alertsOf = (key: string) =>
  pagerDuty.alerts.filter(({ dedupKey }) => dedupKey === key).map(({ state, triggers }) => [state, triggers])

test('events with one key are one alert, until it is resolved; then the key opens a new one', async () => {
  expect(await enqueue({ dedup_key: 'a' })).toMatchObject({ status: 202, body: { status: 'success', dedup_key: 'a' } })
  await enqueue({ dedup_key: 'a' })
  expect(alertsOf('a')).toEqual([['triggered', 2]])
  await enqueue({ dedup_key: 'a', event_action: 'acknowledge' })
  expect(alertsOf('a')).toEqual([['acknowledged', 2]])
  await enqueue({ dedup_key: 'a', event_action: 'resolve' })
  await enqueue({ dedup_key: 'a' })
  expect(alertsOf('a')).toEqual([
    ['resolved', 2],
    ['triggered', 1],
  ])
})

test('without a key each event is an alert of its own; what resolves nothing is accepted', async () => {
  const [one, two] = [await enqueue({}), await enqueue({})]
  expect(one.body.dedup_key).not.toBe(two.body.dedup_key)
  expect(await enqueue({ dedup_key: 'nothing', event_action: 'resolve' })).toMatchObject({ status: 202 })
  expect(alertsOf('nothing')).toEqual([])
})

test.each([
  ['a key that is too short', { routing_key: 'abc' }],
  ['a key of no service', { routing_key: 'f'.repeat(32) }],
  ['no severity', { payload: { ...payload, severity: 'bad' } }],
  ['a summary that is too long', { payload: { ...payload, summary: 'x'.repeat(1025) } }],
  ['a dedup key that is too long', { dedup_key: 'x'.repeat(256) }],
  ['a resolve without a key', { event_action: 'resolve' }],
  ['more than 512 KB', { payload: { ...payload, custom_details: 'x'.repeat(513 * 1024) } }],
])('%s is refused with 400, and why', async (_, event) => {
  const { status, body } = await enqueue(event)
  expect(status).toBe(400)
  expect(body.errors).toHaveLength(1)
})

test('too many events are refused with 429', async () => {
  pagerDuty.faults.next('enqueue', { status: 429 })
  expect((await enqueue({})).status).toBe(429)
})

test('the routing key is neither on record nor in what an alert keeps', () => {
  expect(JSON.stringify([pagerDuty.calls, pagerDuty.alerts])).not.toContain(pagerDuty.routingKey)
})
