import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type BoundType, canonicalBytes } from './bound.ts'

interface Vector {
  readonly type: BoundType
  readonly value: unknown
  readonly canonical: string
}
const { bound } = JSON.parse(readFileSync(new URL('../../../../spec/vectors/kt1.json', import.meta.url), 'utf8')) as {
  readonly bound: { readonly valid: readonly Vector[]; readonly invalid: readonly Vector[] }
}

test.each(bound.valid)('$type $value has its canonical bytes', ({ type, value, canonical }) => {
  expect(Buffer.from(canonicalBytes(type, value) ?? []).toString('hex')).toBe(canonical)
})

test.each(bound.invalid)('$type $value is refused', ({ type, value }) => {
  expect(canonicalBytes(type, value)).toBeNull()
})

test('an integer has the same bytes as a number, a big integer and text', () => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), (value) => {
      const each = [value, BigInt(value), String(value)].map((form) => Buffer.from(canonicalBytes('int', form) ?? []).toString())
      expect(each).toEqual([String(value), String(value), String(value)])
    }),
  )
})

test('an integer reaches exactly to the ends of int8', () => {
  for (const end of [2n ** 63n - 1n, -(2n ** 63n)]) expect(Buffer.from(canonicalBytes('int', end) ?? []).toString()).toBe(String(end))
  for (const beyond of [2n ** 63n, -(2n ** 63n) - 1n]) expect(canonicalBytes('int', beyond)).toBeNull()
})

test('bytes are copied, because drivers fill their buffers again', () => {
  const given = Buffer.from([1, 2, 3])
  const canonical = canonicalBytes('bytes', given)
  given.fill(9)
  expect(canonical).toEqual(Buffer.from([1, 2, 3]))
  expect(canonicalBytes('bytes', 'text')).toBeNull()
  expect(canonicalBytes('bytes', new DataView(new ArrayBuffer(2)))).toBeNull()
})
