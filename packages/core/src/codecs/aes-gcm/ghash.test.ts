import { createCipheriv, createSecretKey, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { count } from '../../../../../test/harness/counts.ts'
import { hashBlocks, tablesOf } from './ghash.ts'

/** OpenSSL's GHASH of whole blocks, and of their length behind them: its tag of them without the mask. */
function hashedByOpenSSL(key: Uint8Array, blocks: Uint8Array): Buffer {
  const nonce = Buffer.alloc(12, 7)
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(blocks)
  cipher.final()
  const mask = createCipheriv('aes-256-ecb', key, null).update(Buffer.concat([nonce, Buffer.from([0, 0, 0, 1])]))
  return Buffer.from(cipher.getAuthTag().map((byte, at) => byte ^ (mask[at] as number)))
}

test('Blocks hash as OpenSSL hashes them, whatever the key and wherever they stand.', () => {
  const inputs = fc.tuple(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.nat(24), fc.nat(3))
  fc.assert(
    fc.property(inputs, ([key, blocks, before]) => {
      const message = randomBytes(blocks * 16)
      const length = Buffer.alloc(16)
      length.writeUInt32BE(message.length * 8, 4)
      const bytes = Buffer.from(new ArrayBuffer((before + blocks + 2) * 16)).fill(0xff)
      Buffer.concat([message, length]).copy(bytes, before * 16)
      const sum = new Int32Array(4).fill(-1)
      hashBlocks(tablesOf(createSecretKey(key)), new Int32Array(bytes.buffer), before * 4, (before + blocks + 1) * 4, sum)
      expect(Buffer.from(sum.buffer)).toEqual(hashedByOpenSSL(key, message))
    }),
    { numRuns: count(60, 5_000) },
  )
})

test('No blocks hash to zero.', () => {
  const sum = new Int32Array(4).fill(-1)
  hashBlocks(tablesOf(createSecretKey(randomBytes(32))), new Int32Array(8), 4, 4, sum)
  expect([...sum]).toEqual([0, 0, 0, 0])
})
