import { afterAll, beforeEach, expect, test } from 'vitest'
import { rotatorConformance } from '../../../../test/conformance/secrets/rotator.ts'
import { startOpenAi } from '../../../../test/doubles/openai.ts'
import { callOf, worldOf } from '../../../../test/harness/parts.ts'
import { kindOf } from '../outside/failure.ts'
import openaiKey, { options } from './openai-key.ts'

const openai = await startOpenAi()
const headers = { authorization: `Bearer ${openai.adminKey}` }
const projectUrl = `${openai.url}/organization/projects/${openai.project}`
/** A service account with a key, made by hand. */
const account = async (name: string) => {
  const response = await fetch(`${projectUrl}/service_accounts`, { method: 'POST', headers, body: JSON.stringify({ name }) })
  const { id, api_key: key } = JSON.parse(await response.text())
  return { id: String(id), key: { id: String(key.id), parts: { value: String(key.value) } } }
}
const open = (more: object = {}, admin = openai.adminKey) =>
  openaiKey(options.parse({ admin: { env: 'ADMIN' }, project: openai.project, endpoint: openai.url, ...more }), worldOf({ ADMIN: admin }))
const app = await account('app')

beforeEach(() => {
  openai.faults.clear()
  Object.assign(openai.rules, { deleteOfServiceAccountKey: 'ends', mostSeconds: null, lag: { accept: 0, refuse: 0 } })
})
afterAll(() => openai.stop())

rotatorConformance('openai-key', async () => {
  const own = await startOpenAi()
  own.rules.lag.refuse = 1
  return {
    config: { rotator: 'openai-key', admin: { env: 'ADMIN' }, project: own.project, endpoint: own.url },
    env: { ADMIN: own.adminKey },
    first: { value: own.makeUserKey('from before').value },
    templates: { OPENAI_API_KEY: '{value}' },
    login: async ({ OPENAI_API_KEY: key }) => (await fetch(`${own.url}/models`, { headers: { authorization: `Bearer ${key}` } })).ok,
    // Accounts that have lost their keys count, too: nothing of ours is left lying about.
    live: async () => Math.max(own.live().length, own.accounts().length),
    close: () => own.stop(),
  }
})

test.each([
  ['of a service account that stays', { serviceAccount: app.id }],
  ['with a service account of its own', {}],
])('a key %s works beside the old one, and ends by its id.', async (_, more) => {
  const rotator = open(more)
  const call = callOf()
  expect(await rotator.check(call, app.key)).toEqual([])
  const made = await rotator.create(call, null, app.key)
  expect(await rotator.list!(call)).toContainEqual({
    id: made.id,
    name: `keyturn-${call.attempt}`,
    createdAt: expect.any(Number),
    used: false,
    enabled: true,
  })
  for (const key of [app.key, made]) expect(await rotator.verify(call, key)).toMatchObject({ works: true })
  expect((await rotator.list!(call)).find(({ id }) => id === made.id)?.used).toBe(true)
  const accounts = openai.accounts()
  for (const _ of [1, 2]) await rotator.revoke(call, { id: made.id, parts: {} }, app.key)
  expect(await rotator.verify(call, made)).toMatchObject({ works: false })
  expect(await rotator.verify(call, app.key)).toMatchObject({ works: true })
  expect(accounts.filter((id) => !openai.accounts().includes(id))).toHaveLength('serviceAccount' in more ? 0 : 1)
})

test('a key whose answer was lost is found in the list by its attempt, on whatever page, and removed.', async () => {
  const rotator = open()
  const call = callOf()
  openai.faults.next('createServiceAccount', 'drop')
  expect(await rotator.create(call, null, app.key).then(() => 'done', kindOf)).toBe('uncertain')
  const lost = (await rotator.list!(call)).filter(({ name }) => name?.includes(call.attempt))
  expect(lost).toMatchObject([{ used: false }])
  await rotator.revoke(call, { id: lost[0]!.id, parts: {} }, app.key)
  expect((await rotator.list!(call)).some(({ name }) => name?.includes(call.attempt))).toBe(false)
})

test('where a key of a service account cannot be deleted alone, its account is, unless others need it.', async () => {
  openai.rules.deleteOfServiceAccountKey = 'refused'
  const rotator = open({ serviceAccount: app.id })
  const [call, old] = [callOf(), await account('from before')]
  await rotator.revoke(call, old.key, app.key)
  expect(openai.live()).not.toContain(old.key.id)
  expect(openai.accounts()).not.toContain(old.id)
  const made = await rotator.create(call, null, app.key)
  const error = await rotator.revoke(call, made, app.key).catch((each: unknown) => each)
  expect(kindOf(error)).toBe('refused')
  expect(openai.accounts()).toContain(app.id)
  openai.rules.deleteOfServiceAccountKey = 'ends'
  await rotator.revoke(call, made, app.key)
})

