import { afterAll, beforeEach, expect, test } from 'vitest'
import { rotatorConformance } from '../../../../test/conformance/secrets/rotator.ts'
import { startAnthropic } from '../../../../test/doubles/anthropic.ts'
import { callOf, worldOf } from '../../../../test/harness/parts.ts'
import { kindOf } from '../outside/failure.ts'
import anthropicKey, { options } from './anthropic-key.ts'

const anthropic = await startAnthropic()
const old = anthropic.makeKey('from before')
const first = { id: old.id, parts: { value: old.value } }
const open = (more: object = {}, admin = anthropic.adminKey) =>
  anthropicKey(options.parse({ admin: { env: 'ADMIN' }, endpoint: anthropic.origin, ...more }), worldOf({ ADMIN: admin }))
const alone = () => anthropicKey(options.parse({ endpoint: anthropic.origin }), worldOf({}))
const pasted = (value: string) => ({ id: null, parts: { value } })

beforeEach(() => {
  anthropic.faults.clear()
  Object.assign(anthropic.rules, { most: { workspace: 100, organization: 1_000 }, olderShape: false, lag: { refuse: 0 } })
})
afterAll(() => anthropic.stop())

rotatorConformance('anthropic-key', async () => {
  const own = await startAnthropic()
  const headers = (key: string) => ({ 'x-api-key': key, 'anthropic-version': '2023-06-01' })
  return {
    config: { rotator: 'anthropic-key', admin: { env: 'ADMIN' }, endpoint: own.origin },
    env: { ADMIN: own.adminKey },
    first: { value: own.makeKey('from before').value },
    templates: { ANTHROPIC_API_KEY: '{value}' },
    login: async ({ ANTHROPIC_API_KEY: key = '' }) => (await fetch(`${own.origin}/v1/models`, { headers: headers(key) })).ok,
    live: async () => own.live().length,
    person: async ({ attempt }) => ({ value: own.makeKey(`keyturn-${attempt}`).value }),
    close: () => own.stop(),
  }
})

test('a person makes the key, the rest is done by the API: found by its hint, switched off and on, archived.', async () => {
  const [rotator, call] = [open(), callOf()]
  expect(await rotator.check(call, first)).toEqual([])
  const task = await rotator.task!(call, first)
  expect(task.instructions).toContain(`keyturn-${call.attempt}`)
  const { id, value } = anthropic.makeKey(`keyturn-${call.attempt}`)
  expect(value).toMatch(new RegExp(`^(?:${task.paste[0]!.pattern})$`, 'u'))
  for (const _ of [1, 2]) expect(await rotator.create(call, pasted(` ${value}\n`), first)).toEqual({ id, parts: { value } })
  const made = { id, parts: { value } }
  expect(await rotator.verify(call, made)).toMatchObject({ works: true })
  for (const _ of [1, 2]) await rotator.disable!(call, made)
  expect(await rotator.verify(call, made)).toMatchObject({ works: false })
  for (const _ of [1, 2]) await rotator.enable!(call, made)
  expect(await rotator.verify(call, made)).toMatchObject({ works: true })
  for (const _ of [1, 2]) await rotator.revoke(call, { id, parts: {} }, first)
  expect(anthropic.statusOf(id)).toBe('archived')
})

test.each([
  ['the key in use', () => old.value],
  ['a key that was switched off', () => anthropic.makeKey('off').value.replace(/.{6}AA$/, 'wrongAA')],
  ['something else', () => 'sk-ant-admin01-not-a-key-of-the-api-0123456789'],
  ['nothing', () => ''],
])('what is pasted is looked at: %s is refused, and not repeated.', async (_, value) => {
  const text = value()
  const error = await open()
    .create(callOf(), pasted(text), first)
    .catch((each: unknown) => each)
  expect(error).toMatchObject({ code: 'ERR_PROVIDED' })
  if (text !== '') expect(String(error)).not.toContain(text)
})

test.each([false, true])('a key of another workspace is refused (older form of the answer: %s).', async (olderShape) => {
  anthropic.rules.olderShape = olderShape
  const [rotator, call] = [open({ workspace: 'wrkspc_app' }), callOf()]
  const elsewhere = anthropic.makeKey(`keyturn-${call.attempt}`, 'wrkspc_other')
  await expect(rotator.create(call, pasted(elsewhere.value), first)).rejects.toMatchObject({ code: 'ERR_PROVIDED' })
  const right = anthropic.makeKey('any name', 'wrkspc_app')
  expect((await rotator.create(call, pasted(right.value), first)).id).toBe(right.id)
})

