import { expect, test } from 'vitest'
import { hasBreak } from './agreed.ts'

test('line breaks and other controls are found, letters are not.', () => {
  expect(['a\nb', 'a\r', '\u0085', 'a\u2029', '\t', '\0'].map(hasBreak)).toEqual(Array(6).fill(true))
  expect(['', 'a b', 'ä+/=_-'].map(hasBreak)).toEqual([false, false, false])
})
