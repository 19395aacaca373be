import Anthropic from '@anthropic-ai/sdk'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { startAnthropic } from './anthropic.ts'

const anthropic = await startAnthropic()
const client = (apiKey: string) => new Anthropic({ apiKey, baseURL: anthropic.origin, maxRetries: 0 })
const { apiKeys } = client(anthropic.adminKey).organization
const works = (key: string) =>
  client(key)
    .models.list({ limit: 1 })
    .then(
      () => true,
      () => false,
    )

beforeEach(() => {
  Object.assign(anthropic.rules, { most: { workspace: 100, organization: 1_000 }, olderShape: false, lag: { refuse: 0 } })
})
afterAll(() => anthropic.stop())

test('no API makes or deletes a key: 405', async () => {
  const headers = { 'x-api-key': anthropic.adminKey, 'anthropic-version': '2023-06-01' }
  const url = `${anthropic.origin}/v1/organizations/api_keys`
  expect((await fetch(url, { method: 'POST', headers, body: '{"name":"new"}' })).status).toBe(405)
  const { id } = anthropic.makeKey('stays')
  expect((await fetch(`${url}/${id}`, { method: 'DELETE', headers })).status).toBe(405)
})

test('a key that a person made is found by its name, its hint and its workspace', async () => {
  const made = anthropic.makeKey('rot-1', 'wrkspc_app')
  anthropic.makeKey('rot-1', 'wrkspc_other')
  const { data } = await apiKeys.list({ workspace_id: 'wrkspc_app', status: 'active' })
  expect(data).toMatchObject([{ id: made.id, name: 'rot-1', scope: { type: 'workspace', workspace_id: 'wrkspc_app' } }])
  const [start = '', end = ''] = (data[0]!.partial_key_hint ?? '').split('...')
  expect(made.value.startsWith(start) && made.value.endsWith(end)).toBe(true)
  expect(start.length + end.length).toBeLessThan(made.value.length / 2)
})

test('the older form names the workspace at the top', async () => {
  anthropic.rules.olderShape = true
  const { id } = anthropic.makeKey('older', 'wrkspc_old')
  expect(await apiKeys.retrieve(id)).toMatchObject({ workspace_id: 'wrkspc_old' })
  expect(await apiKeys.retrieve(id)).not.toHaveProperty('scope')
})

test('the list comes page by page, the newest first', async () => {
  const ids = ['a', 'b', 'c'].map((name) => anthropic.makeKey(name, 'wrkspc_pages').id)
  const listed: string[] = []
  for await (const { id } of apiKeys.list({ limit: 2, workspace_id: 'wrkspc_pages' })) listed.push(id)
  expect(listed).toEqual(ids.toReversed())
})

test('a key works while it is active, by either header', async () => {
  const { id, value } = anthropic.makeKey('either')
  const headers = { 'x-api-key': value, 'anthropic-version': '2023-06-01' }
  const byHeader = async () => (await fetch(`${anthropic.origin}/v1/models?limit=1`, { headers })).status
  expect([await works(value), await byHeader()]).toEqual([true, 200])
  await apiKeys.update(id, { status: 'inactive' })
  expect([await works(value), await byHeader()]).toEqual([false, 401])
  await apiKeys.update(id, { status: 'active' })
  expect([await works(value), await byHeader()]).toEqual([true, 200])
})

test('the header of the version is required', async () => {
  const { status } = await fetch(`${anthropic.origin}/v1/models`, { headers: { 'x-api-key': anthropic.makeKey('versions').value } })
  expect(status).toBe(400)
})

test.each([
  ['workspace', { workspace: 1, organization: 1_000 }, 'workspace_api_key_limit_exceeded'],
  ['organization', { workspace: 1_000, organization: 1 }, 'org_api_key_limit_exceeded'],
])('a key cannot become active again where the %s has enough of them', async (_, most, errorCode) => {
  const old = anthropic.makeKey('old', 'wrkspc_full')
  await apiKeys.update(old.id, { status: 'inactive' })
  anthropic.makeKey('new', 'wrkspc_full')
  anthropic.rules.most = most
  await expect(apiKeys.update(old.id, { status: 'active' })).rejects.toMatchObject({ status: 400, errorCode })
  expect(anthropic.statusOf(old.id)).toBe('inactive')
})

test('an archived key stays archived', async () => {
  const { id } = anthropic.makeKey('over')
  await apiKeys.update(id, { status: 'archived' })
  await expect(apiKeys.update(id, { status: 'active' })).rejects.toMatchObject({ status: 400 })
})

test('a key that was set inactive is answered for some calls where that lags', async () => {
  const { id, value } = anthropic.makeKey('lagging')
  anthropic.rules.lag.refuse = 1
  await apiKeys.update(id, { status: 'inactive' })
  expect([await works(value), await works(value)]).toEqual([true, false])
})

test('a key of the models is no key of the administration, nor the other way round', async () => {
  const { value } = anthropic.makeKey('ordinary')
  await expect(client(value).organization.apiKeys.list()).rejects.toMatchObject({ status: 401 })
  expect(await works(anthropic.adminKey)).toBe(false)
})
