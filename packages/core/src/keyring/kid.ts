import { randomBytes } from 'node:crypto'

const alphabet = 'abcdefghijklmnopqrstuvwxyz234567'

/** Bytes of a key id. 40 bits are eight characters of base32 exactly, so that there is no padding and no spare bit. */
export const KID_BYTES = 5

/** A random key id: eight characters of RFC 4648 base32 in lower case. */
export function newKid(): string {
  return kidText(randomBytes(KID_BYTES))
}

/** The text of a key id. @throws RangeError unless it is five bytes */
export function kidText(kid: Uint8Array): string {
  if (kid.length !== KID_BYTES) throw new RangeError('a key id is five bytes')
  let bits = 0n
  for (const byte of kid) bits = (bits << 8n) | BigInt(byte)
  return Array.from({ length: 8 }, (_, n) => alphabet[Number((bits >> BigInt(35 - 5 * n)) & 31n)]).join('')
}

/** The five bytes of a key id, or null for every text that `kidText` does not write. */
export function kidBytes(text: string): Uint8Array | null {
  if (!/^[a-z2-7]{8}$/.test(text)) return null
  let bits = 0n
  for (const character of text) bits = (bits << 5n) | BigInt(alphabet.indexOf(character))
  return Uint8Array.from({ length: KID_BYTES }, (_, n) => Number((bits >> BigInt(32 - 8 * n)) & 255n))
}
