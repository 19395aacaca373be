import type { LoggedEvent } from './audit/chain.ts'
import type { Checkpoint } from './audit/checkpoint.ts'
import type { AuditEvent } from './audit/event.ts'
import type { EventFilter, EventPage } from './audit/listing.ts'
import type { AuditReport } from './audit/verification.ts'
import type { BoundColumns, Config } from './config/config.ts'
import type { Field } from './field/field.ts'
import type { KeyWrapper } from './keyring/key-wrapper.ts'
import type { OpensUnder } from './keyring/opened-keyring.ts'
import type { Census } from './rotation/census.ts'
import type { Certificate } from './rotation/certificate.ts'
import type { HashedTokens, HashTokensOptions, TokenColumnOptions } from './rotation/hash-tokens.ts'
import type { Plan } from './rotation/plan.ts'
import type { RotationResult, Verification } from './rotation/result.ts'
import type { MissingFence, Retirement } from './rotation/retirement.ts'
import type { RotationMode, RotationState } from './rotation/run.ts'
import type { TokenCounts } from './rotation/token-column.ts'
import type { Rotations } from './rotations.ts'
import type { Sessions } from './sessions.ts'
import type { Algorithm } from './signing/algorithm.ts'
import type { SigningKeyring } from './signing/signing-keyring.ts'
import type { RefusalReason } from './signing/token-ledger.ts'

/** Limits on how hard a rotation works the database. */
export interface Throttle {
  /** How long one batch should take; its size follows. Unless given 8, or 100 where `share` is 1. */
  readonly targetMs?: number
  /** Rows a second at most; no limit unless given. */
  readonly rowsPerSecond?: number
  /** Share of the time in which batches run, 0 to 1; the rest is rest. 0.2 unless given; 1: as fast as it goes. A verification keeps to it too. */
  readonly share?: number
}

/** One look at a run, at most a few times a second. */
export interface ProgressReport {
  readonly rotationId: string
  readonly phase: 'waiting-for-readers' | 'rewriting' | 'verifying' | 'counting'
  readonly pass: number
  /** Rows looked at in this pass, and the estimate of all. */
  readonly rowsDone: number
  readonly rowsTotal: number
  readonly rotated: number
  readonly conflicts: number
  readonly setAside: number
  readonly rowsPerSecond: number
  readonly secondsLeft: number | null
}

/** Options of what may run long. */
export interface RunOptions {
  /** Aborted: the batch is finished, the run is paused, the result says `paused`. */
  readonly signal?: AbortSignal
  readonly onProgress?: (report: ProgressReport) => void
  readonly throttle?: Throttle
}
export interface PlanOptions {
  readonly mode?: RotationMode
  /** Only these fields; all fields of the keyring unless given. */
  readonly fields?: readonly string[]
  /** Transaction mode: the operator says that no application is connected, so no hold is made. */
  readonly appStopped?: boolean
  /** Whether a new key version is made first; true for stored keyrings unless given. */
  readonly newVersion?: boolean
  /**
   * A plan that was made before, as `plan` gave it or `readPlan` read it: options that are not given are those of the plan, what it says must
   * be accepted is accepted, and it is refused with `ERR_PLAN_CHANGED` if its facts do not hold any more.
   */
  readonly plan?: Plan
}
export interface RotateOptions extends RunOptions, PlanOptions {
  /** Transaction mode: values that do not open stay as they are and the rest is committed. */
  readonly setAside?: boolean
  /** Accepts what `plan.mustAccept` lists. */
  readonly accept?: boolean
  /** Once the signal is aborted, the run is left as it is, for another process to go on with, instead of being paused. */
  readonly handOver?: boolean
}
export interface VerifyOptions extends RunOptions {
  readonly keyring?: string
  readonly fields?: readonly string[]
}
export interface CensusOptions extends RunOptions {
  readonly keyring?: string
  readonly fields?: readonly string[]
}
export interface RetireOptions extends RunOptions {
  /** Ids of versions in state retiring; all of them unless given. */
  readonly versions?: readonly string[]
  /** The exact number of values set aside that name these keys: they may stand, and the certificate lists them. */
  readonly acceptSetAside?: number
}
export interface DestroyOptions {
  /** Destroys before the backup horizon of the keyring is over: backups under the key cannot be read any more. */
  readonly now?: boolean
}

