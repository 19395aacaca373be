import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { conformsToCodec } from '../../../../test/conformance/codec.ts'
import { errorCodes } from '../errors.ts'
import { staticVersion } from '../keyring/static-keyring.ts'
import hexColon, { type HexColonOptions } from './hex-colon.ts'

const context = { keyring: 'app', field: 'users.token', bound: [] }
const version = (key: string) => staticVersion('aaaqeaye', 1, 'active', Buffer.from(key, 'hex'))

conformsToCodec(hexColon(), { authenticates: 'message', shortestClaimed: 16 })
conformsToCodec(hexColon({ order: 'ct.iv.tag', iv: 16 }), { authenticates: 'message', shortestClaimed: 16 })

describe.each(['langfuse', 'formbricks', 'formbricks-latin1key'])('values that %s wrote', (name) => {
  const { options, vectors } = JSON.parse(readFileSync(new URL(`../../../../test/vectors/${name}.json`, import.meta.url), 'utf8'))
  const codec = hexColon(options as HexColonOptions)

  test.each(vectors as { name: string; key: string; plaintext: string; stored: string }[])('$name opens', ({ key, plaintext, stored }) => {
    expect(codec.matches(stored)).toBe(true)
    expect(Buffer.from(codec.decrypt(stored, version(key), context)).toString('utf8')).toBe(plaintext)
  })
})

test('without options the order is IV, tag, ciphertext and the IV has 12 bytes', () => {
  expect(hexColon().encrypt(Buffer.from('secret'), version('01'.repeat(32)), context)).toMatch(/^[0-9a-f]{24}:[0-9a-f]{32}:[0-9a-f]{12}$/)
})

test('every order and length of IV has its own shape and opens what it wrote', () => {
  for (const order of ['iv.tag.ct', 'iv.ct.tag', 'tag.iv.ct', 'tag.ct.iv', 'ct.iv.tag', 'ct.tag.iv'] as const) {
    const codec = hexColon({ order, iv: 16 })
    const stored = codec.encrypt(Buffer.from('secret'), version('01'.repeat(32)), context) as string
    const lengths = { iv: 32, tag: 32, ct: 12 } as Record<string, number>
    expect(stored.split(':').map((segment) => segment.length)).toEqual(order.split('.').map((part) => lengths[part]))
    expect(Buffer.from(codec.decrypt(stored, version('01'.repeat(32)), context)).toString()).toBe('secret')
  }
})

test('upper-case digits are not read, and are claimed', () => {
  const codec = hexColon()
  const upper = (codec.encrypt(Buffer.from('secret'), version('01'.repeat(32)), context) as string).toUpperCase()
  expect([codec.matches(upper), codec.claims(upper)]).toEqual([false, true])
  expect(() => codec.decrypt(upper, version('01'.repeat(32)), context)).toThrow(errorCodes.ERR_DECRYPT[1])
})

test('a key of another length is named as the fault', () => {
  expect(() => hexColon().encrypt(Buffer.from('x'), version('01'.repeat(16)), context)).toThrow('it must have 32 bytes')
})

test('options that make no format are refused', () => {
  for (const iv of [8, 33, 12.5, '12', null]) expect(() => hexColon({ iv } as HexColonOptions)).toThrow('an integer from 12 to 32')
  expect(() => hexColon({ order: 'iv.ct' } as object)).toThrow('option "order": it must be one of iv.tag.ct, iv.ct.tag')
  expect(() => hexColon({ tag: 16 } as object)).toThrow('there is no option "tag". Options: order, iv')
})