test('the key that is in use is known by what the list shows of it; a person’s key, too, and it can be deleted.', async () => {
  const [rotator, call] = [open({ serviceAccount: app.id }), callOf()]
  expect(await rotator.adopt!(call, app.key.parts)).toEqual(app.key)
  const { id, value } = openai.makeUserKey('mine')
  expect(await rotator.adopt!(call, { value })).toEqual({ id, parts: { value } })
  await rotator.revoke(call, { id, parts: { value } }, app.key)
  expect(openai.live()).not.toContain(id)
  const error = await rotator.adopt!(call, { value }).catch((each: unknown) => each)
  expect([kindOf(error), String(error).includes(value)]).toEqual(['refused', false])
})

test('a policy that wants an expiry is met with `expires`; without it the sentence says that the call was refused.', async () => {
  openai.rules.mostSeconds = 86_400 * 200
  const call = callOf()
  expect(
    kindOf(
      await open({ serviceAccount: app.id })
        .create(call, null, app.key)
        .catch((error: unknown) => error),
    ),
  ).toBe('refused')
  const rotator = open({ serviceAccount: app.id, expires: '120d' })
  const made = await rotator.create(call, null, app.key)
  openai.advance(86_400 * 121)
  expect(await rotator.verify(call, made)).toMatchObject({ works: false })
  openai.advance(-86_400 * 121)
  await rotator.revoke(call, made, app.key)
})

test('a new key that the cache does not know yet works later; when it was last used is known.', async () => {
  const [rotator, call] = [open({ serviceAccount: app.id }), callOf()]
  openai.rules.lag = { accept: 1, refuse: 0 }
  const made = await rotator.create(call, null, app.key)
  expect(await rotator.lastUsed!(call, made)).toBeNull()
  expect(await rotator.verify(call, made)).toMatchObject({ works: false, later: true })
  expect(await rotator.verify(call, made)).toMatchObject({ works: true })
  expect(await rotator.lastUsed!(call, made)).toBeGreaterThan(Date.now() - 3_600_000)
  await rotator.revoke(call, made, app.key)
  expect(await rotator.lastUsed!(call, made)).toBeUndefined()
})

test('what stands in the way is found before anything changes.', async () => {
  const call = callOf()
  const wrongAdmin = await open({}, 'sk-admin-wrong-0123456789').check(call, null)
  expect(wrongAdmin).toMatchObject([{ severity: 'fault', sentence: expect.stringContaining('401, invalid_api_key') }])
  expect(JSON.stringify(wrongAdmin)).not.toMatch(/sk-admin|6789/)
  expect(await open({ serviceAccount: 'user-none' }).check(call, null)).toMatchObject([{ severity: 'fault' }])
  expect(await open().check(call, { id: 'key_gone', parts: {} })).toMatchObject([{ severity: 'warning' }])
})

test.each(['createKey', 'listKeys'])('%s that is throttled is busy, and says for how long.', async (operation) => {
  const rotator = open({ serviceAccount: app.id })
  openai.faults.next(operation, { status: 429, headers: { 'retry-after': '7' } })
  const answer = operation === 'createKey' ? rotator.create(callOf(), null, null) : rotator.list!(callOf())
  expect(await answer.then(() => 'done', kindOf)).toBe('busy')
})

test('options that cannot be right are refused, and what stood there is not repeated.', () => {
  const right = { admin: { env: 'ADMIN' }, project: 'proj_a' }
  expect(options.safeParse(right).success).toBe(true)
  for (const wrong of [
    { admin: 'sk-admin-s3cret' },
    { project: 'a/b' },
    { serviceAccount: '../x' },
    { expires: 'soon' },
    { endpoint: 'https://me:s3cret@example.com' },
    { odd: 1 },
  ]) {
    const { success, error } = options.safeParse({ ...right, ...wrong })
    expect([wrong, success, JSON.stringify(error?.issues).includes('s3cret')]).toEqual([wrong, false, false])
  }
})

test('a list that is cut short is none: no service account is deleted because its other keys were not shown.', async () => {
  const shared = await account('keyturn-00000000-0000-4000-8000-000000000000')
  const rotator = open()
  const body = { object: 'list', data: [], first_id: null, last_id: null, has_more: true }
  openai.faults.next('listKeys', { status: 200, body }, { times: 2 })
  expect(await rotator.list!(callOf()).then(() => 'done', kindOf)).toBe('uncertain')
  expect(await rotator.revoke(callOf(), shared.key, app.key).then(() => 'done', kindOf)).toBe('uncertain')
  expect(openai.accounts()).toContain(shared.id)
})

test('an account of somebody whose name only begins like ours stays when its key is ended.', async () => {
  const person = await account('keyturn-staging')
  await open().revoke(callOf(), person.key, app.key)
  expect([openai.live().includes(person.key.id), openai.accounts().includes(person.id)]).toEqual([false, true])
})

test('a page of a proxy is no sign that a key works, and the key that remains is not ended.', async () => {
  openai.faults.next('models', { status: 200, body: '<html>Sign in to the network</html>' })
  expect(
    await open()
      .verify(callOf(), { id: 'key_x', parts: { value: 'sk-none' } })
      .then(() => 'done', kindOf),
  ).toBe('uncertain')
  expect(
    await open()
      .revoke(callOf(), app.key, app.key)
      .then(() => 'done', kindOf),
  ).toBe('refused')
  expect(openai.live()).toContain(app.key.id)
})
