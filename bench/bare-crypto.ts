import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject, randomBytes } from 'node:crypto'

interface Sealed {
  readonly nonce: Buffer
  readonly ciphertext: Buffer
  readonly tag: Buffer
}

/**
 * What a rotation promises for each value and nothing else, as anybody would write it with `node:crypto`: decrypt the old one, encrypt
 * under the new key, decrypt that and compare. Nothing is read, spelled in base64, or written.
 *
 * @param values - plaintexts with what is authenticated beside them
 * @returns how long it took, in milliseconds
 */
export function threeBareOperations(values: Iterable<{ readonly plaintext: string; readonly aad: string }>): number {
  const [before, after] = [createSecretKey(randomBytes(32)), createSecretKey(randomBytes(32))]
  const old = Array.from(values, ({ plaintext, aad }) => {
    const bytes = Buffer.from(aad)
    return { aad: bytes, sealed: seal(before, bytes, Buffer.from(plaintext)) }
  })
  const began = performance.now()
  for (const { aad, sealed } of old) {
    const plaintext = open(before, aad, sealed)
    if (!open(after, aad, seal(after, aad, plaintext)).equals(plaintext)) throw new Error('a value did not come back')
  }
  return performance.now() - began
}

// No pool of nonces and no buffers used again: that would be the beginning of what is compared with this.
function seal(key: KeyObject, aad: Buffer, plaintext: Buffer): Sealed {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(aad)
  const ciphertext = cipher.update(plaintext)
  cipher.final()
  return { nonce, ciphertext, tag: cipher.getAuthTag() }
}

function open(key: KeyObject, aad: Buffer, { nonce, ciphertext, tag }: Sealed): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, nonce).setAAD(aad).setAuthTag(tag)
  const plaintext = decipher.update(ciphertext)
  decipher.final()
  return plaintext
}
