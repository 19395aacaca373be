import OpenAI from 'openai'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { startOpenAi } from './openai.ts'

const openai = await startOpenAi()
const { project } = openai
const sdk = new OpenAI({ adminAPIKey: openai.adminKey, apiKey: 'unused', baseURL: openai.url, maxRetries: 0 })
const { serviceAccounts, apiKeys } = sdk.admin.organization.projects
const works = (apiKey: string) =>
  new OpenAI({ apiKey, baseURL: openai.url, maxRetries: 0 }).models.list().then(
    () => true,
    () => false,
  )
const account = await serviceAccounts.create(project, { name: 'app' })

beforeEach(() => {
  openai.faults.clear()
  Object.assign(openai.rules, { deleteOfServiceAccountKey: 'ends', mostSeconds: null, lag: { accept: 0, refuse: 0 } })
})
afterAll(() => openai.stop())

const addKey = (name: string, seconds?: number) =>
  serviceAccounts.apiKeys.create(account.id, { project_id: project, name, ...(seconds !== undefined && { expires_in_seconds: seconds }) })

test('a service account comes with a key, unless only the account is asked for', async () => {
  expect(account.api_key).toMatchObject({ value: expect.stringMatching(/^sk-svcacct-/) })
  expect(await works(account.api_key!.value)).toBe(true)
  expect((await serviceAccounts.create(project, { name: 'bare', create_service_account_only: true })).api_key).toBeNull()
})

test('a second key of the same account works beside the first, and ends alone', async () => {
  const second = await addKey('rot-1')
  expect([await works(account.api_key!.value), await works(second.value)]).toEqual([true, true])
  await apiKeys.delete(second.id, { project_id: project })
  expect([await works(account.api_key!.value), await works(second.value)]).toEqual([true, false])
})

test('the list has names, the last use and redacted values, page by page', async () => {
  const key = await addKey('rot-list')
  expect((await apiKeys.retrieve(key.id, { project_id: project })).last_used_at).toBeNull()
  await works(key.value)
  const names: string[] = []
  for await (const one of apiKeys.list(project, { limit: 1 })) names.push(one.name)
  expect(names).toContain('rot-list')
  expect(names).toContain('Secret Key')
  const { last_used_at, redacted_value } = await apiKeys.retrieve(key.id, { project_id: project })
  expect(last_used_at).toBeGreaterThan(0)
  expect(redacted_value).not.toBe(key.value)
})

test('an expiry on the old key ends it, the same request again moves it, and an expired key is not updated', async () => {
  const old = await addKey('old')
  const expire = () => apiKeys.update(old.id, { project_id: project, expires_in_seconds: 600 })
  const first = await expire()
  openai.advance(300)
  expect((await expire()).expires_at).toBeGreaterThan(first.expires_at ?? 0)
  expect(await works(old.value)).toBe(true)
  openai.advance(900)
  expect(await works(old.value)).toBe(false)
  await expect(expire()).rejects.toMatchObject({ status: 400 })
})

test('as it was until 2026, DELETE of a service account’s key is refused, and deleting the account ends all its keys', async () => {
  openai.rules.deleteOfServiceAccountKey = 'refused'
  const other = await serviceAccounts.create(project, { name: 'old-style' })
  await expect(apiKeys.delete(other.api_key!.id, { project_id: project })).rejects.toMatchObject({ status: 400 })
  expect(await works(other.api_key!.value)).toBe(true)
  await serviceAccounts.delete(other.id, { project_id: project })
  expect(await works(other.api_key!.value)).toBe(false)
})

test('a person’s key can be deleted whatever the rule for service accounts, and no API makes one', async () => {
  openai.rules.deleteOfServiceAccountKey = 'refused'
  const { id, value } = openai.makeUserKey('mine')
  expect(await works(value)).toBe(true)
  await apiKeys.delete(id, { project_id: project })
  expect(await works(value)).toBe(false)
  const headers = { authorization: `Bearer ${openai.adminKey}` }
  const create = await fetch(`${openai.url}/organization/projects/${project}/api_keys`, { method: 'POST', headers })
  expect(create.status).toBe(405)
})

test('a policy can require an expiry, with a maximum', async () => {
  openai.rules.mostSeconds = 86_400
  await expect(addKey('no-expiry')).rejects.toMatchObject({ status: 400 })
  await expect(addKey('too-long', 86_401)).rejects.toMatchObject({ status: 400 })
  expect((await addKey('fine', 86_400)).expires_at).toBeGreaterThan(0)
})

test('keys whose owner has no access to the project are listed only if all are asked for', async () => {
  const bare = await serviceAccounts.create(project, { name: 'no-role', create_service_account_only: true })
  const { id } = await serviceAccounts.apiKeys.create(bare.id, { project_id: project, name: 'hidden' })
  const listed = async (query: object) => (await apiKeys.list(project, { limit: 100, ...query })).data.map((key) => key.id)
  expect(await listed({})).not.toContain(id)
  expect(await listed({ owner_project_access: 'any' })).toContain(id)
})

test('a new key is refused for some calls, an ended one accepted for some, when the cache lags', async () => {
  openai.rules.lag = { accept: 2, refuse: 1 }
  const key = await addKey('slow')
  expect([await works(key.value), await works(key.value), await works(key.value)]).toEqual([false, false, true])
  await apiKeys.delete(key.id, { project_id: project })
  expect([await works(key.value), await works(key.value)]).toEqual([true, false])
})

test('the refusal of a key repeats part of it', async () => {
  const refusal = await new OpenAI({ apiKey: 'sk-svcacct-secret-0123456789', baseURL: openai.url, maxRetries: 0 }).models
    .list()
    .catch((e) => e)
  expect(refusal).toMatchObject({ status: 401, code: 'invalid_api_key', message: expect.stringContaining('6789') })
})

test('an answer that is lost leaves a key behind that only the list knows', async () => {
  openai.faults.next('createKey', 'drop')
  await expect(addKey('rot-lost')).rejects.toThrow()
  const lost = (await apiKeys.list(project, { limit: 100 })).data.find(({ name }) => name === 'rot-lost')
  expect(openai.calls.find(({ fault }) => fault === 'drop')?.ids).toEqual([project, account.id, lost?.id])
  expect(openai.live()).toContain(lost?.id)
})

test('a key of the administration is made, used and deleted by another', async () => {
  const made = await sdk.admin.organization.adminAPIKeys.create({ name: 'second' })
  const second = new OpenAI({ adminAPIKey: made.value, apiKey: null, baseURL: openai.url, maxRetries: 0 })
  expect((await second.admin.organization.adminAPIKeys.list()).data).toHaveLength(2)
  await sdk.admin.organization.adminAPIKeys.delete(made.id)
  await expect(second.admin.organization.adminAPIKeys.list()).rejects.toMatchObject({ status: 401 })
})

test('the record of calls holds no key', () => {
  const record = JSON.stringify(openai.calls)
  for (const secret of [openai.adminKey, account.api_key!.value]) expect(record).not.toContain(secret)
})
