import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

/**
 * What langfuse does with its `ENCRYPTION_KEY`, written from the description of its format and sharing nothing with Keyturn: AES-256-GCM
 * under the key in hexadecimal, a random IV of 12 bytes, and `iv:ciphertext:tag` in hexadecimal.
 */

/** @throws Error where langfuse would show an error: the wrong key, a changed value, or an empty middle segment */
export function langfuseDecrypt(stored: string, key: string): string {
  const [iv, ciphertext, tag] = stored.split(':')
  if (!iv || !ciphertext || !tag) throw new Error('not in the format of langfuse')
  const decipher = createDecipheriv('aes-256-gcm', Buffer.from(key, 'hex'), Buffer.from(iv, 'hex'), { authTagLength: 16 })
  decipher.setAuthTag(Buffer.from(tag, 'hex'))
  return Buffer.concat([decipher.update(Buffer.from(ciphertext, 'hex')), decipher.final()]).toString('utf8')
}

export function langfuseEncrypt(plaintext: string, key: string): string {
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', Buffer.from(key, 'hex'), iv)
  const ciphertext = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final()])
  return [iv, ciphertext, cipher.getAuthTag()].map((part) => part.toString('hex')).join(':')
}
