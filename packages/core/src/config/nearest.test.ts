import fc from 'fast-check'
import { expect, test } from 'vitest'
import { distance, nearest, nearestNames } from './nearest.ts'

test('one step is a letter more, less, changed, or two exchanged', () => {
  expect([distance('app', 'apps'), distance('app', 'ap'), distance('app', 'abp'), distance('paln', 'plan')]).toEqual([1, 1, 1, 1])
  expect(distance('kitten', 'sitting')).toBe(3)
})

test('the distance is the same both ways, zero only for equal words, and at most the longer length', () => {
  const word = fc.string({ maxLength: 12 })
  fc.assert(
    fc.property(word, word, (a, b) => {
      const steps = distance(a, b)
      return steps === distance(b, a) && (steps === 0) === (a === b) && steps <= Math.max(a.length, b.length)
    }),
  )
})

test('a near name is suggested, a far one is not', () => {
  expect(nearest('ap', ['app', 'web'])).toBe('. Did you mean "app"?')
  expect(nearest('Rotate', ['rotate', 'resume'])).toBe('. Did you mean "rotate"?')
  expect(nearestNames('user', ['jira_configs', 'orders'])).toEqual([])
})

test('where none is near, a short list is shown whole and a long one not at all', () => {
  expect(nearest('zzz', ['web', 'app'])).toBe('. There are "app", "web"')
  expect(nearest('zzz', [])).toBe('')
  expect(
    nearest(
      'zzz',
      Array.from({ length: 9 }, (_, i) => `name${i}`),
    ),
  ).toBe('')
})
