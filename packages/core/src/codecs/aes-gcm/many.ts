import { createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto'
import { fillNonce } from './nonce.ts'

/**
 * Seals and opens many AES-256-GCM messages of one key at once: a second implementation (NIST SP 800-38D), for rotations.
 *
 * Node makes an object for each message, which costs several times what a short message itself does. Here all counter blocks of a batch
 * go through one AES-256-ECB call of OpenSSL, and GHASH is computed with a table of 256 multiples of H (Shoup's method, 8 bits at a time).
 *
 * OpenSSL and this check each other. What is opened here was sealed by either; `null` sends the caller to OpenSSL's own word. Of what
 * is sealed here OpenSSL opens one message in each batch before any is given out, and a rotation's verification opens all.
 *
 * Its time depends on H through the processor's cache, as that of every table does: see docs/threat-model.md.
 */
export interface Message {
  /** Holds `nonce(12) ‖ ciphertext ‖ tag(16)` from `start` to `end`. */
  readonly bytes: Uint8Array
  readonly start: number
  readonly end: number
  readonly aad: Uint8Array
}

/** A message to be sealed. */
export interface Draft {
  readonly plaintext: Uint8Array
  readonly aad: Uint8Array
}

const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
const BLOCK_BYTES = 16
// Above it OpenSSL is faster one by one: it hashes with instructions of the processor.
const MOST_BYTES = 1024
// x^128 + x^7 + x^2 + x + 1, with the bits of a byte in GCM's order.
const POLYNOMIAL = 0xe1000000

/** What eight bits that leave on the right come back as on the left. */
const reduction = Int32Array.from({ length: 256 }, (_, byte) => {
  let sum = 0
  for (let bit = 0; bit < 8; bit++) if ((byte >> bit) & 1) sum ^= POLYNOMIAL >>> (7 - bit)
  return sum
})

/** H times each byte: four words an entry. By key object, and gone with it. */
const tables = new WeakMap<KeyObject, Int32Array>()

/** The sum of GHASH while one message is hashed. */
const sum = new Int32Array(4)

/** The plaintexts in the order of the messages; null for what does not open here, as all do that are long or under a key that has not 32 bytes. */
export function openMany(key: KeyObject, messages: readonly Message[]): (Buffer | null)[] {
  if (key.symmetricKeySize !== KEY_BYTES || messages.some(isLong)) return messages.map(() => null)
  const table = tables.get(key) ?? makeTable(key)
  const stream = keyStream(key, messages)
  const plaintexts = new Array<Buffer | null>(messages.length)
  let at = 0
  for (let index = 0; index < messages.length; index++) {
    const message = messages[index] as Message
    const length = message.end - message.start - NONCE_BYTES - TAG_BYTES
    plaintexts[index] = length >= 0 && isAuthentic(table, message, stream, at) ? unmask(message, stream, at + BLOCK_BYTES) : null
    at += BLOCK_BYTES * (1 + blocksOf(length))
  }
  return plaintexts
}

/**
 * Seals under fresh random nonces.
 *
 * @returns the messages one behind the other; null where each must be sealed by itself: one of them is long, the key has not 32 bytes,
 *   or OpenSSL does not open what was sealed
 */
export function sealMany(key: KeyObject, drafts: readonly Draft[]): Message[] | null {
  if (key.symmetricKeySize !== KEY_BYTES || drafts.length === 0) return null
  let size = 0
  for (const { plaintext } of drafts) {
    if (plaintext.length > MOST_BYTES) return null
    size += NONCE_BYTES + plaintext.length + TAG_BYTES
  }
  const bytes = Buffer.allocUnsafe(size)
  const messages: Message[] = []
  let start = 0
  for (const { plaintext, aad } of drafts) {
    fillNonce(nonce, NONCE_BYTES)
    bytes.set(nonce, start)
    const end = start + NONCE_BYTES + plaintext.length + TAG_BYTES
    messages.push({ bytes, start, end, aad })
    start = end
  }
  const table = tables.get(key) ?? makeTable(key)
  const stream = keyStream(key, messages)
  let at = 0
  for (let index = 0; index < messages.length; index++) {
    const message = messages[index] as Message
    const { plaintext } = drafts[index] as Draft
    const from = message.start + NONCE_BYTES
    for (let byte = 0; byte < plaintext.length; byte++) {
      bytes[from + byte] = (plaintext[byte] as number) ^ (stream[at + BLOCK_BYTES + byte] as number)
    }
    hash(table, message)
    for (let word = 0; word < 4; word++) {
      bytes.writeInt32BE((sum[word] as number) ^ wordAt(stream, at + 4 * word, stream.length), message.end - TAG_BYTES + 4 * word)
    }
    at += BLOCK_BYTES * (1 + blocksOf(plaintext.length))
  }
  // Which one is drawn by its random nonce.
  const drawn = (bytes[0] as number) % messages.length
  return opens(key, messages[drawn] as Message, (drafts[drawn] as Draft).plaintext) ? messages : null
}

const nonce = Buffer.alloc(NONCE_BYTES)

/** OpenSSL's word on one message. */
function opens(key: KeyObject, { bytes, start, end, aad }: Message, plaintext: Uint8Array): boolean {
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(start, start + NONCE_BYTES))
  decipher.setAAD(aad)
  decipher.setAuthTag(bytes.subarray(end - TAG_BYTES, end))
  const opened = decipher.update(bytes.subarray(start + NONCE_BYTES, end - TAG_BYTES))
  try {
    decipher.final()
  } catch {
    return false
  }
  return Buffer.compare(opened, plaintext) === 0
}

