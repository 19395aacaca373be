import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { fail, isKeyturnError } from '../errors.ts'
import { DATA_KEY_BYTES } from './key-kind.ts'
import type { KeyWrapper } from './key-wrapper.ts'

// Never change: wrappings that exist would not open any more (spec/signing-key.md).
const PREFIX = Buffer.from('keyturn/envelope/1\0', 'latin1')
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** Whether a wrapping is an envelope. What a key wrapper makes begins in another way: by its version, or at random. */
export function isEnvelope(wrapped: Uint8Array): boolean {
  return Buffer.compare(wrapped.subarray(0, PREFIX.length), PREFIX) === 0
}

/**
 * Wraps a key of any length: under a key of 32 bytes of its own, which the root key wraps. A root key in a KMS or an HSM often takes a
 * few dozen bytes and no more, where an RSA key has more than a thousand.
 *
 * `"keyturn/envelope/1" 00 ‖ u16be(length) ‖ wrapped(K) ‖ nonce(12) ‖ AES-256-GCM(K, nonce, key) ‖ tag(16)`; the associated data of both
 * is the prefix before that of the wrapping.
 */
export async function sealEnvelope(key: Uint8Array, data: Uint8Array, wrapper: KeyWrapper): Promise<Uint8Array> {
  const [contentKey, nonce] = [randomBytes(DATA_KEY_BYTES), randomBytes(NONCE_BYTES)]
  const bound = Buffer.concat([PREFIX, data])
  try {
    const wrapped = await wrapper.wrap(contentKey, bound)
    const length = Buffer.alloc(2)
    length.writeUInt16BE(wrapped.length)
    const cipher = createCipheriv('aes-256-gcm', contentKey, nonce, { authTagLength: TAG_BYTES }).setAAD(bound)
    const sealed = Buffer.concat([cipher.update(key), cipher.final(), cipher.getAuthTag()])
    return new Uint8Array(Buffer.concat([PREFIX, length, wrapped, nonce, sealed]))
  } finally {
    contentKey.fill(0)
  }
}

/**
 * Opens what `sealEnvelope` made with the same associated data.
 *
 * @returns the bytes of the key; the caller erases them
 * @throws `ERR_DECRYPT` for every kind of bad input
 */
export async function openEnvelope(envelope: Uint8Array, data: Uint8Array, wrapper: KeyWrapper): Promise<Uint8Array> {
  const bytes = Buffer.from(envelope)
  const from = PREFIX.length + 2
  const at = bytes.length < from ? from : from + bytes.readUInt16BE(PREFIX.length)
  if (!isEnvelope(bytes) || bytes.length < at + NONCE_BYTES + TAG_BYTES) throw fail('ERR_DECRYPT')
  const bound = Buffer.concat([PREFIX, data])
  const contentKey = await wrapper.unwrap(bytes.subarray(from, at), bound)
  try {
    if (contentKey.length !== DATA_KEY_BYTES) throw fail('ERR_DECRYPT')
    const nonce = bytes.subarray(at, at + NONCE_BYTES)
    const decipher = createDecipheriv('aes-256-gcm', contentKey, nonce, { authTagLength: TAG_BYTES }).setAAD(bound)
    decipher.setAuthTag(bytes.subarray(-TAG_BYTES))
    return Buffer.concat([decipher.update(bytes.subarray(at + NONCE_BYTES, -TAG_BYTES)), decipher.final()])
  } catch (error) {
    throw isKeyturnError(error) ? error : fail('ERR_DECRYPT')
  } finally {
    contentKey.fill(0)
  }
}
