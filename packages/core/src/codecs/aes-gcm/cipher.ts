import { type CipherGCM, createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto'
import { fail } from '../../errors.ts'
import type { Context } from '../../field/context.ts'
import type { KeyMaterial, KeyVersion } from '../../keyring/key-version.ts'

/** AES-256-GCM as every format of this family uses it: a tag of 16 bytes, a key of 32. */
const ALGORITHM = 'aes-256-gcm'

/** Bytes of the tag. Shorter ones are legal in GCM and are refused by all formats here. */
export const TAG_BYTES = 16

/** A message and its tag. */
export interface Sealed {
  readonly ciphertext: Buffer
  readonly tag: Buffer
}

/** @throws `ERR_KEY_NOT_FOUND` when the key version is destroyed */
export function materialOf(version: KeyVersion, context: Context): KeyMaterial {
  const material = version.material
  if (material === null) throw fail('ERR_KEY_NOT_FOUND', context.keyring, version.id)
  return material
}

/**
 * @param aad - what is authenticated beside the message, or null for nothing
 * @throws `ERR_KEY_FORMAT` when the key has not 32 bytes
 */
export function seal(key: KeyObject, nonce: Uint8Array, aad: Uint8Array | null, plaintext: Uint8Array): Sealed {
  const cipher = createCipher(key, nonce)
  if (aad !== null) cipher.setAAD(aad)
  // GCM is a stream: `update` gives all bytes, `final` only ends the tag.
  const ciphertext = cipher.update(plaintext)
  cipher.final()
  return { ciphertext, tag: cipher.getAuthTag() }
}

/**
 * @param sealed - the tag must have 16 bytes
 * @throws `ERR_DECRYPT` unless key, nonce, associated data, ciphertext and tag belong together
 * @throws `ERR_KEY_FORMAT` when the key has not 32 bytes
 */
export function open(key: KeyObject, nonce: Uint8Array, aad: Uint8Array | null, sealed: Sealed): Buffer {
  try {
    const decipher = createDecipheriv(ALGORITHM, key, nonce)
    if (aad !== null) decipher.setAAD(aad)
    decipher.setAuthTag(sealed.tag)
    const plaintext = decipher.update(sealed.ciphertext)
    decipher.final()
    return plaintext
  } catch {
    assertLength(key)
    // Without a cause: the reason would tell an attacker which part was wrong.
    throw fail('ERR_DECRYPT')
  }
}

function createCipher(key: KeyObject, nonce: Uint8Array): CipherGCM {
  try {
    return createCipheriv(ALGORITHM, key, nonce)
  } catch (error) {
    assertLength(key)
    throw error
  }
}

// Only once something has failed: asking for the length costs a tenth of an encryption.
function assertLength(key: KeyObject): void {
  if (key.symmetricKeySize !== 32) throw fail('ERR_KEY_FORMAT', 'the key', ALGORITHM, 'it must have 32 bytes')
}