export interface ExportOptions {
  /** The file; made if it is not there. Other keyrings may stand in it. */
  readonly file: string
  /** The root key that opens it. */
  readonly wrapper: KeyWrapper
}
/** The audit log of an opened configuration. */
export interface AuditLog {
  /**
   * Checks every event.
   *
   * @param options.expect - a head obtained elsewhere, `seq:hash`, or a checkpoint: the chain must hold it, so that a log that was cut
   *   short or written anew is found
   * @throws `ERR_USAGE`, `ERR_CERTIFICATE` when `expect` is neither
   */
  verify(options?: { readonly expect?: string }): Promise<AuditReport>
  /** A page of events that fit, the newest first. @throws `ERR_USAGE` when `after` is no place in the list */
  list(filter?: EventFilter): Promise<EventPage>
  /** All events in their order, read in pages. */
  events(): AsyncIterable<LoggedEvent>
  /**
   * Puts an event of the application on record, in a transaction of its own. Nothing is recorded where there is no state.
   *
   * @throws `ERR_USAGE` for what an event cannot hold
   */
  record(event: AuditEvent): Promise<void>
  /** Signs the head and tells it to the sink. @throws `ERR_AUDIT` when the last event is not the one that the head names */
  checkpoint(): Promise<Checkpoint>
}
/** What stands where, cheaply: no value is opened. */
export interface Status {
  readonly keyrings: readonly KeyringStatus[]
  /** The newest rotations of all keyrings, also of those that the configuration does not name; the newest first. */
  readonly rotations: readonly RotationStatus[]
  /** Holds that stand, by rotation. */
  readonly holds: readonly { readonly rotationId: string; readonly tables: readonly string[] }[]
}
export interface RotationStatus {
  readonly id: string
  readonly keyring: string
  readonly mode: RotationMode
  readonly state: RotationState
  readonly createdAt: string
  /** Values set aside in its latest pass. */
  readonly setAside: number
  /** Why it waits, paused or failed; null if there is nothing to say. */
  readonly note: string | null
}
export interface KeyringStatus {
  readonly name: string
  /** Kept by Keyturn, given by the environment, or in a table of the application, which only decrypt. */
  readonly kind: 'stored' | 'environment' | 'table'
  readonly revision: number
  readonly versions: readonly {
    /** The key id that values name; for keys from the environment, where the key comes from. */
    readonly id: string
    readonly number: number
    readonly state: string
    readonly compromised: boolean
    /** Null for keys from the environment. */
    readonly createdAt: string | null
    readonly activatedAt: string | null
    readonly retiredAt: string | null
    /** Who made it active, by the audit log; null where that does not say. */
    readonly activatedBy: string | null
    /** Messages reserved so far; null where they are not counted. */
    readonly messages: number | null
    /** Ids of the root keys it is wrapped under. */
    readonly roots: readonly string[]
  }[]
  /** What should be done, in words: begins with `rotate`, `soon`, `retire` or `destroy`. */
  readonly due: readonly string[]
  /** When the active key is to be replaced by its `period`, as an ISO time; null without one. */
  readonly dueAt: string | null
  /** What is wrong with keys that are accepted all the same, a sentence each: keys of zeros, which older deployments have values under. */
  readonly findings: readonly string[]
  /** Messages until the active key is to be replaced, at 2^31 or at what `messages` says; null where they are not counted. */
  readonly messagesLeft: number | null
  readonly fields: readonly string[]
  /** Of a keyring whose keys sign tokens; null for one that encrypts. */
  readonly signing: SigningStatus | null
}

/** What stands where with tokens. Times in seconds. */
export interface SigningStatus {
  /** The algorithm of new keys. */
  readonly algorithm: Algorithm
  readonly lifetimeSeconds: number
  readonly graceSeconds: number
  /** When a key that is revoked is refused everywhere; null for keys from the environment, which end with the last process that has them. */
  readonly everywhereSeconds: number | null
  /** When what each retiring key has signed has expired, as an ISO time. */
  readonly grace: readonly { readonly versionId: string; readonly endsAt: string }[]
  /** Tokens that have not expired; at most these. */
  readonly valid: readonly { readonly versionId: string; readonly kind: string; readonly count: number }[]
  /** Tokens that were refused for their key; the last of them at an ISO time. */
  readonly refused: readonly {
    readonly reason: RefusalReason
    /** Null for unknown keys. */
    readonly versionId: string | null
    readonly count: number
    readonly lastAt: string
  }[]
}

