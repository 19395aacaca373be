import { expect, test } from 'vitest'
import { summary } from './result.ts'

test.each([
  [0, 0, '0 rows re-encrypted across 0 tables'],
  [1, 1, '1 row re-encrypted across 1 table'],
  [1204, 5, '1,204 rows re-encrypted across 5 tables'],
  [1234567, 1, '1,234,567 rows re-encrypted across 1 table'],
])('%i rows in %i tables, in words', (rows, tables, words) => {
  expect(summary({ rows, tables })).toBe(words)
})
