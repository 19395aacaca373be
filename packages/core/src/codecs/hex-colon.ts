import { fail } from '../errors.ts'
import type { Codec, Stored } from '../field/codec.ts'
import { checkOptions, oneOf } from '../field/codec-options.ts'
import { materialOf, open, seal, TAG_BYTES } from './aes-gcm/cipher.ts'
import { checkNonceLength } from './aes-gcm/layout.ts'
import { openMany } from './aes-gcm/many.ts'
import { fillNonce } from './aes-gcm/nonce.ts'
import { nearly } from './aes-gcm/shape.ts'

const orders = ['iv.tag.ct', 'iv.ct.tag', 'tag.iv.ct', 'tag.ct.iv', 'ct.iv.tag', 'ct.tag.iv'] as const

/** Options of the codec `hex-colon`. */
export interface HexColonOptions {
  /** The order of IV, tag and ciphertext; `iv.tag.ct` unless given. */
  readonly order?: (typeof orders)[number]
  /** Bytes of the IV, 12 to 32; 12 unless given. */
  readonly iv?: number
}

const noBytes = new Uint8Array(0)
/** Opens under no key. */
const nothing = { bytes: noBytes, start: 0, end: 0, aad: noBytes }

/**
 * AES-256-GCM as many applications write it: IV, tag (16 bytes) and ciphertext in hexadecimal, joined by colons. The key is used
 * as it is; nothing but the message is authenticated, so a value opens in any row and field under the same key.
 *
 * Only lower-case digits are read: no application seen writes others, and with two spellings of one value a comparison of
 * stored texts would mean less. The ciphertext may be empty.
 *
 * @throws `ERR_CONFIG` for malformed options
 */
export default function hexColon(options: HexColonOptions = {}): Codec {
  checkOptions('hex-colon', options, ['order', 'iv'])
  const order = oneOf('hex-colon', 'order', options.order, orders).split('.')
  const ivBytes = checkNonceLength('hex-colon', options.iv)
  const [ivAt, tagAt, ctAt] = [order.indexOf('iv'), order.indexOf('tag'), order.indexOf('ct')] as [number, number, number]

  const segmentsOf = (stored: Stored): string[] | null => {
    if (typeof stored !== 'string' || /[^0-9a-f:]/.test(stored)) return null
    const segments = stored.split(':', 4)
    const fits =
      segments.length === 3 &&
      segments[ivAt]?.length === ivBytes * 2 &&
      segments[tagAt]?.length === TAG_BYTES * 2 &&
      (segments[ctAt] as string).length % 2 === 0
    return fits ? segments : null
  }

  const decryptMany: NonNullable<Codec['decryptMany']> = (stored, version, contexts) => {
    const [context] = contexts
    if (context === undefined) return []
    const messages = stored.map((text) => {
      const segments = segmentsOf(text)
      if (segments === null) return nothing
      const bytes = Buffer.from((segments[ivAt] as string) + (segments[ctAt] as string) + (segments[tagAt] as string), 'hex')
      return { bytes, start: 0, end: bytes.length, aad: noBytes }
    })
    return openMany(materialOf(version, context).key, messages)
  }

  return {
    name: 'hex-colon',
    namesKey: false,
    matches: (stored) => segmentsOf(stored) !== null,
    claims: (stored) => nearly(stored, /[0-9a-fA-F:]+/g),
    keyIdOf: () => null,
    prefixOf: () => null,
    encrypt(plaintext, version, context) {
      const key = materialOf(version, context).key
      const nonce = Buffer.allocUnsafe(ivBytes)
      fillNonce(nonce, ivBytes)
      const { ciphertext, tag } = seal(key, nonce, null, plaintext)
      const segments = ['', '', '']
      segments[ivAt] = nonce.toString('hex')
      segments[tagAt] = tag.toString('hex')
      segments[ctAt] = ciphertext.toString('hex')
      return segments.join(':')
    },
    decrypt(stored, version, context) {
      const segments = segmentsOf(stored)
      if (segments === null) throw fail('ERR_DECRYPT')
      const [nonce, tag, ciphertext] = [ivAt, tagAt, ctAt].map((at) => Buffer.from(segments[at] as string, 'hex')) as [
        Buffer,
        Buffer,
        Buffer,
      ]
      return open(materialOf(version, context).key, nonce, null, { ciphertext, tag })
    },
    // With other lengths of the nonce the first counter block is a hash of it.
    ...(ivBytes === 12 ? { decryptMany } : {}),
  }
}
