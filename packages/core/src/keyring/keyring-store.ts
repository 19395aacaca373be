import type { AuditEvent } from '../audit/event.ts'
import type { Sql } from '../state/sql.ts'
import type { KeyVersionFacts } from './key-version.ts'

/** One key wrapped under one root key. */
export interface Wrapping {
  readonly rootId: string
  readonly wrapped: Uint8Array
  /** When it was added, on the store's clock: readers need time to see it before another one may go. */
  readonly addedAt: Date
}

/** A key version as it is stored: its facts and its wrappings (none once destroyed). */
export interface StoredVersion extends KeyVersionFacts {
  readonly wrappings: readonly Wrapping[]
}

/** A keyring as it is stored. Nothing in it is secret while the root keys are elsewhere. */
export interface StoredKeyring {
  readonly name: string
  /** The revision that `save` will write; `load` returns the one that is stored. */
  readonly revision: number
  /** A key of 32 bytes that authenticates the states, wrapped like a data key under its own id. */
  readonly seal: { readonly id: string; readonly wrappings: readonly Wrapping[] }
  readonly versions: readonly StoredVersion[]
  /** HMAC-SHA256 under the seal key over name, revision and the facts of all versions. */
  readonly mac: Uint8Array
}

/** Keeps keyrings wrapped. */
export interface KeyringStore {
  readonly name: string
  /** The keyring of this name, or null if there is none. */
  load(name: string): Promise<StoredKeyring | null>
  /** The names of all keyrings. */
  list(): Promise<string[]>
  /**
   * Writes the keyring and its audit event in one step; a crash leaves both or neither. Revision 1 creates it.
   *
   * @throws `ERR_REVISION` unless the stored revision is one lower (none, for revision 1)
   * @throws `ERR_KEY_ID_TAKEN` when the id of a new version or seal is that of another one, also of another keyring: draw again
   */
  save(keyring: StoredKeyring, event: AuditEvent): Promise<void>
  /**
   * As `save`, with other work on the same database in the same transaction, before it: both happen or neither. Absent in a store that
   * stands elsewhere.
   */
  saveWith?(keyring: StoredKeyring, event: AuditEvent, work: (sql: Sql) => Promise<void>): Promise<void>
  /**
   * Adds `messages` to the count of a key version, before they are used.
   *
   * @returns the count after it
   * @throws `ERR_KEY_EXHAUSTED` where it would pass 2^32; nothing is added
   */
  reserve(keyring: string, versionId: string, messages: number): Promise<number>
  /** Messages reserved so far, by version id. */
  messages(keyring: string): Promise<Map<string, number>>
  /** The store's clock. All waits are measured on it, not on the caller's. */
  now(): Promise<Date>
}
