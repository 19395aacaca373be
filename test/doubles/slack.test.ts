import { IncomingWebhook } from '@slack/webhook'
import { afterAll, afterEach, expect, test } from 'vitest'
import { startSlack, tooFast } from './slack.ts'

const slack = await startSlack()
const webhook = new IncomingWebhook(slack.url)
const post = (body: string, url = slack.url) => fetch(url, { method: 'POST', body, headers: { 'content-type': 'application/json' } })

afterEach(() => {
  slack.faults.clear()
  slack.state = 'active'
})
afterAll(() => slack.stop())

test('a message stands in the channel, and twice if it comes twice', async () => {
  expect(await webhook.send({ text: 'hello', blocks: [] })).toEqual({ text: 'ok' })
  await webhook.send('hello')
  expect(slack.messages.map(({ text }) => text)).toEqual(['hello', 'hello'])
})

test('refusals are words in plain text', async () => {
  const refusal = async (answer: Response) => [answer.status, await answer.text()]
  expect(await refusal(await post('no json'))).toEqual([400, 'invalid_payload'])
  expect(await refusal(await post('{}'))).toEqual([400, 'no_text'])
  expect(await refusal(await post('{"text":"x"}', slack.url.replace(/\w+$/, 'another')))).toEqual([403, 'invalid_token'])
  expect(await refusal(await post('{"text":"x"}', `${slack.origin}/services/T1/B1/x`))).toEqual([404, 'no_team'])
  slack.state = 'archived'
  expect(await refusal(await post('{"text":"x"}'))).toEqual([410, 'channel_is_archived'])
  slack.state = 'prohibited'
  expect(await refusal(await post('{"text":"x"}'))).toEqual([403, 'action_prohibited'])
  slack.state = 'removed'
  await expect(webhook.send('x')).rejects.toMatchObject({ code: 'slack_webhook_http_error' })
})

test('who posts too fast is told how long to wait', async () => {
  slack.faults.next('post', tooFast(30))
  const answer = await post('{"text":"x"}')
  expect([answer.status, answer.headers.get('retry-after')]).toEqual([429, '30'])
})

test('the address is not on record', () => {
  expect(JSON.stringify(slack.calls)).not.toContain(slack.url.split('/').at(-1))
})
