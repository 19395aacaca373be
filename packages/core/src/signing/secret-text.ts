import { createHash } from 'node:crypto'
import type { KeyRule } from '../config/config.ts'
import { fail } from '../errors.ts'
import { KeyMaterial } from '../keyring/key-version.ts'

const encodings: Partial<Record<KeyRule, { readonly shape: RegExp; readonly words: string }>> = {
  hex: { shape: /^(?:[0-9a-fA-F]{2})+$/, words: 'it must be pairs of hexadecimal digits' },
  base64: { shape: /^[A-Za-z0-9+/]+={0,2}$/, words: 'it must be base64' },
  base64url: { shape: /^[A-Za-z0-9_-]+={0,2}$/, words: 'it must be base64url' },
}

/**
 * The secret of HMAC that a text means. By `utf8` the bytes of the text, as libraries for JWT take it; by an encoding what it encodes; by
 * `passphrase` the SHA-256 of a text from 16 characters.
 *
 * A text with a line break is refused: it came with a copy or a generator, and the next reader would not have it.
 *
 * @param leastBytes - the length of the hash (RFC 7518, 3.2): a shorter secret is easier to find than to forge under
 * @throws `ERR_KEY_FORMAT`, without a word of the text
 */
export function secretFromText(text: string, rule: KeyRule, { leastBytes, label }: { leastBytes: number; label: string }): KeyMaterial {
  const bytes = bytesOf(text, rule)
  if (typeof bytes === 'string') throw fail('ERR_KEY_FORMAT', label, rule, bytes)
  if (bytes.length < leastBytes)
    throw fail('ERR_KEY_FORMAT', label, rule, `it must have at least ${leastBytes} bytes to sign with, and it has ${bytes.length}`)
  if (bytes.every((byte) => byte === bytes[0]))
    throw fail('ERR_KEY_FORMAT', label, rule, 'it is one byte repeated, which everybody can guess')
  const material = new KeyMaterial(bytes)
  bytes.fill(0)
  return material
}

function bytesOf(text: string, rule: KeyRule): Buffer | string {
  if (!text.isWellFormed()) return 'it is not well-formed text'
  const encoding = encodings[rule]
  // No encoding has white space, and files end with a line break.
  const plain = encoding === undefined ? text : text.trim()
  if (/[\r\n\0]/.test(plain)) return 'it holds a line break'
  if (encoding !== undefined) return encoding.shape.test(plain) ? Buffer.from(plain, rule as BufferEncoding) : encoding.words
  if (rule === 'utf8') return Buffer.from(plain, 'utf8')
  return [...plain].length < 16 ? 'it must have at least 16 characters' : createHash('sha256').update(plain, 'utf8').digest()
}
