import type { AuditEvent } from '../audit/event.ts'
import type { ErrorCode } from '../errors.ts'

/**
 * Where a rotation stands.
 *
 *     planned ──▶ running ⇄ paused
 *                    │  ▲
 *                    │  └──▶ waiting   (names what still writes the old key)
 *                    ▼
 *                verifying ──▶ completed
 *
 *     verifying ──▶ running, waiting   (values appeared under the old key meanwhile)
 *     planned, waiting, verifying ──▶ paused
 *     planned, running, paused, waiting, verifying ──▶ cancelled | failed
 */
export type RotationState = 'planned' | 'running' | 'paused' | 'waiting' | 'verifying' | 'completed' | 'cancelled' | 'failed'

export type RotationMode = 'online' | 'transaction'

/** Where a run is and what it has done. Commits with the rows it speaks of. */
export interface Progress {
  /** 1, 2, 3 …: each pass walks all tables. */
  readonly pass: number
  /** Index of the table being walked. */
  readonly table: number
  /** Key of the last row done; null before the first. */
  readonly after: readonly string[] | null
  /** Goes up by one with each commit: tells after an unknown commit whether it happened. */
  readonly sequence: number
  /** Values whose swap committed. */
  readonly rotated: number
  /** Rows in which at least one value was rotated, by `schema.table`. */
  readonly rows: { readonly [table: string]: number }
  /** Swaps refused because the row changed or was locked since it was read; such rows come again. */
  readonly conflicts: number
  /** Of this pass: values rewritten, and conflicts. A pass with neither is the last. */
  readonly passRotated: number
  readonly passConflicts: number
  /** What the pass before it found, and how many passes in a row found no less than the one before. */
  /**
   * Two sums mod 2^256, in hex: of what the old values decrypted to, and of what the new ones do, over exactly those whose swap
   * committed. Equal: every rewritten value kept its plaintext.
   */
  readonly preserved: { readonly old: string; readonly new: string }
  readonly previousFound: number
  readonly idlePasses: number
}

/** Before the first batch. */
export const start: Progress = {
  pass: 1,
  table: 0,
  after: null,
  sequence: 0,
  rotated: 0,
  rows: {},
  conflicts: 0,
  passRotated: 0,
  passConflicts: 0,
  preserved: { old: '0'.repeat(64), new: '0'.repeat(64) },
  previousFound: 0,
  idlePasses: 0,
}

/** A value that could not be rewritten. It stays as it is. */
export interface SetAside {
  readonly field: string
  /** Key columns and their values as text. */
  readonly row: { readonly [column: string]: string }
  /** Where inside a document, as a JSON pointer. */
  readonly path?: string
  readonly reason: ErrorCode
  /** SHA-256 of the stored bytes, to recognise it again. Never shown. */
  readonly digest: Uint8Array
}

/** One durable run. */
export interface Run {
  readonly id: string
  readonly keyring: string
  readonly mode: RotationMode
  readonly state: RotationState
  /** What a resume must match: digest of fields, locations, formats. */
  readonly plan: string
  readonly fields: readonly string[]
  /** The key version it makes active; for keys from the environment, null. */
  readonly versionId: string | null
  /** Proves that a resume has the same keys from the environment: a digest of what is derived from them. */
  readonly keyCheck: string
  readonly progress: Progress
  readonly createdAt: Date
  readonly endedAt: Date | null
  /** Why it waits or failed: a sentence without secrets. */
  readonly note: string | null
  /** Asked for by another process; obeyed at the next batch. */
  readonly requested: 'pause' | 'cancel' | null
}

/** The right to run a rotation. `epoch` goes up each time it is taken: writes with an older one are refused. */
export interface Lease {
  readonly rotationId: string
  readonly epoch: number
  /** How long it lasts from each renewal. */
  readonly ttlMs: number
}

/** What a run writes in the transaction that changes the rows. */
export interface RunTransaction {
  /**
   * Saves progress and the values set aside, and renews the lease.
   *
   * @returns what another process asked for
   * @throws `ERR_LEASE_LOST` when the lease's epoch has passed: the transaction must be rolled back
   * @throws `ERR_DATABASE` of kind `unknown-commit` when progress with this `sequence` is saved already: a commit whose connection was
   *   lost has happened after all
   */
  advance(lease: Lease, progress: Progress, setAside: readonly SetAside[]): Promise<'pause' | 'cancel' | null>
}

/** Keeps runs. Every change of state is written with its audit event. */
export interface RunStore {
  /** @throws `ERR_ROTATION_RUNNING` if the keyring has an unfinished run */
  create(run: Run, event: AuditEvent): Promise<void>
  get(id: string): Promise<Run | null>
  /** The unfinished run of a keyring, or null. */
  unfinished(keyring: string): Promise<Run | null>
  /** The newest runs first. */
  list(limit: number): Promise<Run[]>
  /** Takes the lease, which ends a request to pause. Does not wait for who has it. @throws `ERR_LEASE_HELD` while another holds it */
  acquire(id: string, ttlMs: number): Promise<Lease>
  /** Renews the lease while nothing is written. @returns what another process asked for @throws `ERR_LEASE_LOST` */
  renew(lease: Lease): Promise<'pause' | 'cancel' | null>
  /** Gives the lease back. Does nothing if it is lost already. */
  surrender(lease: Lease): Promise<void>
  /** @throws `ERR_LEASE_LOST`, or `ERR_ROTATION_STATE` where the table of states has no such step */
  change(lease: Lease, to: RotationState, note: string | null, event: AuditEvent): Promise<void>
  /** Asks the process that runs it to pause or cancel; a cancellation is not taken back by a pause. */
  request(id: string, what: 'pause' | 'cancel', event: AuditEvent): Promise<void>
  /** Values set aside in the latest pass, at most `limit`, and how many there are. */
  setAside(id: string, limit: number): Promise<{ readonly total: number; readonly values: readonly SetAside[] }>
  /** Forgets the list, before a verification makes it anew. */
  replaceSetAside(lease: Lease, values: readonly SetAside[]): Promise<void>
}
