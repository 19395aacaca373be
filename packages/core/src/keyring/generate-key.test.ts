import { expect, test } from 'vitest'
import local from '../key-wrappers/local.ts'
import { generateKey } from './generate-key.ts'
import { keyFromText } from './key-rule.ts'

test('a generated key is a key by the rule of its name, and no two are the same', () => {
  for (const format of ['hex', 'base64', 'base64url'] as const) {
    const keys = Array.from({ length: 50 }, () => generateKey({ format }))
    expect(new Set(keys).size).toBe(50)
    for (const key of keys) {
      keyFromText(key, format, 'key')
      local({ key })
    }
  }
  keyFromText(generateKey({ format: 'chars' }), 'utf8', 'key')
  expect(generateKey({ format: 'hex', bytes: 64 })).toHaveLength(128)
  expect(generateKey({ format: 'chars', length: 40 })).toHaveLength(40)
})

test('no key has a line break or a character that a shell would read', () => {
  for (const format of ['hex', 'base64url', 'chars'] as const) {
    for (let n = 0; n < 50; n++) expect(generateKey({ format })).toMatch(/^[A-Za-z0-9_-]+$/)
  }
})

test('each letter and digit is equally likely', () => {
  const counts = new Map<string, number>()
  const drawn = 62 * 1000
  for (let n = 0; n < drawn / 1000; n++) {
    for (const character of generateKey({ format: 'chars', length: 1000 })) counts.set(character, (counts.get(character) ?? 0) + 1)
  }
  expect(counts.size).toBe(62)
  // Chi-squared with 61 degrees of freedom: above 130 once in more than a million runs. A byte taken modulo 62 gives about 400.
  const chi = [...counts.values()].reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0)
  expect(chi).toBeLessThan(130)
})

test.each([
  [{ format: 'hex', bytes: 15 }],
  [{ format: 'hex', bytes: 1.5 }],
  [{ format: 'hex', bytes: 1025 }],
  [{ format: 'chars', length: 21 }],
  [{ format: 'chars', bytes: 32 }],
  [{ format: 'base64', length: 32 }],
] as const)('%j is refused', (format) => {
  expect(() => generateKey(format)).toThrow(/key/)
})
