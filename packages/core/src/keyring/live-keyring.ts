import type { KeyVersion } from './key-version.ts'
import type { Keyring } from './keyring.ts'

/** A keyring as a running process holds it: the latest snapshot, and the ways to a later one. */
export interface LiveKeyring {
  readonly name: string
  /** Present where the active key is a development key: the names of the secrets that it was derived from, never their values. */
  readonly developmentFrom?: readonly string[]
  /** Of keys from the environment: where each comes from, by version id. */
  readonly labels?: ReadonlyMap<string, string>
  /** Present where another system chose the ids of the versions and writes them beside its values: any text may be one. */
  readonly foreignIds?: true
  /** Of keys from the environment: ids of versions that everybody knows, their key being all zeros. */
  readonly knownToAll?: ReadonlySet<string>
  /** The latest good snapshot. */
  readonly snapshot: Keyring
  /**
   * The active version, counting `messages` encryptions against what this process has reserved.
   *
   * @throws `ERR_KEYRING_STALE` when the snapshot is too old to encrypt with (stored keyrings)
   * @throws `ERR_KEY_NOT_LOADED` when nothing is reserved: call `reserve` first
   */
  spend(messages: number): KeyVersion
  /**
   * Makes sure that `spend(messages)` succeeds, by reserving a block of message counts if need be.
   *
   * @throws `ERR_KEY_EXHAUSTED` at 2^32 messages
   */
  reserve(messages: number): Promise<void>
  /**
   * Loads again, unless `unknownId` was asked for shortly before and not found: one reload in flight, at most one a second,
   * an unknown id is remembered for 1 to 60 s.
   *
   * @returns the snapshot after it, which may be the same
   */
  reload(unknownId?: string): Promise<Keyring>
  /** Ends the refreshing. */
  close(): void
}

/** For codecs without a key id: the versions that may have written a value, the active one first. */
export function candidates(keyring: Keyring): KeyVersion[] {
  const active = keyring.decryptOnly ? [] : [keyring.active]
  return [...active, ...keyring.versions.filter((version) => version !== active[0] && version.material !== null).reverse()]
}
