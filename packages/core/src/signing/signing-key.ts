import { createPrivateKey, type KeyObject, sign } from 'node:crypto'
import { inspect } from 'node:util'
import { fail } from '../errors.ts'
import { decodeKeyText, encodingOf } from '../keyring/key-text.ts'
import { PublicKey, type Purpose, signedBytes } from './public-key.ts'

/** PKCS #8 of an Ed25519 key up to its 32 bytes (RFC 8410). */
const pkcs8 = Buffer.from('302e020100300506032b657004220420', 'hex')

/**
 * An Ed25519 key that signs certificates and checkpoints. The operator holds it; it never stands in the database, so that whoever can
 * write the database cannot sign.
 *
 * Never printed: `toJSON` and `inspect` show its public half.
 */
export class SigningKey {
  readonly publicKey: PublicKey
  readonly #key: KeyObject

  constructor(key: KeyObject) {
    this.#key = key
    this.publicKey = new PublicKey(key)
  }

  /** Ed25519 over the bytes of the purpose and the text, base64url. */
  sign(purpose: Purpose, text: string): string {
    return sign(null, signedBytes(purpose, text), this.#key).toString('base64url')
  }

  toJSON(): object {
    return { signer: this.publicKey.signer }
  }

  [inspect.custom](): string {
    return `SigningKey { signer: '${this.publicKey.signer}' }`
  }
}

/**
 * A signing key from its text: the 32 bytes of its seed in hexadecimal, base64 or base64url, or PKCS #8 in PEM.
 *
 * @param label - where the text comes from, such as the name of its variable; it stands in messages, the text never does
 * @throws `ERR_KEY_FORMAT`
 */
export function signingKey(text: string, label: string): SigningKey {
  const encoding = encodingOf(text)
  if (encoding === null) return new SigningKey(fromPem(text, label))
  const seed = decodeKeyText(text, encoding)
  if (typeof seed === 'string') throw fail('ERR_KEY_FORMAT', label, 'ed25519', seed)
  if (seed.every((byte) => byte === 0)) throw fail('ERR_KEY_FORMAT', label, 'ed25519', 'it is all zeros, a key that everybody knows')
  const der = Buffer.concat([pkcs8, seed])
  try {
    return new SigningKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }))
  } finally {
    der.fill(0)
    seed.fill(0)
  }
}

function fromPem(text: string, label: string): KeyObject {
  try {
    if (!/^\s*-----BEGIN PRIVATE KEY-----\r?\n/.test(text)) throw new Error('not a private key')
    const key = createPrivateKey({ key: text, format: 'pem' })
    if (key.asymmetricKeyType !== 'ed25519') throw new Error('another kind of key')
    return key
  } catch {
    // The parser's own message may quote what it was given.
    const expected = 'it must be the 32 bytes of a seed (64 hexadecimal characters or base64), or PKCS #8 in PEM ("BEGIN PRIVATE KEY")'
    throw fail('ERR_KEY_FORMAT', label, 'ed25519', expected)
  }
}
