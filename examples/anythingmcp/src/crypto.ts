import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

const CIPHER = 'aes-256-gcm'
const KEY_BYTES = 32
const IV_BYTES = 16
const TAG_BYTES = 16

/** A stored credential that no key of this process opens. Says nothing about the value. */
export class SealedCredentialError extends Error {}

/** How the application encrypts what it stores: it knows one key, and knows nothing of Keyturn. */
export interface CredentialCrypto {
  /** @returns base64 of IV (16 bytes), ciphertext and tag (16 bytes) */
  encrypt(plaintext: string): string
  /** @throws SealedCredentialError */
  decrypt(stored: string): string
}

/**
 * AES-256-GCM under `ENCRYPTION_KEY`, whose 32 characters are the bytes of the key.
 *
 * @param key - encrypts and decrypts
 * @param previous - `ENCRYPTION_KEY_PREVIOUS`, where a deployment has one: only decrypts, so that a rotation can run online
 * @throws Error for a key that has not 32 bytes; the message does not hold it
 */
export function credentialCrypto(key: string, previous?: string): CredentialCrypto {
  const writing = keyBytes(key, 'ENCRYPTION_KEY')
  const reading = previous ? [writing, keyBytes(previous, 'ENCRYPTION_KEY_PREVIOUS')] : [writing]
  return {
    encrypt(plaintext) {
      const iv = randomBytes(IV_BYTES)
      const cipher = createCipheriv(CIPHER, writing, iv, { authTagLength: TAG_BYTES })
      return Buffer.concat([iv, cipher.update(plaintext, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString('base64')
    },
    decrypt(stored) {
      const message = Buffer.from(stored, 'base64')
      for (const one of reading) {
        const plaintext = open(message, one)
        if (plaintext !== null) return plaintext
      }
      throw new SealedCredentialError('a stored credential does not open under ENCRYPTION_KEY')
    },
  }
}

function keyBytes(text: string, name: string): Buffer {
  const bytes = Buffer.from(text, 'utf8')
  if (bytes.length !== KEY_BYTES) throw new Error(`${name} must have exactly ${KEY_BYTES} characters of one byte each`)
  return bytes
}

function open(message: Buffer, key: Buffer): string | null {
  if (message.length < IV_BYTES + TAG_BYTES) return null
  const decipher = createDecipheriv(CIPHER, key, message.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES })
  decipher.setAuthTag(message.subarray(-TAG_BYTES))
  try {
    return Buffer.concat([decipher.update(message.subarray(IV_BYTES, -TAG_BYTES)), decipher.final()]).toString('utf8')
  } catch {
    return null
  }
}
