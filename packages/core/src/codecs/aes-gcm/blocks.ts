/** Words of 32 bits in a block of AES. */
export const WORDS = 4
const BLOCK_BYTES = 16

/** Words of the blocks that hold so many bytes; none below zero. */
export const wordsFor = (bytes: number): number => (bytes <= 0 ? 0 : ((bytes + BLOCK_BYTES - 1) >> 4) * WORDS)

/** Blocks of AES one behind the other, as words and as bytes, in memory that is used again for each batch. */
export class Blocks {
  bytes: Buffer = Buffer.alloc(0)
  words = new Int32Array(0)
  /** How many words are written. */
  length = 0

  /** Begins anew, with room for so many words. */
  clear(room: number): void {
    this.length = 0
    if (room <= this.words.length) return
    this.words = new Int32Array(room * 2)
    this.bytes = Buffer.from(this.words.buffer)
  }

  written(): Buffer {
    return this.bytes.subarray(0, this.length * 4)
  }

  /** Writes a part of some bytes and zeros behind it up to the end of a block. */
  append(source: Uint8Array, from: number, to: number): void {
    const words = wordsFor(to - from)
    // Only the last block can have a rest.
    if (words > 0) this.words.fill(0, this.length + words - WORDS, this.length + words)
    this.put(source, from, to, this.length)
    this.length += words
  }

  /** Writes a part of some bytes from a word on. */
  put(source: Uint8Array, from: number, to: number, word: number): void {
    const { bytes } = this
    const shift = word * 4 - from
    for (let at = from; at < to; at++) bytes[at + shift] = source[at] as number
  }

  /** Writes two lengths in bits, 64 of them each, in network order. */
  appendLengths(first: number, second: number): void {
    this.words[this.length] = 0
    this.words[this.length + 1] = swapped(first * 8)
    this.words[this.length + 2] = 0
    this.words[this.length + 3] = swapped(second * 8)
    this.length += WORDS
  }

  /** Writes the first counter blocks of a nonce, no more than 255: it, and a number from 1 on in network order. */
  appendCounters(source: Uint8Array, nonceAt: number, count: number): void {
    const { words, length } = this
    this.put(source, nonceAt, nonceAt + 12, length)
    const [first, second, third] = [words[length] as number, words[length + 1] as number, words[length + 2] as number]
    for (let counter = 1, at = length; counter <= count; counter++, at += WORDS) {
      words[at] = first
      words[at + 1] = second
      words[at + 2] = third
      words[at + 3] = counter << 24
    }
    this.length += count * WORDS
  }
}

const swapped = (word: number): number => (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)
