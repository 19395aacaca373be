import type { KeyVersion } from '../keyring/key-version.ts'
import type { Context } from './context.ts'

/** What a column holds: text, or bytes in a bytea column. */
export type Stored = string | Uint8Array

/** Reads and writes one ciphertext format. */
export interface Codec {
  readonly name: string
  /** Whether values name the key version that opens them. Where false, a value is tried with several keys. */
  readonly namesKey: boolean
  /** Present where values need no key, being plain text. Such a codec is read last, and no field writes it. */
  readonly keyless?: true
  /** Whether `stored` is in this format. Must not throw and must not need a key. */
  matches(stored: Stored): boolean
  /**
   * Whether `stored` could be a damaged or foreign-written value of this format. Wider than `matches`; what it claims is never
   * taken for plain text. Must not throw.
   */
  claims(stored: Stored): boolean
  /** The id of the key version named inside `stored`, or null where the format records none. Must not throw. */
  keyIdOf(stored: Stored): string | null
  /**
   * The characters (text) or bytes with which every value that `encrypt` writes under `key` begins and no other value does, or
   * null where the format names no key. Lets a database pass over values that are current.
   */
  prefixOf(key: KeyVersion): Stored | null
  encrypt(plaintext: Uint8Array, key: KeyVersion, context: Context): Stored
  /** @throws `ERR_DECRYPT` for every kind of bad input, always with the same message */
  decrypt(stored: Stored, key: KeyVersion, context: Context): Uint8Array
  /**
   * Seals many values of one key version at once, cheaper than one by one, for rotations; as many as there are contexts, in their order.
   * Null where each must be sealed by itself.
   */
  encryptMany?(plaintexts: readonly Uint8Array[], key: KeyVersion, contexts: readonly Context[]): Stored[] | null
  /**
   * Opens many values of one key version at once, cheaper than one by one, for rotations. Null for a value that does not open in this
   * way: `decrypt` has the last word on it.
   *
   * @param contexts - one for each value
   */
  decryptMany?(stored: readonly Stored[], key: KeyVersion, contexts: readonly Context[]): (Uint8Array | null)[]
}
