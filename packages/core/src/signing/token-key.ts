import { createPrivateKey, createPublicKey, createSecretKey, type KeyObject } from 'node:crypto'
import type { KeyKind } from '../keyring/key-kind.ts'
import type { KeyMaterial } from '../keyring/key-version.ts'
import { type Algorithm, isAlgorithm, isSymmetric, schemeOf } from './algorithm.ts'

/** A key that signs tokens: its algorithm, and what signs and what verifies. For HMAC both are the same secret. */
export interface TokenKey {
  readonly algorithm: Algorithm
  readonly signs: KeyObject
  readonly verifies: KeyObject
}

// Never change: keys that exist would not open any more (spec/signing-key.md).
const PREFIX = Buffer.from('keyturn/signing-key/1\0', 'latin1')

/** The bytes of a key as they are wrapped: `"keyturn/signing-key/1" 00 ‖ u8(length) ‖ algorithm ‖ secret or PKCS #8`. */
export function encodeTokenKey(algorithm: Algorithm, key: KeyObject): Buffer {
  const bytes = key.type === 'secret' ? key.export() : key.export({ format: 'der', type: 'pkcs8' })
  const encoded = Buffer.concat([PREFIX, Buffer.from([algorithm.length]), Buffer.from(algorithm, 'latin1'), bytes])
  bytes.fill(0)
  return encoded
}

/** The key that these bytes mean, or null: another form, a key that does not fit its algorithm, or more than one way to write it. */
function decodeTokenKey(bytes: Uint8Array): TokenKey | null {
  const at = PREFIX.length + 1
  const from = at + (bytes[PREFIX.length] ?? 0)
  const algorithm = Buffer.from(bytes.subarray(at, from)).toString('latin1')
  if (Buffer.compare(bytes.subarray(0, PREFIX.length), PREFIX) !== 0 || !isAlgorithm(algorithm)) return null
  try {
    const key = Buffer.from(bytes.subarray(from))
    const signs = isSymmetric(algorithm) ? createSecretKey(key) : createPrivateKey({ key, format: 'der', type: 'pkcs8' })
    key.fill(0)
    if (!schemeOf(algorithm).fits(signs)) return null
    const again = encodeTokenKey(algorithm, signs)
    const same = Buffer.compare(again, bytes) === 0
    again.fill(0)
    return same ? tokenKey(algorithm, signs) : null
  } catch {
    // What the parser says may quote the key.
    return null
  }
}

/** A key from its private or secret half. */
export function tokenKey(algorithm: Algorithm, signs: KeyObject): TokenKey {
  return { algorithm, signs, verifies: signs.type === 'private' ? createPublicKey(signs) : signs }
}

const shared = new WeakMap<KeyMaterial, TokenKey>()

/** The key of a secret from the environment: its bytes are the key. */
export function environmentTokenKey(material: KeyMaterial, algorithm: Algorithm): TokenKey {
  const known = shared.get(material) ?? tokenKey(algorithm, material.key)
  shared.set(material, known)
  return known
}

/** Whether these bytes are a signing key. */
export const acceptsTokenKey = (bytes: Uint8Array): boolean => decodeTokenKey(bytes) !== null

/** The keys of a stored signing keyring: new ones are for this algorithm, those that are there may be for any. */
export function tokenKeys(algorithm: Algorithm): KeyKind {
  return {
    name: 'signing keys',
    create: async () => encodeTokenKey(algorithm, await schemeOf(algorithm).create()),
    accepts: acceptsTokenKey,
    counted: false,
  }
}

const opened = new WeakMap<KeyMaterial, TokenKey>()

/** The key of a stored version, parsed once. @throws TypeError for material that `tokenKeys` does not accept */
export function storedTokenKey(material: KeyMaterial): TokenKey {
  const known = opened.get(material)
  if (known !== undefined) return known
  const bytes = material.exportPlaintextKey()
  const key = decodeTokenKey(bytes)
  bytes.fill(0)
  if (key === null) throw new TypeError('the material is no signing key')
  opened.set(material, key)
  return key
}
