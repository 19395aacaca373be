import { expect, test } from 'vitest'
import { wakingClock } from './waking-clock.ts'

/** A machine whose clocks the test moves. */
function machine() {
  const at = { monotonic: 5_000, timeOfDay: 1_800_000_000_000 }
  const now = wakingClock(
    () => at.monotonic,
    () => at.timeOfDay,
  )
  const pass = (monotonicMs: number, timeOfDayMs: number) => {
    at.monotonic += monotonicMs
    at.timeOfDay += timeOfDayMs
    return now()
  }
  return { pass }
}

test('time that the machine was asleep counts, once', () => {
  const { pass } = machine()
  expect(pass(10, 10)).toBe(5_010)
  expect(pass(10, 3_600_010)).toBe(3_605_020)
  expect(pass(10, 10)).toBe(3_605_030)
})

test('a time of day that is set back, or corrected bit by bit, changes nothing', () => {
  const { pass } = machine()
  expect(pass(10, -3_600_000)).toBe(5_010)
  for (let n = 1; n <= 100; n++) expect(pass(100, 199)).toBe(5_010 + 100 * n)
})
