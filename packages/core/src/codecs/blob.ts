import { fail } from '../errors.ts'
import type { Codec, Stored } from '../field/codec.ts'
import { checkOptions, oneOf } from '../field/codec-options.ts'
import { isReserved } from '../field/reserved.ts'
import { materialOf, open, type Sealed, seal, TAG_BYTES } from './aes-gcm/cipher.ts'
import { checkNonceLength } from './aes-gcm/layout.ts'
import { fillNonce } from './aes-gcm/nonce.ts'
import { asBuffer, nearly } from './aes-gcm/shape.ts'

/** Options of the codec `blob`. */
export interface BlobOptions {
  /** The order of IV, ciphertext and tag; `iv.ct.tag` unless given. */
  readonly order?: 'iv.ct.tag' | 'iv.tag.ct'
  /** Bytes of the IV, 12 to 32; 12 unless given. */
  readonly iv?: number
  /** `base64` (standard alphabet, padded) for text columns, unless given; `bytes` for bytea columns. */
  readonly encoding?: 'base64' | 'bytes'
}

/**
 * AES-256-GCM in one piece: IV, ciphertext and tag (16 bytes) one after another, in base64 or as bytes. The key is used as it is;
 * nothing but the message is authenticated, so a value opens in any row and field under the same key.
 *
 * Base64 is read strictly: standard alphabet, padded, spare bits zero. Bytes have no shape: every value of them is claimed, and
 * `plain` cannot stand beside them.
 *
 * @throws `ERR_CONFIG` for malformed options
 */
export default function blob(options: BlobOptions = {}): Codec {
  checkOptions('blob', options, ['order', 'iv', 'encoding'])
  const tagFirst = oneOf('blob', 'order', options.order, ['iv.ct.tag', 'iv.tag.ct']) === 'iv.tag.ct'
  const ivBytes = checkNonceLength('blob', options.iv)
  const container = containers[oneOf('blob', 'encoding', options.encoding, ['base64', 'bytes'])]
  const matches = (stored: Stored) => container.matches(stored, ivBytes + TAG_BYTES)
  return {
    name: 'blob',
    namesKey: false,
    matches,
    claims: container.claims,
    keyIdOf: () => null,
    prefixOf: () => null,
    encrypt(plaintext, version, context) {
      const key = materialOf(version, context).key
      const nonce = Buffer.allocUnsafe(ivBytes)
      // A nonce that begins as Keyturn's own bytes would make the value one of a newer version: one in 2^20 is drawn again.
      do fillNonce(nonce, ivBytes)
      while (isReserved(nonce))
      const { ciphertext, tag } = seal(key, nonce, null, plaintext)
      return container.pack(Buffer.concat(tagFirst ? [nonce, tag, ciphertext] : [nonce, ciphertext, tag]))
    },
    decrypt(stored, version, context) {
      const bytes = matches(stored) ? container.unpack(stored) : null
      if (bytes === null) throw fail('ERR_DECRYPT')
      return open(materialOf(version, context).key, bytes.subarray(0, ivBytes), null, split(bytes.subarray(ivBytes), tagFirst))
    },
  }
}

function split(rest: Buffer, tagFirst: boolean): Sealed {
  return tagFirst
    ? { tag: rest.subarray(0, TAG_BYTES), ciphertext: rest.subarray(TAG_BYTES) }
    : { tag: rest.subarray(-TAG_BYTES), ciphertext: rest.subarray(0, -TAG_BYTES) }
}

interface Container {
  matches(stored: Stored, minBytes: number): boolean
  claims(stored: Stored): boolean
  pack(bytes: Buffer): Stored
  /** Null unless `pack` would give exactly `stored`. */
  unpack(stored: Stored): Buffer | null
}

const containers: Record<'base64' | 'bytes', Container> = {
  base64: {
    matches(stored, minBytes) {
      if (typeof stored !== 'string' || stored.length % 4 !== 0 || stored.length < Math.ceil(minBytes / 3) * 4) return false
      const padding = stored.endsWith('==') ? 2 : stored.endsWith('=') ? 1 : 0
      return !/[^A-Za-z0-9+/]/.test(stored.slice(0, stored.length - padding)) && (stored.length / 4) * 3 - padding >= minBytes
    },
    claims: (stored) => nearly(stored, /[A-Za-z0-9+/=]+/g),
    pack: (bytes) => bytes.toString('base64'),
    unpack(stored) {
      const bytes = Buffer.from(stored as string, 'base64')
      return bytes.toString('base64') === stored ? bytes : null
    },
  },
  bytes: {
    matches: (stored, minBytes) => typeof stored !== 'string' && stored.length >= minBytes,
    claims: (stored) => typeof stored !== 'string' && stored.length > 0,
    pack: (bytes) => bytes,
    unpack: (stored) => asBuffer(stored as Uint8Array),
  },
}
