import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { durationMs } from '../config/duration.ts'
import { KeyMaterial, KeyVersion, type KeyVersionFacts } from './key-version.ts'
import { Keyring } from './keyring.ts'
import { dueOf, type Policy } from './policy.ts'

const day = 86_400_000
const activatedAt = new Date('2026-01-01T00:00:00Z')
const after = (ms: number) => new Date(activatedAt.getTime() + ms)

function version(id: string, more: Partial<KeyVersionFacts> = {}): KeyVersion {
  const facts: KeyVersionFacts = {
    id,
    number: 1,
    state: 'active',
    compromised: false,
    createdAt: activatedAt,
    activatedAt,
    retiredAt: null,
    destroyedAt: null,
    ...more,
  }
  return new KeyVersion(facts, new KeyMaterial(randomBytes(32)))
}

const keyring = new Keyring('app', 1, [version('aaaqeaye')])
const words = (policy: Policy, { used = 0, now = activatedAt, of = keyring } = {}) =>
  dueOf(of, new Map([['aaaqeaye', used]]), policy, now).due.map((sentence) => sentence.split(':')[0])

test('by age: nothing, then soon in the last tenth of the period, then rotate once it is over', () => {
  const policy = { period: '90d' }
  expect(words(policy, { now: after(80 * day) })).toEqual([])
  expect(words(policy, { now: after(82 * day) })).toEqual(['soon'])
  expect(words(policy, { now: after(90 * day) })).toEqual(['soon'])
  expect(words(policy, { now: after(90 * day + 1) })).toEqual(['rotate'])
  expect(dueOf(keyring, new Map(), policy, activatedAt).dueAt).toEqual(new Date('2026-04-01T00:00:00Z'))
  expect(dueOf(keyring, new Map(), {}, after(9_000 * day))).toMatchObject({ due: [], dueAt: null })
})

test('by messages: soon from half of the limit on, rotate at the limit, and never less than none are left', () => {
  const policy = { messages: 1000 }
  expect([499, 500, 999, 1000, 5000].map((used) => words(policy, { used })[0])).toEqual([undefined, 'soon', 'soon', 'rotate', 'rotate'])
  const left = (used: number, of: Policy) => dueOf(keyring, new Map([['aaaqeaye', used]]), of, activatedAt).messagesLeft
  expect([left(0, policy), left(400, policy), left(5000, policy)]).toEqual([1000, 600, 0])
  expect([2 ** 30 - 1, 2 ** 30, 2 ** 31].map((used) => words({}, { used })[0])).toEqual([undefined, 'soon', 'rotate'])
  expect(left(1, {})).toBe(2 ** 31 - 1)
})

test('messages under other versions do not count', () => {
  const two = new Keyring('app', 1, [version('aaaqeaye'), version('bbbqeaye', { number: 2, state: 'retiring' })])
  expect(dueOf(two, new Map([['bbbqeaye', 5000]]), { messages: 1000 }, activatedAt)).toMatchObject({ due: [], messagesLeft: 1000 })
})

test('a compromised active key is due at once', () => {
  expect(words({}, { of: new Keyring('app', 1, [version('aaaqeaye', { compromised: true })]) })).toEqual(['rotate'])
})

test('a retired version is due for destruction when its horizon is over, and only where there is one', () => {
  const retired = version('bbbqeaye', { number: 2, state: 'retired', retiredAt: after(day) })
  const retiring = version('cccqeaye', { number: 3, state: 'retiring' })
  const of = new Keyring('app', 1, [version('aaaqeaye'), retired, retiring])
  expect(words({ horizon: '35d' }, { of, now: after(36 * day) })).toEqual([])
  expect(words({ horizon: '35d' }, { of, now: after(36 * day + 1) })).toEqual(['destroy'])
  expect(words({}, { of, now: after(400 * day) })).toEqual([])
})

test('a period is a whole number of days, weeks, hours or minutes, and nothing else', () => {
  expect([durationMs('90d'), durationMs('2w'), durationMs('12h'), durationMs('30m')]).toEqual([90 * day, 14 * day, day / 2, 1_800_000])
  for (const text of ['', '0d', '90', 'd', '1.5d', '-1d', '3months', '90d ', '9999999d']) expect(() => durationMs(text)).toThrow(RangeError)
})
