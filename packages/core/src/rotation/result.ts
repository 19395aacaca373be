import type { ErrorCode } from '../errors.ts'
import type { Certificate } from './certificate.ts'
import type { MissingFence } from './retirement.ts'
import type { RotationMode, RotationState } from './run.ts'

/** What a rotation or a verification came to. The unit is the value. */
export interface RotationResult {
  readonly id: string
  readonly mode: RotationMode
  readonly state: RotationState
  /** `rotated + skipped + failedCount`. */
  readonly total: number
  /** Values that this run rewrote. */
  readonly rotated: number
  /** Values that were current already. */
  readonly skipped: number
  /** Values set aside, at most 1,000; `failedCount` says how many there are. */
  readonly failed: readonly FailedValue[]
  readonly failedCount: number
  /** Swaps refused because somebody wrote in between. Each such value came again. */
  readonly conflicts: number
  /** Rows in which at least one value was rewritten. */
  readonly rows: number
  /** Tables in which at least one row was rewritten. */
  readonly tables: number
  /** The signed certificate, when there is one. */
  readonly certificate: Certificate | null
}

/** A value that stays as it is, and why. */
export interface FailedValue {
  readonly field: string
  readonly row: { readonly [column: string]: string }
  /** Where inside a document: `/requestHeaders/X-Api-Key/value`. */
  readonly path?: string
  readonly reason: ErrorCode
}

/** What `verify` found. It opens every value and changes nothing. */
export interface Verification {
  readonly total: number
  /** Values that are what `encrypt` would write today. */
  readonly current: number
  /** Values that open under another key or format. */
  readonly other: number
  /** Values that do not open, at most 1,000. */
  readonly failed: readonly FailedValue[]
  readonly failedCount: number
  /** Of these, values that the latest rotation set aside. */
  readonly setAside: number
  readonly fields: readonly FieldVerification[]
  /** Fences of retired key versions: a place where one is missing, altered or not checked is a fault. */
  readonly fences: { readonly missing: readonly MissingFence[] }
}
export interface FieldVerification {
  readonly field: string
  readonly total: number
  readonly current: number
  readonly other: number
  readonly failedCount: number
  /** Of a field that takes only what is encrypted: strings at its place that are no values and stay as they are. Not part of `total`. */
  readonly unencrypted?: number
}

/** In words: `1,204 rows re-encrypted across 5 tables`. */
export function summary({ rows, tables }: Pick<RotationResult, 'rows' | 'tables'>): string {
  const count = (n: number, noun: string) => `${n.toLocaleString('en-US')} ${noun}${n === 1 ? '' : 's'}`
  return `${count(rows, 'row')} re-encrypted across ${count(tables, 'table')}`
}
