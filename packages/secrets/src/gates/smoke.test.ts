import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { gateConformance } from '../../../../test/conformance/secrets/gate.ts'
import { type Answer, type Asked as Came, credentialOf, type Double, startDouble } from '../../../../test/doubles/faults.ts'
import { callOf, worldOf } from '../../../../test/harness/parts.ts'
import type { Asked } from '../secret/gate.ts'
import smoke, { options } from './smoke.ts'

let double: Double
let came: Came
const known = new Set<string>()

beforeAll(async () => {
  const answer = (asked: Came): Answer => {
    came = asked
    const good = known.has(credentialOf(asked)) || known.has(Buffer.from(credentialOf(asked, 'Basic'), 'base64').toString('utf8'))
    // As some do: with the credential in the refusal.
    return good ? { status: 200, body: { user: { active: true } } } : { status: 401, body: { error: `bad token ${credentialOf(asked)}` } }
  }
  double = await startDouble(['GET', 'POST'].map((method) => ({ name: method, method, path: /^\/me$/, answer })))
})
afterAll(() => double.stop())
beforeEach(() => {
  known.clear()
  known.add('the new one').add('app:new/pass')
})

const open = (more: object) => smoke(options.parse({ url: `${double.origin}/me`, ...more }), worldOf({ TOKEN: 'the new one' }))
const current = { id: null, parts: { value: 'the new one', user: 'app', password: 'new/pass' } }
const previous = { id: null, parts: { value: 'the old one' } }
const look = (more: object, asked: Partial<Asked> = {}) =>
  open(more).look(callOf(), { before: null, since: 0, current, previous, ...asked })

test('the new credential is sent where the template has it, and must be taken.', async () => {
  expect(await look({ headers: { authorization: 'Bearer {current.value}' } })).toEqual({
    works: true,
    sentence: expect.stringMatching(/answered 200$/),
  })
  expect(await look({ headers: { authorization: 'Bearer {value}' }, path: '.user.active' })).toMatchObject({ works: true })
  expect(await look({ basic: { user: '{user}', password: '{password}' } })).toMatchObject({ works: true })
  known.clear()
  const refused = await look({ headers: { authorization: 'Bearer {current.value}' } })
  expect(refused).toEqual({ works: false, later: true, sentence: expect.stringMatching(/answered 401$/) })
})

test('body, method and a value of the environment are sent as they are given.', async () => {
  const sent = {
    method: 'POST',
    headers: { 'content-type': 'text/plain', authorization: 'Bearer {value}', 'x-other': { env: 'TOKEN' } },
    body: 'a {{b} {user}',
  }
  expect(await look(sent)).toMatchObject({ works: true })
  expect(came).toMatchObject({ method: 'POST', headers: { 'x-other': 'the new one', 'content-type': 'text/plain' } })
  expect(came.body.toString()).toBe('a {b} app')
})

test('the old credential can be asked with: to be taken still, or to be refused already.', async () => {
  const old = { headers: { authorization: 'Bearer {previous.value}' } }
  expect(await look({ ...old, status: [401, 403] })).toMatchObject({ works: true })
  expect(await look(old)).toMatchObject({ works: false })
  expect(await look(old, { previous: null })).toMatchObject({ works: true, sentence: expect.stringContaining('no earlier') })
})

test('a look beforehand needs the variables, and nobody uses the next one yet.', async () => {
  expect(await open({ headers: { authorization: { env: 'TOKEN' } } }).check(callOf())).toEqual([])
  expect(await open({ headers: { authorization: 'Bearer {next.value}' } }).check(callOf())).toMatchObject([{ severity: 'fault' }])
  await expect(open({ headers: { authorization: { env: 'MISSING' } } }).check(callOf())).rejects.toThrow()
})

gateConformance('smoke', async () => {
  let isGood = true
  const answer = (one: Came): Answer => {
    const given = credentialOf(one)
    return isGood && given === 's3cret-value' ? { status: 200 } : { status: 401, body: { error: `bad token ${given}` } }
  }
  const own = await startDouble([{ name: 'me', method: 'GET', path: /^\/me$/, answer }])
  const more = { url: `${own.origin}/me`, headers: { authorization: 'Bearer {current.value}' } }
  const turn = (good: boolean) => {
    own.faults.clear()
    isGood = good
  }
  return {
    part: () => smoke(options.parse(more), worldOf({})),
    asked: { before: null, since: 0, current: { id: null, parts: { value: 's3cret-value' } }, previous },
    secrets: ['s3cret-value'],
    make: {
      well: () => turn(true),
      ill: () => turn(false),
      down: () => own.faults.next('me', 'cut', { times: 1_000 }),
      silent: () => own.faults.next('me', 'silent'),
    },
    isAsked: () => own.calls.at(-1)?.fault === 'silent',
    state: async () => own.calls.filter(({ operation }) => operation !== 'me'),
    close: () => own.stop(),
  }
})
