import { expect, test } from 'vitest'
import { kidBytes, kidText, newKid } from './kid.ts'

test('an id is the base32 text of five bytes in lower case', () => {
  expect(kidText(Uint8Array.of(0, 1, 2, 3, 4))).toBe('aaaqeaye')
  expect(kidText(new Uint8Array(5).fill(255))).toBe('77777777')
  expect(kidBytes('aaaqeaye')).toEqual(Uint8Array.of(0, 1, 2, 3, 4))
})

test('every random id comes back, and no two are the same', () => {
  const ids = Array.from({ length: 2000 }, newKid)
  for (const id of ids) expect(kidText(kidBytes(id)!)).toBe(id)
  expect(new Set(ids).size).toBe(2000)
})

test.each(['', 'aaaqeay', 'aaaqeayee', 'AAAQEAYE', 'aaaqeay1', 'aaaqeay8', 'aaaqeay=', 'aaaqeay\n', ' aaaqeaye', 'äaaqeaye'])(
  '%j is no id',
  (text) => {
    expect(kidBytes(text)).toBeNull()
  },
)

test('other than five bytes have no id', () => {
  expect(() => kidText(new Uint8Array(4))).toThrow(RangeError)
})
