import { expect, test } from 'vitest'
import { timeOf } from './line-time.ts'

const at = Date.UTC(2026, 10, 21, 22, 5, 6)

test.each([
  ['2026-11-21T22:05:06Z ERROR', at],
  ['2026-11-21 22:05:06.123 UTC [77] FATAL:  password authentication failed', at + 123],
  ['Nov host 2026-11-21T23:05:06,5+01:00 x', at + 500],
  ['2026-11-21T20:05:06.123456-0200', at + 123],
  ['{"level":50,"time":1795298706000,"msg":"x"}', at],
  ['{"ts":1795298706.5,"msg":"x"}', at + 500],
  ['10.0.0.1 - - [21/Nov/2026:23:05:06 +0100] "GET / HTTP/1.1" 401', at],
])('a line says when it was written: %s', (line, time) => {
  expect(timeOf(line)).toBe(time)
})

test('a time without a zone is one of this machine.', () => {
  expect(timeOf('2026-11-21 22:05:06 x')).toBe(new Date(2026, 10, 21, 22, 5, 6).getTime())
})

test('a line without a time has none.', () => {
  for (const line of [
    '',
    '    at foo (bar.js:1:2)',
    '2026-99-99T99:99:99Z',
    '"time":12',
    '21/Foo/2026:22:05:06 +0000',
    `${' '.repeat(400)}2026-11-21T22:05:06Z`,
  ])
    expect(timeOf(line), line).toBeNull()
})
