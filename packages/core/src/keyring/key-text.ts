/** The encodings of 32 bytes that keys are written in. */
export type KeyEncoding = 'hex' | 'base64' | 'base64url'

const shapes: Record<KeyEncoding, RegExp> = {
  hex: /^[0-9a-fA-F]{64}$/,
  base64: /^[A-Za-z0-9+/]{43}=?$/,
  base64url: /^[A-Za-z0-9_-]{43}=?$/,
}

/** Why a text is no key in an encoding; without a word of the text. */
const expectations: Record<KeyEncoding, string> = {
  hex: 'it must be 64 hexadecimal characters',
  base64: 'it must be the base64 text of 32 bytes, 43 characters with or without one = after them',
  base64url: 'it must be the base64url text of 32 bytes, 43 characters with or without one = after them',
}

/**
 * 32 bytes from their text. Strict, because Node's own decoder is not: no foreign character, spare bits zero. White space around it
 * is left out, since no encoding has any and files end with a line break.
 *
 * @returns the bytes, or a sentence that says what is expected
 */
export function decodeKeyText(text: string, encoding: KeyEncoding): Buffer | string {
  const key = text.trim()
  if (!shapes[encoding].test(key)) return expectations[encoding]
  const bytes = Buffer.from(key, encoding)
  // The last of 43 characters has two bits that mean nothing: only one of four texts is the one that we write.
  if (encoding !== 'hex' && bytes.toString(encoding).replace('=', '') !== key.replace('=', '')) return expectations[encoding]
  return bytes
}

/**
 * The encoding that a text of 32 bytes is in. Never ambiguous: hexadecimal has 64 characters and the others have 43 or 44; where both
 * of those fit, they mean the same bytes.
 */
export function encodingOf(text: string): KeyEncoding | null {
  const key = text.trim()
  return (Object.keys(shapes) as KeyEncoding[]).find((encoding) => shapes[encoding].test(key)) ?? null
}