test('a key that cannot be switched on again says why.', async () => {
  const [rotator, call] = [open(), callOf()]
  const { id } = anthropic.makeKey('full')
  await rotator.disable!(call, { id, parts: {} })
  anthropic.rules.most = { workspace: 1, organization: 1_000 }
  const error = await rotator.enable!(call, { id, parts: {} }).catch((each: unknown) => each)
  expect([kindOf(error), String(error)]).toEqual(['refused', expect.stringContaining('workspace_api_key_limit_exceeded')])
})

test('the key in use is known by its hint.', async () => {
  const [rotator, call] = [open(), callOf()]
  expect(await rotator.adopt!(call, first.parts)).toEqual(first)
  expect(await rotator.adopt!(call, { value: 'sk-ant-api03-unknown' }).then(() => 'done', kindOf)).toBe('refused')
})

test('without an Admin API key a person also ends the old key, and it is tried until it is refused.', async () => {
  const [rotator, call] = [alone(), callOf()]
  expect(await rotator.check(call, null)).toMatchObject([{ severity: 'warning' }])
  const { id, value } = anthropic.makeKey('mine')
  expect(await rotator.create(call, pasted(value), null)).toEqual(pasted(value))
  expect([rotator.disable, rotator.adopt]).toEqual([undefined, undefined])
  expect((await rotator.revocation!(call, pasted(value))).paste).toEqual([])
  expect(await rotator.revoke(call, pasted(value), null).then(() => 'done', kindOf)).toBe('refused')
  await open().revoke(call, { id, parts: {} }, null)
  await rotator.revoke(call, pasted(value), null)
  expect(await rotator.verify(call, pasted(value))).toMatchObject({ works: false, later: false })
})

test('an Admin API key that is refused is found before anything changes, and is not repeated.', async () => {
  const found = await open({}, 'sk-ant-admin01-wrong').check(callOf(), first)
  expect(found).toMatchObject([{ severity: 'fault', sentence: expect.stringContaining('401, authentication_error') }])
  expect(JSON.stringify(found)).not.toContain('sk-ant')
})

test('a lost answer is uncertain, a throttled call busy, and both may be made again.', async () => {
  const [rotator, call] = [open(), callOf()]
  const { id } = anthropic.makeKey('repeated')
  anthropic.faults.next('updateKey', 'drop')
  anthropic.faults.next('updateKey', { status: 429, headers: { 'retry-after': '1' } })
  const kinds: unknown[] = []
  for (const _ of [1, 2, 3]) kinds.push(await rotator.revoke(call, { id, parts: {} }, first).then(() => 'done', kindOf))
  expect(kinds).toEqual(['uncertain', 'busy', 'done'])
})

test('options that cannot be right are refused, and what stood there is not repeated.', () => {
  const right = {}
  expect(options.safeParse(right).success).toBe(true)
  for (const wrong of [{ admin: 'sk-ant-admin-s3cret' }, { workspace: 'a b' }, { endpoint: 'https://me:s3cret@example.com' }, { odd: 1 }]) {
    const { success, error } = options.safeParse({ ...right, ...wrong })
    expect([wrong, success, JSON.stringify(error?.issues).includes('s3cret')]).toEqual([wrong, false, false])
  }
})

test('a page of a proxy is no sign that a key works, a refusal by place none that it has ended, and the key that remains is not ended.', async () => {
  const [rotator, call] = [open(), callOf()]
  anthropic.faults.next('models', { status: 200, body: '<html>Sign in to the network</html>' })
  expect(await rotator.verify(call, first).then(() => 'done', kindOf)).toBe('uncertain')
  anthropic.faults.next('models', { status: 403 }, { times: 2 })
  expect(await rotator.verify(call, first)).toMatchObject({ works: false, later: true })
  expect(
    await alone()
      .revoke(call, first, null)
      .then(() => 'done', kindOf),
  ).toBe('refused')
  expect(await rotator.revoke(call, first, first).then(() => 'done', kindOf)).toBe('refused')
  expect(anthropic.statusOf(first.id)).toBe('active')
})

test('a list that is cut short is none.', async () => {
  anthropic.faults.next('listKeys', { status: 200, body: { data: [], first_id: null, last_id: null, has_more: true } })
  expect(await open().adopt!(callOf(), first.parts).then(() => 'done', kindOf)).toBe('uncertain')
})
