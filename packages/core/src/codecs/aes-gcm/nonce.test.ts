import { expect, test } from 'vitest'
import { fillNonce } from './nonce.ts'

test('no nonce comes twice, across many fillings of the pool and lengths in any order', () => {
  const seen = new Set<string>()
  const count = 20_000
  for (let index = 0; index < count; index++) {
    const length = index % 3 === 0 ? 16 : 12
    const target = Buffer.alloc(length + 4)
    fillNonce(target, length)
    expect(target.readUInt32BE(length)).toBe(0)
    seen.add(target.toString('hex', 0, 12))
  }
  expect(seen.size).toBe(count)
  expect(seen.has('00'.repeat(12))).toBe(false)
})

test('a nonce that was handed out does not change when the pool is filled again', () => {
  const first = Buffer.alloc(12)
  fillNonce(first, 12)
  const before = first.toString('hex')
  for (let index = 0; index < 10_000; index++) fillNonce(Buffer.alloc(12), 12)
  expect(first.toString('hex')).toBe(before)
})
