import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto'
import { fail } from '../errors.ts'

/** What a signature is for. Each has bytes of its own before the text, so that one can never be taken for the other. */
export type Purpose = 'certificate' | 'checkpoint'

// Never change: signatures that exist would not check any more (spec/certificate.md, spec/audit.md).
const prefixes: Record<Purpose, string> = { certificate: 'keyturn/certificate/1\0', checkpoint: 'keyturn/checkpoint/1\0' }

/** The bytes that are signed: those of the purpose, then the text in UTF-8. */
export const signedBytes = (purpose: Purpose, text: string): Buffer => Buffer.from(prefixes[purpose] + text, 'utf8')

const KEY_BYTES = 32
const SIGNATURE_BYTES = 64

/** The public half of a signing key: whoever has it can check a signature, and nothing else. Plain data. */
export class PublicKey {
  /** The first 16 hexadecimal digits of SHA-256 over the 32 bytes of the key. */
  readonly signer: string
  /** The 32 bytes, base64url. */
  readonly text: string
  /** SPKI in PEM, as other tools have it. */
  readonly pem: string
  readonly #key: KeyObject

  /** @param key - a public or private Ed25519 key; of a private one only the public half is kept */
  constructor(key: KeyObject) {
    this.#key = key.type === 'private' ? createPublicKey(key) : key
    const raw = bytesOf(this.#key.export({ format: 'jwk' }).x ?? '', KEY_BYTES) ?? Buffer.alloc(0)
    this.signer = createHash('sha256').update(raw).digest('hex').slice(0, 16)
    this.text = raw.toString('base64url')
    this.pem = String(this.#key.export({ type: 'spki', format: 'pem' }))
  }

  /** Whether `signature`, base64url, is one of this text for this purpose. Never throws. */
  verifies(purpose: Purpose, text: string, signature: string): boolean {
    const bytes = bytesOf(signature, SIGNATURE_BYTES)
    return bytes !== null && text.isWellFormed() && verify(null, signedBytes(purpose, text), this.#key, bytes)
  }
}

/**
 * A public key from its text: SPKI in PEM, or the 32 bytes in base64url.
 *
 * @throws `ERR_KEY_FORMAT` for anything else, a private key included: it has no business where signatures are checked
 */
export function publicKey(text: string): PublicKey {
  const raw = bytesOf(text.trim(), KEY_BYTES)
  try {
    if (raw !== null) return new PublicKey(createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: text.trim() }, format: 'jwk' }))
    if (!/^\s*-----BEGIN PUBLIC KEY-----\r?\n/.test(text)) throw new Error('not a public key')
    const key = createPublicKey({ key: text, format: 'pem' })
    if (key.asymmetricKeyType !== 'ed25519') throw new Error('another kind of key')
    return new PublicKey(key)
  } catch {
    // What was given may be a private key: nothing of it is printed.
    throw fail('ERR_KEY_FORMAT', 'the public key', 'ed25519', 'it must be SPKI in PEM ("BEGIN PUBLIC KEY"), or 32 bytes in base64url')
  }
}

/** Bytes from base64url, strictly: no padding, no foreign character, spare bits zero. Null for anything else. */
function bytesOf(text: string, length: number): Buffer | null {
  const bytes = Buffer.from(text, 'base64url')
  return bytes.length === length && bytes.toString('base64url') === text ? bytes : null
}
