import type { Stored } from '../field/codec.ts'
import type { Sql } from '../state/sql.ts'

/** One column in which a database is to refuse a key id. */
export interface FenceTarget {
  readonly field: string
  readonly schema: string
  readonly table: string
  readonly column: string
  /** How the mark stands in the column: at its beginning, inside a document, or as the whole of a key id column. */
  readonly kind: 'text' | 'bytes' | 'json' | 'jsonb' | 'json-text' | 'key-id'
  /** What values under the key begin with (`kt1.abcdefgh.`, or eight bytes); for a key id column, the id. */
  readonly mark: Stored
  /** SHA-256 of what may stand in this column all the same: values set aside and accepted, or the documents that hold them. */
  readonly exempt: readonly Uint8Array[]
  /** For a key id column, the column of the values that it speaks of: `exempt` are digests of those. */
  readonly values?: { readonly column: string; readonly holds: 'text' | 'bytes' }
}

/** A refusal that stands in a database. */
export interface Fence {
  readonly keyId: string
  /** `schema.table` */
  readonly table: string
  readonly column: string
  /** Name of the constraint. */
  readonly constraint: string
  /** As the database prints it. */
  readonly definition: string
  /** Whether the database has checked every row after it was there. */
  readonly validated: boolean
}

/** What names a key where its fence stands or shall stand: a whole value, or the document around it. */
export interface Holder {
  readonly target: FenceTarget
  /** What stands in the column; for a key id column, the value beside it. */
  readonly stored: Stored
}

/** What a database can do to refuse key ids. Every step may be repeated after a crash. */
export interface Fencing {
  /**
   * Refuses the mark in every new row version of these columns from now on; rows that are there are not looked at. Afterwards exactly
   * these refusals of the key stand in these tables: one with other exemptions, or one that somebody altered, is replaced in one step.
   *
   * @throws `ERR_LOCK_TIMEOUT`
   */
  raise(keyId: string, targets: readonly FenceTarget[]): Promise<readonly Fence[]>
  /**
   * Has the database check every row, without blocking writers.
   *
   * @returns the fences, all of them validated, and the database's position in its log (LSN)
   * @throws `ERR_FENCE_VALUES` when a row holds the mark
   */
  validate(keyId: string): Promise<{ readonly fences: readonly Fence[]; readonly position: string }>
  /** All fences that stand, of all keys. */
  list(): Promise<readonly Fence[]>
  /**
   * Which of these columns do not refuse the key id as `raise` would have them do it: nothing stands there, or something else does, or
   * not every row was checked. Exemptions are taken as they stand.
   *
   * @param within - a transaction on the same database: what is found there stands until its end
   */
  missing(keyId: string, targets: readonly FenceTarget[], within?: Sql): Promise<readonly FenceTarget[]>
  /** What in these columns names the key, exempted or not; at most `limit` of each. */
  holders(targets: readonly FenceTarget[], limit: number): Promise<readonly Holder[]>
  /** Takes down the fences of a key. Does nothing where none stand. @param within - a transaction on the same database, which is to be tried again after contention */
  drop(keyId: string, within?: Sql): Promise<void>
  /** Who keeps a transaction open that began before `since`, also one prepared to be committed later, in words; null once all have ended. */
  unsettled(since: Date): Promise<string | null>
}

/** What a fence is called: `keyturn_abcdefgh_1`. */
export const fenceName = /^keyturn_([a-z2-7]{8})_[0-9]+$/
const fenceMention = /\bkeyturn_([a-z2-7]{8})_[0-9]+\b/

/** Where drivers and ORMs keep the error that they wrap. */
const wraps = ['cause', 'original', 'originalError', 'parent', 'driverError', 'meta', 'driverAdapterError'] as const
const deepest = 8

/**
 * The id of the retired key that a database refused to write, or null for every other error. Takes the error of any driver or ORM, also
 * wrapped. Load the keyring again (a process that writes a retired key has an old one), encrypt again, and retry once.
 *
 * @example
 * isFenced({ code: '23514', constraint: 'keyturn_aaaqeaye_1' }) // 'aaaqeaye'
 * isFenced({ code: '23514', constraint: 'users_token_check' }) // null
 */
export function isFenced(error: unknown): string | null {
  return fenced(error, deepest, false)
}

function fenced(error: unknown, depth: number, violation: boolean): string | null {
  if (typeof error !== 'object' || error === null || depth === 0) return null
  const { code, sqlState, originalCode, constraint, constraint_name, message, originalMessage } = error as Record<string, unknown>
  const refused = violation || [code, sqlState, originalCode].includes('23514')
  for (const name of [constraint, constraint_name]) {
    const id = typeof name === 'string' ? fenceName.exec(name)?.[1] : undefined
    if (id !== undefined) return id
  }
  // A message can quote what somebody wrote: it counts only where the code says that a check constraint refused it.
  for (const text of refused ? [message, originalMessage] : []) {
    const id = typeof text === 'string' ? fenceMention.exec(text)?.[1] : undefined
    if (id !== undefined) return id
  }
  for (const name of wraps) {
    const id = fenced((error as Record<string, unknown>)[name], depth - 1, refused)
    if (id !== null) return id
  }
  return null
}
