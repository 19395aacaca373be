// RFC 4648 base32 in lower case: 5 bytes are 8 characters without padding, and each of the 2^40 texts is canonical.
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567'

/** What a key id is: eight characters of base32 in lower case. */
export const keyIdPattern = /^[a-z2-7]{8}$/

/** The five bytes of a key id, or null if it is not one. */
export function keyIdToBytes(id: string): Buffer | null {
  if (!keyIdPattern.test(id)) return null
  let bits = 0n
  for (const character of id) bits = (bits << 5n) | BigInt(ALPHABET.indexOf(character))
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(bits)
  return bytes.subarray(3)
}

/** The key id of the five bytes of `bytes` that begin at `offset`. */
export function keyIdFromBytes(bytes: Uint8Array, offset: number): string {
  let bits = 0n
  for (let index = 0; index < 5; index++) bits = (bits << 8n) | BigInt(bytes[offset + index] as number)
  let id = ''
  for (let shift = 35n; shift >= 0n; shift -= 5n) id += ALPHABET[Number((bits >> shift) & 31n)]
  return id
}
