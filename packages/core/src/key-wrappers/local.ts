import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, type KeyObject, randomBytes, scrypt } from 'node:crypto'
import { fail } from '../errors.ts'
import { decodeKeyText, encodingOf, type KeyEncoding } from '../keyring/key-text.ts'
import type { KeyWrapper } from '../keyring/key-wrapper.ts'
import { KID_BYTES, kidText } from '../keyring/kid.ts'

/** Cost of scrypt (RFC 7914). `N` is a power of two. */
export interface ScryptCost {
  readonly N: number
  readonly r: number
  readonly p: number
}

/** A root key of 32 bytes, as text or bytes; or a passphrase. */
export type LocalOptions =
  | {
      readonly key: string | Uint8Array
      /** Found from the text unless given. */
      readonly encoding?: KeyEncoding
      /** What messages call the key, such as the name of its variable. */
      readonly label?: string
    }
  | {
      /** At least 16 characters. */
      readonly passphrase: string
      /**
       * A name for this root, `[a-z0-9-]{1,32}`; another passphrase needs another name. It is chosen and not derived: anything
       * derived from a passphrase and stored beside the data would let everybody who reads it try passphrases.
       */
      readonly id: string
      /** For new wrappings; N = 2^17, r = 8, p = 1 unless given. */
      readonly scrypt?: ScryptCost
      readonly label?: string
    }

const defaultCost: ScryptCost = { N: 2 ** 17, r: 8, p: 1 }
const bounds = { leastLogN: 14, mostLogN: 20, mostR: 16, mostP: 4, mostMemory: 2 ** 30 }
const SALT_BYTES = 16
const NONCE_BYTES = 12
const TAG_BYTES = 16
const MIN_PASSPHRASE = 16
/** Derived keys that are kept, so that a database writer cannot fill the memory with salts. */
const MAX_DERIVED = 64

/** First byte of a wrapping. */
const kinds = { key: 1, passphrase: 2 } as const

/** Finds the key for a wrapping from its header, and says what header new wrappings get. */
interface Source {
  readonly rootId: string
  readonly headerLength: number
  keyOf(header: Uint8Array): Promise<KeyObject>
  newHeader(): Uint8Array
  /** Told of each header whose wrapping opened. */
  opened(header: Uint8Array): void
}

/**
 * A root key that this process holds: AES-256-GCM with a random nonce.
 *
 * A wrapping is `header ‖ nonce(12) ‖ ciphertext ‖ tag(16)`; the header is `01` for a key, and `02 ‖ log2 N ‖ r ‖ p ‖ salt(16)` for a
 * passphrase. The header is authenticated before the associated data. From a key, the wrapping key and the root id are
 * HKDF-SHA256 with an empty salt and the infos `keyturn/local-wrap` (32 bytes) and `keyturn/root-id` (5 bytes, in base32).
 *
 * @throws `ERR_KEY_FORMAT` when it is not 32 bytes in a known encoding, all zeros, or a passphrase that is too short
 * @example
 * local({ key: '4f'.repeat(32) }).rootId // 'local:ak7txb4b'
 */
export default function local(options: LocalOptions): KeyWrapper {
  const source = 'passphrase' in options ? fromPassphrase(options) : fromKey(options)
  return {
    name: 'local',
    rootId: source.rootId,
    wrap: async (key, associatedData) => {
      const header = source.newHeader()
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', await source.keyOf(header), nonce)
      cipher.setAAD(Buffer.concat([header, associatedData]))
      return new Uint8Array(Buffer.concat([header, nonce, cipher.update(key), cipher.final(), cipher.getAuthTag()]))
    },
    unwrap: (wrapped, associatedData) => unwrap(source, wrapped, associatedData),
  }
}

async function unwrap(source: Source, wrapped: Uint8Array, associatedData: Uint8Array): Promise<Uint8Array> {
  const { headerLength } = source
  if (wrapped.length < headerLength + NONCE_BYTES + TAG_BYTES) throw fail('ERR_DECRYPT')
  const header = wrapped.subarray(0, headerLength)
  const nonce = wrapped.subarray(headerLength, headerLength + NONCE_BYTES)
  const key = await source.keyOf(header)
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES })
  decipher.setAAD(Buffer.concat([header, associatedData]))
  decipher.setAuthTag(wrapped.subarray(-TAG_BYTES))
  try {
    const opened = Buffer.concat([decipher.update(wrapped.subarray(headerLength + NONCE_BYTES, -TAG_BYTES)), decipher.final()])
    source.opened(header)
    return opened
  } catch {
    throw fail('ERR_DECRYPT')
  }
}

