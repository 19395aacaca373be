import { createCipheriv, type KeyObject } from 'node:crypto'

/**
 * GHASH (NIST SP 800-38D, 6.4) over whole blocks, for what is sealed: what is opened OpenSSL hashes itself.
 *
 * Sixteen tables, one for each byte of a block, hold the products of H with each value of that byte: a block costs sixteen look-ups and no
 * shift. Words stand in memory as the bytes do, in the order of a little-endian processor.
 */

// x^128 + x^7 + x^2 + x + 1, with the bits of a byte in GCM's order.
const POLYNOMIAL = 0xe1000000
const ENTRY_WORDS = 4
const TABLE_WORDS = 256 * ENTRY_WORDS
/** Words between the tables of the same byte of two neighbouring words. */
const WORD_TABLES = 4 * TABLE_WORDS

/** By key object, and gone with it. */
const known = new WeakMap<KeyObject, Int32Array>()

/** What eight bits that leave on the right come back as on the left. */
const reduction = Int32Array.from({ length: 256 }, (_, byte) => {
  let sum = 0
  for (let bit = 0; bit < 8; bit++) if ((byte >> bit) & 1) sum ^= POLYNOMIAL >>> (7 - bit)
  return sum
})

/** The tables of a key of AES. */
export function tablesOf(key: KeyObject): Int32Array {
  const tables = known.get(key) ?? makeTables(key)
  known.set(key, tables)
  return tables
}

/** Hashes the blocks from one word up to another one; `sum` (four words) becomes what it is then. Begins with `sum` as zeros. */
export function hashBlocks(tables: Int32Array, words: Int32Array, from: number, to: number, sum: Int32Array): void {
  let [a, b, c, d] = [0, 0, 0, 0]
  for (let at = from; at < to; at += ENTRY_WORDS) {
    const first = a ^ (words[at] as number)
    const second = b ^ (words[at + 1] as number)
    const third = c ^ (words[at + 2] as number)
    const fourth = d ^ (words[at + 3] as number)
    a = 0
    b = 0
    c = 0
    d = 0
    for (let byte = 0; byte < 4; byte++) {
      const shift = byte << 3
      let entry = byte * TABLE_WORDS + (((first >>> shift) & 255) << 2)
      a ^= tables[entry] as number
      b ^= tables[entry + 1] as number
      c ^= tables[entry + 2] as number
      d ^= tables[entry + 3] as number
      entry = byte * TABLE_WORDS + WORD_TABLES + (((second >>> shift) & 255) << 2)
      a ^= tables[entry] as number
      b ^= tables[entry + 1] as number
      c ^= tables[entry + 2] as number
      d ^= tables[entry + 3] as number
      entry = byte * TABLE_WORDS + 2 * WORD_TABLES + (((third >>> shift) & 255) << 2)
      a ^= tables[entry] as number
      b ^= tables[entry + 1] as number
      c ^= tables[entry + 2] as number
      d ^= tables[entry + 3] as number
      entry = byte * TABLE_WORDS + 3 * WORD_TABLES + (((fourth >>> shift) & 255) << 2)
      a ^= tables[entry] as number
      b ^= tables[entry + 1] as number
      c ^= tables[entry + 2] as number
      d ^= tables[entry + 3] as number
    }
  }
  sum[0] = a
  sum[1] = b
  sum[2] = c
  sum[3] = d
}

function makeTables(key: KeyObject): Int32Array {
  const cipher = createCipheriv('aes-256-ecb', key, null)
  cipher.setAutoPadding(false)
  const h = cipher.update(Buffer.alloc(16))
  const tables = new Int32Array(16 * TABLE_WORDS)
  let [a, b, c, d] = [0, 4, 8, 12].map((at) => h.readInt32BE(at)) as [number, number, number, number]
  // The highest bit of a byte is x^0: 0x80 is H itself, and each halving multiplies by x.
  for (let byte = 128; byte >= 1; byte >>= 1) {
    tables.set([a, b, c, d], byte * ENTRY_WORDS)
    const out = d & 1
    d = (d >>> 1) | (c << 31)
    c = (c >>> 1) | (b << 31)
    b = (b >>> 1) | (a << 31)
    a = (a >>> 1) ^ (out === 1 ? POLYNOMIAL : 0)
  }
  for (let byte = 2; byte < 256; byte <<= 1) {
    for (let other = 1; other < byte; other++) {
      for (let word = 0; word < ENTRY_WORDS; word++) {
        tables[(byte + other) * ENTRY_WORDS + word] =
          (tables[byte * ENTRY_WORDS + word] as number) ^ (tables[other * ENTRY_WORDS + word] as number)
      }
    }
  }
  // The same byte one place further on is x^8 times as much.
  for (let at = TABLE_WORDS; at < tables.length; at += ENTRY_WORDS) {
    const from = at - TABLE_WORDS
    a = tables[from] as number
    b = tables[from + 1] as number
    c = tables[from + 2] as number
    d = tables[from + 3] as number
    tables[at] = (a >>> 8) ^ (reduction[d & 255] as number)
    tables[at + 1] = (b >>> 8) | (a << 24)
    tables[at + 2] = (c >>> 8) | (b << 24)
    tables[at + 3] = (d >>> 8) | (c << 24)
  }
  Buffer.from(tables.buffer).swap32()
  return tables
}