const isLong = ({ start, end }: Message): boolean => end - start - NONCE_BYTES - TAG_BYTES > MOST_BYTES

const blocksOf = (length: number): number => (length <= 0 ? 0 : (length + BLOCK_BYTES - 1) >> 4)

/** For each message the block that masks its tag, then those that mask its bytes. */
function keyStream(key: KeyObject, messages: readonly Message[]): Buffer {
  let blocks = 0
  for (const { start, end } of messages) blocks += 1 + blocksOf(end - start - NONCE_BYTES - TAG_BYTES)
  const counters = Buffer.allocUnsafe(blocks * BLOCK_BYTES)
  let at = 0
  for (const { bytes, start, end } of messages) {
    const count = 1 + blocksOf(end - start - NONCE_BYTES - TAG_BYTES)
    for (let counter = 1; counter <= count; counter++) {
      for (let index = 0; index < NONCE_BYTES; index++) counters[at + index] = bytes[start + index] as number
      counters[at + 12] = counter >>> 24
      counters[at + 13] = counter >>> 16
      counters[at + 14] = counter >>> 8
      counters[at + 15] = counter
      at += BLOCK_BYTES
    }
  }
  const cipher = createCipheriv('aes-256-ecb', key, null)
  cipher.setAutoPadding(false)
  return cipher.update(counters)
}

function isAuthentic(table: Int32Array, message: Message, stream: Uint8Array, at: number): boolean {
  hash(table, message)
  const to = message.end - TAG_BYTES
  let difference = 0
  for (let index = 0; index < 4; index++) {
    difference |=
      (sum[index] as number) ^ wordAt(stream, at + 4 * index, stream.length) ^ wordAt(message.bytes, to + 4 * index, message.end)
  }
  return difference === 0
}

/** GHASH of the associated data and the ciphertext of a message, in `sum`. */
function hash(table: Int32Array, { bytes, start, end, aad }: Message): void {
  const [from, to] = [start + NONCE_BYTES, end - TAG_BYTES]
  sum.fill(0)
  absorb(table, aad, 0, aad.length)
  absorb(table, bytes, from, to)
  // The lengths in bits, 64 of them each: long messages do not come here.
  mix(1, aad.length * 8)
  mix(3, (to - from) * 8)
  multiply(table)
}

function unmask({ bytes, start, end }: Message, stream: Uint8Array, at: number): Buffer {
  const from = start + NONCE_BYTES
  const plaintext = Buffer.allocUnsafe(end - TAG_BYTES - from)
  for (let index = 0; index < plaintext.length; index++) {
    plaintext[index] = (bytes[from + index] as number) ^ (stream[at + index] as number)
  }
  return plaintext
}

function absorb(table: Int32Array, bytes: Uint8Array, from: number, to: number): void {
  for (let at = from; at < to; at += BLOCK_BYTES) {
    mix(0, wordAt(bytes, at, to))
    mix(1, wordAt(bytes, at + 4, to))
    mix(2, wordAt(bytes, at + 8, to))
    mix(3, wordAt(bytes, at + 12, to))
    multiply(table)
  }
}

function mix(index: number, word: number): void {
  sum[index] = (sum[index] as number) ^ word
}

/** Four bytes in network order; zeros from `end` on. */
function wordAt(bytes: Uint8Array, at: number, end: number): number {
  if (at + 4 <= end) {
    return ((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)
  }
  let word = 0
  for (let index = 0; index < 4; index++) word = (word << 8) | (at + index < end ? (bytes[at + index] as number) : 0)
  return word
}

/** The sum becomes the sum times H: Horner's rule over its bytes, from the last to the first. */
function multiply(table: Int32Array): void {
  let [a, b, c, d] = [0, 0, 0, 0]
  for (let index = 3; index >= 0; index--) {
    const word = sum[index] as number
    for (let shift = 0; shift < 32; shift += 8) {
      const out = d & 255
      d = (d >>> 8) | (c << 24)
      c = (c >>> 8) | (b << 24)
      b = (b >>> 8) | (a << 24)
      a = (a >>> 8) ^ (reduction[out] as number)
      const entry = ((word >>> shift) & 255) << 2
      a ^= table[entry] as number
      b ^= table[entry + 1] as number
      c ^= table[entry + 2] as number
      d ^= table[entry + 3] as number
    }
  }
  sum[0] = a
  sum[1] = b
  sum[2] = c
  sum[3] = d
}

function makeTable(key: KeyObject): Int32Array {
  const cipher = createCipheriv('aes-256-ecb', key, null)
  cipher.setAutoPadding(false)
  const h = cipher.update(Buffer.alloc(BLOCK_BYTES))
  const table = new Int32Array(256 * 4)
  let [a, b, c, d] = [0, 4, 8, 12].map((at) => h.readInt32BE(at)) as [number, number, number, number]
  // The highest bit of a byte is x^0: 0x80 is H itself, and each halving multiplies by x.
  for (let byte = 128; byte >= 1; byte >>= 1) {
    table.set([a, b, c, d], byte * 4)
    const out = d & 1
    d = (d >>> 1) | (c << 31)
    c = (c >>> 1) | (b << 31)
    b = (b >>> 1) | (a << 31)
    a = (a >>> 1) ^ (out === 1 ? POLYNOMIAL : 0)
  }
  for (let byte = 2; byte < 256; byte <<= 1) {
    for (let other = 1; other < byte; other++) {
      for (let word = 0; word < 4; word++) {
        table[(byte + other) * 4 + word] = (table[byte * 4 + word] as number) ^ (table[other * 4 + word] as number)
      }
    }
  }
  tables.set(key, table)
  return table
}
