import { isUtf8 } from 'node:buffer'
import type { Stored } from '../../field/codec.ts'

// Below this nothing can be told from a word or a number; the shortest value of any format here has 28 bytes.
const SHORTEST_REMAINDER = 16

/** Any `Uint8Array` as a Buffer over the same bytes. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** The text in a column of either type; null for bytes that are not UTF-8. */
export function textOf(stored: Stored): string | null {
  if (typeof stored === 'string') return stored
  return isUtf8(stored) ? asBuffer(stored).toString('utf8') : null
}

/**
 * Whether `stored` consists of the characters that `native` takes away, but for one at most, and has at least 16: what a value
 * looks like of which one character was damaged or the end was lost.
 *
 * @param native - a global expression that matches runs of the format's own characters
 */
export function nearly(stored: Stored, native: RegExp): boolean {
  const text = textOf(stored)
  return text !== null && text.length >= SHORTEST_REMAINDER && [...text.replace(native, '').slice(0, 4)].length <= 1
}
