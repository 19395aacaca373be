import type { AuditEvent } from '../audit/event.ts'
import type { Sql } from '../state/sql.ts'
import type { KeyKind } from './key-kind.ts'
import type { KeyWrapper } from './key-wrapper.ts'
import type { KeyringStore, StoredKeyring } from './keyring-store.ts'
import type { LiveKeyring } from './live-keyring.ts'

/** What a keyring that a store keeps is opened with. */
export interface StoredKeyringOptions {
  readonly store: KeyringStore
  readonly name: string
  /** Root keys: the first one wraps, all of them unwrap. */
  readonly wrappers: readonly [KeyWrapper, ...KeyWrapper[]]
  /** What its keys are; data keys unless given. */
  readonly kind?: KeyKind
  /** The bytes of version 1, where the keyring is made; a new key unless given. */
  readonly first?: () => Uint8Array
  /** How often it is loaded again; 5000 unless given. Must be the same in every process. */
  readonly refreshMs?: number
  /** Who stands in the audit log; `library` unless given. */
  readonly actor?: string
  /**
   * For a process that looks and changes nothing: a keyring that is not there is an error, and no messages are reserved until
   * `reserve` asks for them.
   */
  readonly readOnly?: boolean
  /** How long an answer of the store is waited for, in milliseconds; 10,000 unless given. */
  readonly patienceMs?: number
  /** Milliseconds of a clock that never goes back; a `wakingClock` unless given. */
  readonly monotonicMs?: () => number
}

/** What one root key opens of a keyring: keys that are not destroyed, and those of them that it opens. */
export interface OpensUnder {
  readonly keys: number
  readonly opened: number
}

/** A keyring that a store keeps, in a running process. */
export interface OpenedKeyring extends LiveKeyring {
  /** What the store held at the last good load: wrappings and their roots. */
  readonly stored: StoredKeyring
  /** Milliseconds since the last good load was sent. */
  readonly ageMs: number
  /** Adds a version in state pending. @returns its id */
  addPendingVersion(): Promise<string>
  /**
   * Makes a pending version active. Does nothing when it is. Give readers time to load it first: twice `refreshMs`.
   *
   * @throws `ERR_KEY_STATE` for a version in another state, also one that was active and has a successor, or compromised
   */
  activateVersion(id: string): Promise<void>
  /**
   * Makes a version that is retiring the active one again, in place of the one that followed it. Does nothing when it is. Every reader has it.
   *
   * @param from - the one that is active now: when it is another one, somebody has rotated meanwhile
   * @throws `ERR_KEY_STATE` for a version that is not retiring, or compromised, and when another one than `from` is active
   */
  returnTo(id: string, from: string): Promise<void>
  /**
   * Saves that a retiring version is retired: call it with the proof in hand. Of one that is retired already, saves that its proof was
   * made again.
   *
   * @param data - facts for the audit log
   * @param compromised - marks the version in the same save
   * @param guard - looks whether the proof still stands, and throws if not; in the transaction of the save where the store is in the same
   *   database, so that nobody takes it down in between
   * @throws `ERR_KEY_STATE` for a version in another state
   */
  retireVersion(id: string, data: AuditEvent['data'], compromised?: boolean, guard?: (within?: Sql) => Promise<void>): Promise<void>
  /**
   * Makes a retired version retiring again, and takes down what proves its retirement. Of one that is retiring, takes down what is left.
   *
   * In a store that stands in the same database both are one transaction. In any other one the state is saved first: a crash in between
   * leaves a version that is retiring and still refused, which promises nothing and harms nobody, and this call takes the refusal down when it
   * is repeated. The other way round a version would be called retired that nothing refuses.
   *
   * @param drop - takes down the fences, within a transaction if one is given
   */
  unretireVersion(id: string, drop: (within?: Sql) => Promise<void>): Promise<void>
  /** As `unretireVersion` for a version that is retiring; does nothing for any other, which somebody else has retired meanwhile. */
  unfenceVersion(id: string, drop: (within?: Sql) => Promise<void>): Promise<void>
  /** Erases the key of a retired or pending version: its wrappings are deleted. @throws `ERR_KEY_STATE` for a version in another state */
  destroyVersion(id: string): Promise<void>
  /**
   * Wraps every key under the first root where it is not yet, in one save. With `drop`, waits until every reader has had twice
   * `refreshMs` to see that, then deletes the wrappings under that root of those keys that another root has just opened here. Both
   * wrappings are there in between: a crash leaves a state that every holder of either root can open. The cost is that of the keys,
   * whatever the number of values.
   *
   * @param options.under - the root that wraps, where it is not the first one here: one that is on its way to the configuration
   * @throws `ERR_USAGE` when `drop` is the root that wraps
   */
  rewrap(options?: {
    readonly drop?: string
    readonly under?: KeyWrapper
  }): Promise<{ readonly added: number; readonly dropped: number; readonly roots: readonly string[] }>
  /** Loads the keyring anew and counts its keys, the seal among them, and those that this root alone opens. Changes nothing. */
  opensUnder(wrapper: KeyWrapper): Promise<OpensUnder>
  /** The keyring as last loaded, for another store: every key wrapped under this root alone. */
  exportUnder(wrapper: KeyWrapper): Promise<StoredKeyring>
}
