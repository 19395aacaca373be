import { isUtf8 } from 'node:buffer'
import { fail } from '../errors.ts'
import type { Codec, Stored } from '../field/codec.ts'
import { checkOptions, oneOf } from '../field/codec-options.ts'
import { isReserved } from '../field/reserved.ts'
import { wholeValue } from '../field/whole-value.ts'

/** Options of the codec `plain`. */
export interface PlainOptions {
  /** What the field's plain text looks like, from its first character to its last: `/sk-[A-Za-z0-9]{20,}/`. A string in JSON. */
  readonly looksLike: RegExp | string
  /** What `encrypt` gives; both are read. `text` unless given. */
  readonly encoding?: 'text' | 'bytes'
}

/**
 * Values that are not encrypted yet, so that a first encryption is a rotation like any other.
 *
 * A damaged ciphertext must never be taken for plain text and sealed a second time: the pattern describes the whole value, a
 * field asks all its other codecs first whether they claim it, and what begins as Keyturn's own format is never plain.
 *
 * @throws `ERR_CONFIG` for malformed options
 */
export default function plain(options: PlainOptions): Codec {
  checkOptions('plain', options ?? {}, ['looksLike', 'encoding'])
  const pattern = wholeValue(options?.looksLike, 'codec "plain", option "looksLike"', 'the plain text')
  const encoding = oneOf('plain', 'encoding', options.encoding, ['text', 'bytes'])
  const matches = (stored: Stored) => {
    const text = textOf(stored)
    return text !== null && text.length > 0 && !isReserved(stored) && !isReserved(text) && pattern.test(text)
  }
  return {
    name: 'plain',
    namesKey: false,
    keyless: true,
    matches,
    claims: matches,
    keyIdOf: () => null,
    prefixOf: () => null,
    encrypt(plaintext) {
      const stored = encoding === 'bytes' ? Buffer.from(plaintext) : (textOf(plaintext) ?? '')
      if (!matches(stored)) throw fail('ERR_USAGE', 'codec "plain": the value does not look like the plain text that was declared')
      return stored
    },
    decrypt(stored) {
      if (!matches(stored)) throw fail('ERR_DECRYPT')
      return Buffer.from(stored)
    },
  }
}

function textOf(stored: Stored): string | null {
  if (typeof stored === 'string') return stored.isWellFormed() ? stored : null
  return isUtf8(stored) ? Buffer.from(stored).toString('utf8') : null
}
