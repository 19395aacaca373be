import { expect, test } from 'vitest'
import { dueOf, intoWindow } from './schedule.ts'

const at = (text: string) => Date.parse(`2026-11-${text}:00Z`)
const rotator = { rotator: 'random' }

test('a secret is due when its interval is over; without one never, and at once when it was never rotated', () => {
  const [since, now] = [at('01T00:00'), at('21T12:00')]
  expect(dueOf('a', { rotator }, { since, now })).toEqual({ at: null, overdue: false, beginsAt: null })
  expect(dueOf('a', { rotator, every: '30d' }, { since, now })).toEqual({ at: since + 30 * 86_400_000, overdue: false, beginsAt: null })
  expect(dueOf('a', { rotator, every: '7d' }, { since, now })).toMatchObject({ at: at('08T00:00'), overdue: true })
  expect(dueOf('a', { rotator, every: '7d', automatic: true }, { since: null, now })).toEqual({ at: now, overdue: true, beginsAt: now })
})

test('it begins within the jitter, and every server says the same', () => {
  const config = { rotator, every: '30d', jitter: '2h', automatic: true } as const
  const [since, now] = [at('01T00:00'), at('02T00:00')]
  const begins = ['a', 'b', 'c', 'd'].map((name) => dueOf(name, config, { since, now }).beginsAt ?? 0)
  expect(begins).toEqual(['a', 'b', 'c', 'd'].map((name) => dueOf(name, config, { since, now }).beginsAt))
  expect(new Set(begins).size).toBe(4)
  for (const each of begins) expect(each - since - 30 * 86_400_000).toBeGreaterThanOrEqual(0)
  for (const each of begins) expect(each - since - 30 * 86_400_000).toBeLessThanOrEqual(7_200_000)
})

test.each([
  ['21T12:00', undefined, '21T12:00'],
  ['21T03:00', '02:00-05:00', '21T03:00'],
  ['21T01:00', '02:00-05:00', '21T02:00'],
  ['21T05:00', '02:00-05:00', '22T02:00'],
  ['21T23:30', '22:00-04:00', '21T23:30'],
  ['21T03:59', '22:00-04:00', '21T03:59'],
  ['21T04:00', '22:00-04:00', '21T22:00'],
  ['21T12:00', '00:00-00:00', '21T12:00'],
])('due at %s, in the window %s: begins at %s', (due, window, begins) => {
  expect(intoWindow(at(due), window, at('01T00:00'))).toBe(at(begins))
})

test('what is overdue waits for its window, too', () => {
  expect(intoWindow(at('01T00:00'), '02:00-05:00', at('21T06:00'))).toBe(at('22T02:00'))
  expect(intoWindow(at('01T00:00'), undefined, at('21T06:00'))).toBe(at('21T06:00'))
})
