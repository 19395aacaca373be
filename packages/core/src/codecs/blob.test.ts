import { readFileSync } from 'node:fs'
import { describe, expect, test, vi } from 'vitest'
import { conformsToCodec } from '../../../../test/conformance/codec.ts'
import { errorCodes } from '../errors.ts'
import { staticVersion } from '../keyring/static-keyring.ts'
import blob, { type BlobOptions } from './blob.ts'

const drawnNext: number[][] = []
vi.mock('./aes-gcm/nonce.ts', async (original) => {
  const { fillNonce } = await original<typeof import('./aes-gcm/nonce.ts')>()
  return {
    fillNonce(target: Buffer, length: number) {
      fillNonce(target, length)
      target.set(drawnNext.shift() ?? [])
    },
  }
})

const context = { keyring: 'app', field: 'users.token', bound: [] }
const version = (key: string) => staticVersion('aaaqeaye', 1, 'active', Buffer.from(key, 'hex'))
const key = version('01'.repeat(32))

conformsToCodec(blob(), { authenticates: 'message', shortestClaimed: 16 })
conformsToCodec(blob({ order: 'iv.tag.ct', iv: 16 }), { authenticates: 'message', shortestClaimed: 16 })
conformsToCodec(blob({ encoding: 'bytes' }), { authenticates: 'message' })
conformsToCodec(blob({ encoding: 'bytes', order: 'iv.tag.ct' }), { authenticates: 'message' })

describe('values that ToolJet wrote', () => {
  const { vectors } = JSON.parse(readFileSync(new URL('../../../../test/vectors/tooljet.json', import.meta.url), 'utf8'))

  test.each(vectors as { name: string; key: string; plaintext: string; stored: string }[])('$name opens', ({ key, plaintext, stored }) => {
    expect(Buffer.from(blob().decrypt(stored, version(key), context)).toString('utf8')).toBe(plaintext)
    const bytes = Buffer.from(stored, 'base64')
    expect(Buffer.from(blob({ encoding: 'bytes' }).decrypt(bytes, version(key), context)).toString('utf8')).toBe(plaintext)
  })
})

test('the order says where the tag stands', () => {
  const stored = blob({ encoding: 'bytes', order: 'iv.tag.ct' }).encrypt(Buffer.from('secret'), key, context) as Buffer
  const [iv, tag, ciphertext] = [stored.subarray(0, 12), stored.subarray(12, 28), stored.subarray(28)]
  const other = blob({ encoding: 'bytes', order: 'iv.ct.tag' })
  expect(Buffer.from(other.decrypt(Buffer.concat([iv, ciphertext, tag]), key, context)).toString()).toBe('secret')
  expect(() => other.decrypt(stored, key, context)).toThrow(errorCodes.ERR_DECRYPT[1])
})

test('other writings of the same base64 do not open', () => {
  const codec = blob()
  for (let size = 0; size < 4; size++) {
    const stored = codec.encrypt(Buffer.alloc(size, 7), key, context) as string
    const variants = [stored.replace(/=+$/, ''), `${stored}=`, ` ${stored}`, stored.replace(/(.{8})/, '$1\n'), withSpareBits(stored)]
    for (const variant of variants.filter((each) => each !== stored)) {
      expect(() => codec.decrypt(variant, key, context)).toThrow(errorCodes.ERR_DECRYPT[1])
    }
  }
})

function withSpareBits(stored: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
  return stored.replace(/(.)(=+)$/, (_, last, padding) => alphabet[alphabet.indexOf(last) + 1] + padding)
}

test('a nonce that begins as a value of Keyturn is drawn again', () => {
  drawnNext.push([0x6b, 0x74, 0x00], [0x6b, 0x74, 0x0f], [0x6b, 0x74, 0x10])
  const stored = blob({ encoding: 'bytes' }).encrypt(Buffer.from('secret'), key, context) as Buffer
  expect(stored.subarray(0, 3)).toEqual(Buffer.from([0x6b, 0x74, 0x10]))
  expect(drawnNext).toEqual([])
})

test('options that make no format are refused', () => {
  expect(() => blob({ order: 'tag.iv.ct' } as object)).toThrow('option "order": it must be one of iv.ct.tag, iv.tag.ct')
  expect(() => blob({ encoding: 'hex' } as object)).toThrow('option "encoding": it must be one of base64, bytes')
  expect(() => blob({ iv: 8 } as BlobOptions)).toThrow('an integer from 12 to 32')
})
