import { createPrivateKey, createSecretKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import type { KeyRule } from '../config/config.ts'
import { fail } from '../errors.ts'
import { type Algorithm, isSymmetric, schemeOf } from './algorithm.ts'
import { secretFromText } from './secret-text.ts'
import { acceptsTokenKey, encodeTokenKey, tokenKey } from './token-key.ts'

const words =
  'it must be a private key in PEM ("BEGIN PRIVATE KEY", "BEGIN EC PRIVATE KEY", "BEGIN RSA PRIVATE KEY"), without a passphrase, or a private JWK'

/**
 * A key that an application has signed with so far, from its text, as the bytes of a signing key (`spec/signing-key.md`): for HMAC a secret
 * by its rule, for the others a private key in PEM or as a JWK. The caller erases the bytes.
 *
 * @param label - where the text comes from; it stands in messages, the text never does
 * @throws `ERR_KEY_FORMAT` for what is no key of this algorithm
 */
export function importedKey(text: string, algorithm: Algorithm, { label, rule = 'utf8' }: { label: string; rule?: KeyRule }): Buffer {
  if (isSymmetric(algorithm)) {
    const bytes = secretFromText(text, rule, { leastBytes: Number(algorithm.slice(2)) / 8, label }).exportPlaintextKey()
    const secret = createSecretKey(bytes)
    bytes.fill(0)
    return encodeTokenKey(algorithm, secret)
  }
  const key = privateKey(text.trim(), algorithm)
  if (typeof key === 'string') throw fail('ERR_KEY_FORMAT', label, algorithm, key)
  const bytes = encodeTokenKey(algorithm, key)
  if (acceptsTokenKey(bytes)) return bytes
  bytes.fill(0)
  throw fail('ERR_KEY_FORMAT', label, algorithm, words)
}

/** The key of a text, or a sentence on what is wrong with it. */
function privateKey(text: string, algorithm: Algorithm): KeyObject | string {
  const key = parsed(text, algorithm)
  if (key === null) return words
  if (!schemeOf(algorithm).fits(key)) return 'it is a key of another kind, of another curve, or too short'
  // The two halves of a JWK stand beside each other, and need not belong together.
  const { verifies } = tokenKey(algorithm, key)
  const probe = Buffer.from('keyturn')
  const { sign, verify } = schemeOf(algorithm)
  return verify(probe, sign(probe, key), verifies) ? key : 'its private and its public half do not belong together'
}

function parsed(text: string, algorithm: Algorithm): KeyObject | null {
  try {
    if (!text.startsWith('{')) {
      // A variable holds one line in many places: its line breaks are then written as \n.
      const pem = text.includes('\n') ? text : text.replaceAll('\\n', '\n')
      return createPrivateKey({ key: pem, format: 'pem' })
    }
    const jwk = JSON.parse(text) as JsonWebKey
    if (typeof jwk.d !== 'string' || (jwk.alg !== undefined && jwk.alg !== algorithm)) return null
    return createPrivateKey({ key: jwk, format: 'jwk' })
  } catch {
    // What the parser says may quote the key.
    return null
  }
}
