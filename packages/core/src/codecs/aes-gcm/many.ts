import { createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto'
import { endianness } from 'node:os'
import { Blocks, WORDS, wordsFor } from './blocks.ts'
import { hashBlocks, tablesOf } from './ghash.ts'
import { fillNonce } from './nonce.ts'

/**
 * Seals and opens many AES-256-GCM messages of one key at once: a second implementation (NIST SP 800-38D), for rotations.
 *
 * Node makes an object for each message, which costs several times what a short message itself does. Here all counter blocks of a batch
 * go through one AES-256-ECB call of OpenSSL, and one tag of OpenSSL's says of all messages that are opened whether they are authentic:
 * each is followed by the hash that its own tag stands for, and behind a message that has this hash GHASH is back at zero. Whoever does
 * not know H has the faults of two messages cancel each other with a probability of at most one in 2^128 for each block of the batch: the
 * same as for the tag of one message that long.
 *
 * The tags of what is sealed are computed here (`ghash.ts`). Of each batch OpenSSL opens one message, drawn at random, before any is given
 * out; a rotation opens all of them again as above; and its verification opens each with OpenSSL alone.
 *
 * The time of sealing depends on H through the processor's cache, as that of every table does: see docs/threat-model.md.
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
// Above it OpenSSL is faster one by one, and the number of a block would not stand in the last byte of its counter.
const MOST_BYTES = 1024
/** So few messages are not told apart where one of them is not authentic: OpenSSL is asked of each. */
const FEW = 8

// Words are read as their bytes lie in memory.
const isLittleEndian = endianness() === 'LE'

// Ciphertexts, what is authenticated with them, and hashes: nothing that the key does not say as well.
const hashed = new Blocks()
const counters = new Blocks()
const sum = new Int32Array(WORDS)
const nonce = Buffer.alloc(NONCE_BYTES)

/** The plaintexts in the order of the messages; null for what does not open here, as all do that are long or under a key that has not 32 bytes. */
export function openMany(key: KeyObject, messages: readonly Message[]): (Buffer | null)[] {
  const plaintexts = new Array<Buffer | null>(messages.length).fill(null)
  if (!isUsable(key) || messages.some(isLong)) return plaintexts
  const ends = layOut(messages)
  const stream = keyStream(key)
  // One piece of memory for all: each by itself would cost more than its decryption.
  const out = new Int32Array(stream.length)
  let [at, masks] = [0, 0]
  for (let index = 0; index < messages.length; index++) {
    const message = messages[index] as Message
    const length = textLength(message)
    if (length < 0) continue
    const text = at + wordsFor(message.aad.length)
    const words = wordsFor(length)
    for (let word = 0; word < words; word++) {
      out[masks + word] = (hashed.words[text + word] as number) ^ (stream[masks + WORDS + word] as number)
    }
    plaintexts[index] = Buffer.from(out.buffer, masks * 4, length)
    // The hash that its tag stands for.
    hashed.put(message.bytes, message.end - TAG_BYTES, message.end, text + words + WORDS)
    for (let word = 0; word < WORDS; word++) {
      const place = text + words + WORDS + word
      hashed.words[place] = (hashed.words[place] as number) ^ (stream[masks + word] as number)
    }
    at = ends[index] as number
    masks += WORDS + words
  }
  refuse({ key, messages, plaintexts, ends }, 0, messages.length)
  return plaintexts
}

/**
 * Seals under fresh random nonces.
 *
 * @returns the messages one behind the other; null where each must be sealed by itself: one of them is long, the key has not 32 bytes,
 *   or OpenSSL does not open what was sealed
 */
export function sealMany(key: KeyObject, drafts: readonly Draft[]): Message[] | null {
  if (!isUsable(key) || drafts.length === 0 || drafts.some(({ plaintext }) => plaintext.length > MOST_BYTES)) return null
  const messages = unsealed(drafts)
  layOut(messages)
  const stream = keyStream(key)
  const tables = tablesOf(key)
  const { bytes } = messages[0] as Message
  let [at, masks] = [0, 0]
  for (let index = 0; index < messages.length; index++) {
    const { start, end, aad } = messages[index] as Message
    const length = end - start - NONCE_BYTES - TAG_BYTES
    const text = at + wordsFor(aad.length)
    const words = wordsFor(length)
    for (let word = 0; word < words; word++) {
      hashed.words[text + word] = (hashed.words[text + word] as number) ^ (stream[masks + WORDS + word] as number)
    }
    hashed.bytes.fill(0, text * 4 + length, (text + words) * 4)
    const tag = text + words + WORDS
    hashBlocks(tables, hashed.words, at, tag, sum)
    for (let word = 0; word < WORDS; word++) hashed.words[tag + word] = (sum[word] as number) ^ (stream[masks + word] as number)
    hashed.bytes.copy(bytes, start + NONCE_BYTES, text * 4, text * 4 + length)
    hashed.bytes.copy(bytes, end - TAG_BYTES, tag * 4, tag * 4 + TAG_BYTES)
    at = tag + WORDS
    masks += WORDS + words
  }
  // Which one is drawn by its random nonce.
  const drawn = (bytes[0] as number) % messages.length
  return opens(key, messages[drawn] as Message, (drafts[drawn] as Draft).plaintext) ? messages : null
}

const isUsable = (key: KeyObject): boolean => isLittleEndian && key.symmetricKeySize === KEY_BYTES

const textLength = ({ start, end }: Message): number => end - start - NONCE_BYTES - TAG_BYTES

const isLong = (message: Message): boolean => textLength(message) > MOST_BYTES

/** Messages with their nonces and, where the ciphertexts will be, the plaintexts. */
function unsealed(drafts: readonly Draft[]): Message[] {
  let size = 0
  for (const { plaintext } of drafts) size += NONCE_BYTES + plaintext.length + TAG_BYTES
  const bytes = Buffer.allocUnsafe(size)
  let start = 0
  return drafts.map(({ plaintext, aad }) => {
    fillNonce(nonce, NONCE_BYTES)
    bytes.set(nonce, start)
    bytes.set(plaintext, start + NONCE_BYTES)
    const message = { bytes, start, end: start + NONCE_BYTES + plaintext.length + TAG_BYTES, aad }
    start = message.end
    return message
  })
}

/**
 * Writes down what is hashed of each message, with room for a tag behind it, and its counter blocks: one for its tag, the others for its
 * text. What is too short for a message has none of them.
 *
 * @returns behind which word each message ends
 */
function layOut(messages: readonly Message[]): Int32Array {
  let [most, blocks] = [0, 0]
  for (const message of messages) {
    const words = wordsFor(textLength(message))
    most += wordsFor(message.aad.length) + words + 2 * WORDS
    blocks += WORDS + words
  }
  hashed.clear(most)
  counters.clear(blocks)
  const ends = new Int32Array(messages.length)
  for (let index = 0; index < messages.length; index++) {
    const message = messages[index] as Message
    const length = textLength(message)
    if (length >= 0) {
      hashed.append(message.aad, 0, message.aad.length)
      hashed.append(message.bytes, message.start + NONCE_BYTES, message.end - TAG_BYTES)
      hashed.appendLengths(message.aad.length, length)
      hashed.length += WORDS
      counters.appendCounters(message.bytes, message.start, 1 + wordsFor(length) / WORDS)
    }
    ends[index] = hashed.length
  }
  return ends
}

function keyStream(key: KeyObject): Int32Array {
  const cipher = createCipheriv('aes-256-ecb', key, null)
  cipher.setAutoPadding(false)
  const stream = cipher.update(counters.written())
  return new Int32Array(stream.buffer, stream.byteOffset, stream.length >> 2)
}

interface Opened {
  readonly key: KeyObject
  readonly messages: readonly Message[]
  readonly plaintexts: (Buffer | null)[]
  readonly ends: Int32Array
}

/** Takes back the plaintexts, from one index up to another one, of messages that are not authentic, by halves until they are few. */
function refuse(opened: Opened, from: number, to: number): void {
  const { key, messages, plaintexts, ends } = opened
  const [start, end] = [from === 0 ? 0 : (ends[from - 1] as number), to === 0 ? 0 : (ends[to - 1] as number)]
  if (start === end || isZero(key, hashed.bytes.subarray(start * 4, end * 4))) return
  if (to - from <= FEW) {
    for (let index = from; index < to; index++) {
      const plaintext = plaintexts[index] as Buffer | null
      if (plaintext !== null && !opens(key, messages[index] as Message, plaintext)) plaintexts[index] = null
    }
    return
  }
  const middle = (from + to) >> 1
  refuse(opened, from, middle)
  refuse(opened, middle, to)
}

/** Whether GHASH of some blocks is zero: whether they have the tag of as many blocks of zeros. */
function isZero(key: KeyObject, blocks: Buffer): boolean {
  return tagOf(key, blocks).equals(tagOf(key, Buffer.alloc(blocks.length)))
}

/** OpenSSL's tag of an empty message. It is not given out, so that no nonce is used up. */
function tagOf(key: KeyObject, aad: Buffer): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, Buffer.alloc(NONCE_BYTES))
  cipher.setAAD(aad)
  cipher.final()
  return cipher.getAuthTag()
}

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
