import { expect, test } from 'vitest'
import { matchesRedacted } from './redacted.ts'

test.each([
  ['sk-ant-api03-R2Dxxxxxxxxxxxxxxxxigaa', 'sk-ant-api03-R2D...igaa', true],
  ['sk-proj-0123456789abcd', 'sk-pr****abcd', true],
  ['sk-proj-0123456789abcd', 'sk-pr…abcd', true],
  ['sk-proj-0123456789abcd', 'sk-pr...wxyz', false],
  ['sk-proj-0123456789abcd', 'sk-ab...abcd', false],
  // Too little is shown, nothing is hidden, or more is shown than there is.
  ['sk-proj-0123456789abcd', 'sk-pr...', false],
  ['sk-proj-0123456789abcd', 'sk-proj-0123456789abcd', false],
  ['abcd', 'abcd...abcd', false],
])('of %s is shown %s: %s', (value, redacted, matches) => {
  expect(matchesRedacted(value, redacted)).toBe(matches)
})
