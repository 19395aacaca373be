import { createHash } from 'node:crypto'
import type { KeyRule } from '../config/config.ts'
import { fail } from '../errors.ts'
import { decodeKeyText } from './key-text.ts'
import { KeyMaterial } from './key-version.ts'

/** Fewest characters of a passphrase, counted as Unicode code points. */
const PASSPHRASE_CHARACTERS = 16

function fromUtf8(text: string): Buffer | string {
  const bytes = Buffer.from(text, 'utf8')
  if (bytes.length === 32) return bytes
  return `it must be exactly 32 characters of one byte each, and it has ${[...text].length} characters in ${bytes.length} bytes of UTF-8`
}

function fromPassphrase(text: string): Buffer | string {
  const { length } = [...text]
  if (length < PASSPHRASE_CHARACTERS) return `it must have at least ${PASSPHRASE_CHARACTERS} characters, and it has ${length}`
  return createHash('sha256').update(text, 'utf8').digest()
}

/** How each rule makes 32 bytes of a text, or a sentence that says why it cannot. */
const rules: Record<KeyRule, (text: string) => Buffer | string> = {
  hex: (text) => decodeKeyText(text, 'hex'),
  base64: (text) => decodeKeyText(text, 'base64'),
  base64url: (text) => decodeKeyText(text, 'base64url'),
  utf8: fromUtf8,
  passphrase: fromPassphrase,
}

/**
 * The key that a text means by a rule. Always 32 bytes.
 *
 * - `hex`: 64 hexadecimal characters
 * - `base64`, `base64url`: the text of 32 bytes, with or without padding
 * - `utf8`: exactly 32 characters, taken as bytes
 * - `passphrase`: any string from 16 characters; the key is SHA-256 of its UTF-8 bytes. That is what most applications do. It is fast
 *   to guess: a passphrase needs as much entropy as a key
 *
 * @param label - where the text comes from, such as the name of its variable; it stands in messages, the text never does
 * @throws `ERR_KEY_FORMAT`
 */
export function keyFromText(text: string, rule: KeyRule, label: string): KeyMaterial {
  const bytes = text.isWellFormed() ? rules[rule](text) : 'it is not well-formed text'
  if (typeof bytes === 'string') throw fail('ERR_KEY_FORMAT', label, rule, bytes)
  const material = new KeyMaterial(bytes)
  bytes.fill(0)
  return material
}