/** An opened configuration: the application's and the command's way to everything. */
export interface Keyturn<C extends Config = Config> {
  readonly config: Config
  /** @throws `ERR_UNKNOWN_NAME` with the nearest names */
  field<N extends (keyof C['fields'] & string) | (string & {})>(name: N): Field<BoundColumns<C, N>>
  /** A keyring whose keys sign tokens. @throws `ERR_USAGE` for one that encrypts, `ERR_UNKNOWN_NAME` with the nearest names */
  signing(name: string): SigningKeyring
  /** Looks at everything a rotation needs, and changes nothing. @throws every refusal that `rotate` would raise */
  plan(keyring: string, options?: PlanOptions): Promise<Plan>
  rotate(keyring: string, options?: RotateOptions): Promise<RotationResult>
  /**
   * Goes on with a rotation that was paused, that waits, or whose process died. For a completed one whose certificate is missing,
   * because the process died before it was made or there was no signing key, makes the certificate.
   */
  resume(rotationId: string, options?: RotateOptions): Promise<RotationResult>
  /** Asks the process that runs it to finish its batch and pause. @returns the state it is in now */
  pause(rotationId: string): Promise<RotationState>
  cancel(rotationId: string): Promise<RotationState>
  /** Ends the hold of a transaction rotation. @returns the tables released */
  release(rotationId: string): Promise<readonly string[]>
  verify(options?: VerifyOptions): Promise<Verification>
  /** Counts the values by key and format. @throws `ERR_INTERRUPTED` when the signal was aborted: counts of some rows are no census */
  census(options?: CensusOptions): Promise<Census>
  /**
   * Retires the versions of a keyring that are retiring: rewrites what is left, has the database refuse them from then on and check
   * every row, and only then changes their state.
   *
   * @throws `ERR_FENCE_NONE` for a field whose format names no key, `ERR_SET_ASIDE` while values set aside name the key
   */
  retire(keyring: string, options?: RetireOptions): Promise<readonly Retirement[]>
  /** Erases the material of a retired version, for good. */
  destroy(keyring: string, versionId: string, options?: DestroyOptions): Promise<void>
  /** Takes a retired version back to retiring, and its fence down in the same transaction: for a restored backup with writers. */
  unretire(keyring: string, versionId: string): Promise<void>
  /** Looks at a column of tokens, `[schema.]table.column`. Changes nothing. @throws UsageError where they cannot be hashed there */
  countTokens(column: string, options?: TokenColumnOptions): Promise<TokenCounts>
  /**
   * Replaces the tokens of a column by their SHA-256, for good, while the application reads and writes: it looks tokens up by `tokenForms`. Each row
   * says by itself that it is hashed, so that a call that was killed is given again and no token is hashed twice.
   *
   * @throws `ERR_TOKEN_COLUMN` for a column in which something else than tokens stands, before anything is changed
   */
  hashTokens(column: string, options?: HashTokensOptions): Promise<HashedTokens>
  readonly audit: AuditLog
  /** What was recorded of rotations, and how far they are. */
  readonly rotations: Rotations
  /**
   * Writes a keyring to a file, every key wrapped under another root: what opens old backups once keys are destroyed here. A
   * configuration opens it with `keyrings: { NAME: { root, file } }`.
   *
   * The event is written first: a crash leaves an event without a file, never a file without an event.
   *
   * @throws `ERR_USAGE` when the file holds a keyring of this name already, or the root is one that wraps the keyring here
   */
  exportKeyring(keyring: string, options: ExportOptions): Promise<{ readonly versions: readonly string[]; readonly root: string }>
  /** Certificates that the state keeps, the newest first. */
  certificates(): Promise<readonly { readonly id: string; readonly subject: string; readonly certificate: Certificate }[]>
  /** The sessions in which fields in Redis stand: to count them, and to end all of them on purpose. */
  readonly sessions: Sessions
  status(keyring?: string): Promise<Status>
  /** The keyrings of `status` without the rotations, for whoever asks often. @throws `ERR_UNKNOWN_NAME` */
  keyrings(keyring?: string): Promise<readonly KeyringStatus[]>
  /**
   * Makes a version that is retiring the active one again, in place of the one that followed it: the way back from a rotation. Values under
   * the other one stay, and are rewritten by `rotate(keyring, { newVersion: false })`.
   *
   * @throws `ERR_KEY_STATE` where `from` is not active any more, or `to` cannot be; `ERR_ROTATION_RUNNING` while a rotation is unfinished
   */
  goBack(keyring: string, versions: { readonly from: string; readonly to: string }): Promise<void>
  /** Places of retired versions of a keyring that nothing guards. Opens no value. */
  missingFences(keyring: string): Promise<readonly MissingFence[]>
  /**
   * Adds wrappings under the first root key of a stored keyring, or under a root that is on its way to the configuration; with `drop`, deletes
   * those under that root id.
   */
  rewrap(
    keyring: string,
    options?: { readonly drop?: string; readonly under?: KeyWrapper },
  ): Promise<{ readonly added: number; readonly dropped: number; readonly roots: readonly string[] }>
  /**
   * Loads a stored keyring anew and counts its keys, and those that this root key opens without any other: as many for a root that a
   * configuration may have alone, none for one that has ended.
   */
  opensUnder(keyring: string, root: KeyWrapper): Promise<OpensUnder>
  close(): Promise<void>
}
