import { expect, test } from 'vitest'
import type { Throttle } from '../keyturn.ts'
import { Pace } from './pace.ts'

/** A pace whose rests are noted and not slept. */
function paceOf(throttle?: Throttle) {
  const rests: number[] = []
  const pace = new Pace(throttle, async (ms) => {
    rests.push(ms)
  })
  return { pace, rests }
}

test('the size follows the time target, by at most a factor of two', () => {
  const { pace } = paceOf({ targetMs: 100 })
  const sizes = [pace.size]
  for (const tookMs of [1, 80, 200, 10_000]) {
    pace.note(pace.size, tookMs)
    sizes.push(pace.size)
  }
  expect(sizes).toEqual([256, 512, 640, 320, 160])
})

test('the size stays between 16 and 5,000', () => {
  const { pace } = paceOf()
  for (let batch = 0; batch < 20; batch++) pace.note(pace.size, 1)
  expect(pace.size).toBe(5_000)
  for (let batch = 0; batch < 20; batch++) pace.note(pace.size, 60_000)
  expect(pace.size).toBe(16)
})

test('a batch that was hardly filled says nothing about the size', () => {
  const { pace } = paceOf()
  pace.note(10, 1)
  expect(pace.size).toBe(256)
})

test('contention halves the size, down to one row, and makes a rest', async () => {
  const { pace, rests } = paceOf({ targetMs: 100, share: 1 })
  const sizes = Array.from({ length: 10 }, () => {
    pace.backOff()
    return pace.size
  })
  expect(sizes).toEqual([128, 64, 32, 16, 8, 4, 2, 1, 1, 1])
  await pace.rest()
  expect(rests).toEqual([100])
})

test('it works only its share of the time', async () => {
  for (const [share, owed] of [
    [0.5, 80],
    [0.25, 240],
    [0.01, 7920],
    [0, 7920],
  ] as const) {
    const { pace, rests } = paceOf({ share })
    pace.note(256, 80)
    await pace.rest()
    expect(rests.map(Math.round)).toEqual([owed])
  }
})

test('at a share of one it does not rest, and a rest is owed once', async () => {
  const whole = paceOf({ share: 1 })
  whole.pace.note(256, 80)
  await whole.pace.rest()
  expect(whole.rests).toEqual([])
  const { pace, rests } = paceOf({ share: 0.5 })
  pace.note(256, 80)
  await pace.rest()
  await pace.rest()
  expect(rests).toEqual([80])
})

test('rows a second are a limit, whatever the share, and no batch is larger than a second of them', async () => {
  const { pace, rests } = paceOf({ share: 1, rowsPerSecond: 50 })
  expect(pace.size).toBe(50)
  pace.note(50, 200)
  await pace.rest()
  expect(rests).toEqual([800])
  expect(pace.size).toBe(25)
  pace.note(25, 1)
  pace.note(50, 1)
  expect(pace.size).toBe(50)
  const slow = paceOf({ rowsPerSecond: 0.5 })
  expect(slow.pace.size).toBe(1)
  slow.pace.note(1, 1)
  await slow.pace.rest()
  expect(slow.rests).toEqual([1_999])
})
