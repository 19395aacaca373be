import { afterAll, beforeEach, expect, test } from 'vitest'
import { rotatorConformance } from '../../../../test/conformance/secrets/rotator.ts'
import { startOkta } from '../../../../test/doubles/okta.ts'
import { callOf, worldOf } from '../../../../test/harness/parts.ts'
import { kindOf } from '../outside/failure.ts'
import oktaApiToken, { options } from './okta-api-token.ts'

const okta = await startOkta()
const old = okta.makeToken('from before')
const first = { id: old.id, parts: { value: old.value } }
const open = (more: object = {}, admin = okta.adminToken) =>
  oktaApiToken(options.parse({ org: okta.origin, admin: { env: 'ADMIN' }, ...more }), worldOf({ ADMIN: admin }))
const alone = () => oktaApiToken(options.parse({ org: okta.origin }), worldOf({}))
const pasted = (value: string) => ({ id: null, parts: { value } })

beforeEach(() => okta.faults.clear())
afterAll(() => okta.stop())

rotatorConformance('okta-api-token', async () => {
  const own = await startOkta()
  return {
    config: { rotator: 'okta-api-token', admin: { env: 'ADMIN' }, org: own.origin },
    env: { ADMIN: own.adminToken },
    first: { value: own.makeToken('from before').value },
    templates: { OKTA_API_TOKEN: '{value}' },
    login: async ({ OKTA_API_TOKEN: token }) =>
      (await fetch(`${own.origin}/api/v1/users/me`, { headers: { authorization: `SSWS ${token}` } })).ok,
    // The administrator's is another use.
    live: async () => own.tokens().length - 1,
    person: async ({ attempt }) => ({ value: own.makeToken(`keyturn-${attempt}`).value }),
    close: () => own.stop(),
  }
})

test('a person makes the token, it is found by its name, and ended by its id.', async () => {
  const [rotator, call] = [open({ login: 'robot@example.com' }), callOf()]
  expect(await rotator.check(call, first)).toEqual([])
  const task = await rotator.task!(call, first)
  expect(task.instructions).toMatch(/robot@example\.com[\s\S]*keyturn-/)
  const { id, value } = okta.makeToken(`keyturn-${call.attempt}`)
  expect(value).toMatch(new RegExp(`^(?:${task.paste[0]!.pattern})$`, 'u'))
  for (const _ of [1, 2]) expect(await rotator.create(call, pasted(` ${value}\n`), first)).toEqual({ id, parts: { value } })
  expect(await rotator.verify(call, { id, parts: { value } })).toMatchObject({ works: true })
  for (const _ of [1, 2]) await rotator.revoke(call, { id, parts: {} }, first)
  expect(await rotator.verify(call, { id, parts: { value } })).toMatchObject({ works: false, later: false })
  expect(okta.tokens()).toContain(first.id)
})

test('without a token that may end others, each one ends itself.', async () => {
  const [rotator, call] = [alone(), callOf()]
  const { id, value } = okta.makeToken('whatever')
  const made = await rotator.create(call, pasted(value), first)
  expect(made).toEqual(pasted(value))
  for (const _ of [1, 2]) await rotator.revoke(call, made, first)
  expect(okta.tokens()).not.toContain(id)
  expect(await rotator.revoke(call, { id, parts: {} }, first).then(() => 'done', kindOf)).toBe('refused')
})

test.each([
  ['the token in use', () => old.value],
  ['a token that has another name', () => okta.makeToken('another name').value],
  ['a token that has ended', () => '00ended-0123456789-0123456789'],
  ['something else', () => 'not a token'],
  ['nothing', () => ''],
])('what is pasted is looked at: %s is refused, and not repeated.', async (_, value) => {
  const text = value()
  const error = await open()
    .create(callOf(), pasted(text), first)
    .catch((each: unknown) => each)
  expect(error).toMatchObject({ code: 'ERR_PROVIDED' })
  if (text !== '') expect(String(error)).not.toContain(text)
})

test('a token of another user is refused: it would end with that user.', async () => {
  const call = callOf()
  const { value } = okta.makeToken(`keyturn-${call.attempt}`)
  const error = await open({ login: 'someone.else@example.com' })
    .create(call, pasted(value), first)
    .catch((each: unknown) => each)
  expect(error).toMatchObject({ code: 'ERR_PROVIDED', message: expect.stringContaining('someone.else@example.com') })
})

test('the token in use is taken as it is, if it works.', async () => {
  const [rotator, call] = [open(), callOf()]
  expect(await rotator.adopt!(call, first.parts)).toEqual(pasted(old.value))
  expect(await rotator.adopt!(call, { value: '00nothing' }).then(() => 'done', kindOf)).toBe('refused')
})

test('a token that is refused is found before anything changes; one that is gone is a warning.', async () => {
  const found = await open({}, '00wrong-0123456789').check(callOf(), first)
  expect(found).toMatchObject([{ severity: 'fault', sentence: expect.stringContaining('401, E0000011') }])
  expect(JSON.stringify(found)).not.toContain('00wrong')
  expect(await open().check(callOf(), { id: '00Tgone', parts: {} })).toMatchObject([{ severity: 'warning' }])
})

test('a lost answer is uncertain, a throttled call busy, and both may be made again.', async () => {
  const [rotator, call] = [open(), callOf()]
  const { id } = okta.makeToken('repeated')
  okta.faults.next('deleteToken', 'drop')
  okta.faults.next('deleteToken', { status: 429 })
  const kinds: unknown[] = []
  for (const _ of [1, 2, 3]) kinds.push(await rotator.revoke(call, { id, parts: {} }, first).then(() => 'done', kindOf))
  expect(kinds).toEqual(['uncertain', 'busy', 'done'])
})

test('options that cannot be right are refused, and what stood there is not repeated.', () => {
  const right = { org: 'https://example.okta.com' }
  expect(options.safeParse(right).success).toBe(true)
  for (const wrong of [{ admin: '00s3cret' }, { org: 'example.okta.com' }, { org: 'https://me:s3cret@example.com' }, { odd: 1 }]) {
    const { success, error } = options.safeParse({ ...right, ...wrong })
    expect([wrong, success, JSON.stringify(error?.issues).includes('s3cret')]).toEqual([wrong, false, false])
  }
})

test('a page of a proxy is no sign that a token works, and the token that remains is not ended.', async () => {
  okta.faults.next('me', { status: 200, body: '<html>Sign in to the network</html>' })
  expect(
    await open()
      .verify(callOf(), first)
      .then(() => 'done', kindOf),
  ).toBe('uncertain')
  const [byId, byItself] = [first, { ...first, id: null }]
  for (const known of [byId, byItself])
    expect(
      await open()
        .revoke(callOf(), known, first)
        .then(() => 'done', kindOf),
    ).toBe('refused')
  expect(await open().verify(callOf(), first)).toMatchObject({ works: true })
})

test('a token that is to end itself with its own right is found before: after that nothing could be asked any more.', async () => {
  const found = await open({}, old.value).check(callOf(), first)
  expect(found).toMatchObject([{ severity: 'fault', sentence: expect.stringContaining('admin') }])
  expect(JSON.stringify(found)).not.toContain(old.value)
})