function fromKey({ key, encoding, label = 'the root key' }: Extract<LocalOptions, { key: unknown }>): Source {
  if (typeof key !== 'string' && !(key instanceof Uint8Array))
    throw fail('ERR_USAGE', 'a local root needs its key, or a passphrase and an id')
  if (encoding !== undefined && !['hex', 'base64', 'base64url'].includes(encoding))
    throw fail('ERR_USAGE', 'the encoding of a root key is hex, base64 or base64url')
  const bytes = typeof key === 'string' ? fromText(key, encoding, label) : Buffer.from(key)
  const rule = encoding ?? 'hex, base64 or base64url'
  if (bytes.length !== 32) throw fail('ERR_KEY_FORMAT', label, rule, 'it must be 32 bytes')
  if (bytes.every((byte) => byte === 0)) throw fail('ERR_KEY_FORMAT', label, rule, 'it is all zeros, a key that everybody knows')
  const derive = (info: string, length: number) => Buffer.from(hkdfSync('sha256', bytes, Buffer.alloc(0), info, length))
  const wrapping = createSecretKey(derive('keyturn/local-wrap', 32))
  const rootId = `local:${kidText(derive('keyturn/root-id', KID_BYTES))}`
  bytes.fill(0)
  return {
    rootId,
    headerLength: 1,
    newHeader: () => Uint8Array.of(kinds.key),
    opened: () => {},
    keyOf: async (header) => {
      if (header[0] !== kinds.key) throw fail('ERR_DECRYPT')
      return wrapping
    },
  }
}

function fromText(text: string, encoding: KeyEncoding | undefined, label: string): Buffer {
  const found = encoding ?? encodingOf(text)
  if (found === null)
    throw fail(
      'ERR_KEY_FORMAT',
      label,
      'hex, base64 or base64url',
      'it must be the text of 32 bytes: 64 hexadecimal characters, or 43 or 44 of base64',
    )
  const bytes = decodeKeyText(text, found)
  if (typeof bytes === 'string') throw fail('ERR_KEY_FORMAT', label, found, bytes)
  return bytes
}

function fromPassphrase({
  passphrase,
  id,
  scrypt: cost = defaultCost,
  label = 'the root passphrase',
}: Extract<LocalOptions, { id: string }>): Source {
  if (typeof passphrase !== 'string' || !passphrase.isWellFormed() || [...passphrase].length < MIN_PASSPHRASE) {
    throw fail('ERR_KEY_FORMAT', label, 'passphrase', `it must have at least ${MIN_PASSPHRASE} characters`)
  }
  if (typeof id !== 'string' || !/^[a-z0-9-]{1,32}$/.test(id))
    throw fail('ERR_USAGE', 'the id of a root passphrase has 1 to 32 characters a-z, 0-9 and -')
  if (typeof cost !== 'object' || cost === null || !withinBounds(cost))
    throw fail('ERR_USAGE', 'the cost of scrypt is out of bounds: N a power of two from 2^14 to 2^20, r to 16, p to 4, 1 GiB at most')
  const derived = new Map<string, Promise<KeyObject>>()
  let newHeader = headerOf(cost, randomBytes(SALT_BYTES))
  return {
    rootId: `local:${id}`,
    headerLength: newHeader.length,
    newHeader: () => newHeader,
    keyOf: async (header) => {
      const stored = costOf(header)
      // Before anything is computed: a database writer must not choose how much work and memory this takes.
      if (stored === null || !withinBounds(stored)) throw fail('ERR_DECRYPT')
      const name = Buffer.from(header).toString('hex')
      const known = derived.get(name) ?? derive(passphrase, stored, header.slice(4))
      if (derived.size < MAX_DERIVED) derived.set(name, known)
      known.catch(() => derived.delete(name))
      return known
    },
    // New wrappings share the salt of those that opened, so that opening a keyring takes one scrypt and not one for each key. Not of
    // those that were merely read: a database writer must not choose the salt.
    opened: (header) => {
      const stored = costOf(header)
      if (stored !== null && sameCost(stored, cost)) newHeader = Uint8Array.from(header)
    },
  }
}

const sameCost = (a: ScryptCost, b: ScryptCost): boolean => a.N === b.N && a.r === b.r && a.p === b.p

function headerOf({ N, r, p }: ScryptCost, salt: Uint8Array): Uint8Array {
  return Uint8Array.of(kinds.passphrase, Math.log2(N), r, p, ...salt)
}

function costOf(header: Uint8Array): ScryptCost | null {
  const [kind, logN = 0, r = 0, p = 0] = header
  return kind === kinds.passphrase ? { N: 2 ** logN, r, p } : null
}

function withinBounds({ N, r, p }: ScryptCost): boolean {
  const logN = Math.log2(N)
  if (!Number.isInteger(logN) || logN < bounds.leastLogN || logN > bounds.mostLogN) return false
  if (![r, p].every((value) => Number.isInteger(value) && value >= 1)) return false
  return r <= bounds.mostR && p <= bounds.mostP && 128 * N * r <= bounds.mostMemory
}

function derive(passphrase: string, { N, r, p }: ScryptCost, salt: Uint8Array): Promise<KeyObject> {
  return new Promise((resolve, reject) => {
    // Node wants the limit to be above what it uses: 128 * N * r for the table and 128 * r * p for the blocks.
    const maxmem = 128 * r * (N + p) + 2 ** 20
    scrypt(passphrase, salt, 32, { N, r, p, maxmem }, (error, key) => (error === null ? resolve(createSecretKey(key)) : reject(error)))
  })
}
