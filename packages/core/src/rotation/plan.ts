import type { RotationMode } from './run.ts'

/** What a rotation would do, found without changing anything. `writePlan` makes a file of it, which `rotate` can be held to. */
export interface Plan {
  readonly format: 'keyturn/plan/1'
  readonly createdAt: string
  readonly keyring: string
  /** What it was made for. */
  readonly options: {
    /** Null: all fields of the keyring. */
    readonly fields: readonly string[] | null
    readonly appStopped: boolean
    readonly newVersion: boolean
  }
  readonly mode: RotationMode
  readonly tables: readonly PlannedTable[]
  readonly fields: readonly PlannedField[]
  /** Estimated values; from the database's statistics and the sample. */
  readonly values: number
  /** Estimated seconds, from a measured sample. */
  readonly seconds: number
  /** What Keyturn will create in the database, in words. */
  readonly creates: readonly string[]
  /** The steps, in words, in their order. */
  readonly steps: readonly string[]
  /** What the operator should know: triggers, unbound fields, isolation levels. */
  readonly warnings: readonly string[]
  /** What else hangs on the same key, and what becomes of it: as the configuration declares. */
  readonly alsoUsedFor: readonly { readonly what: string; readonly becomes: string }[]
  /** Share of sampled values that do not open, above 0: must be accepted. */
  readonly mustAccept: readonly string[]
  /** What must still hold when it is carried out, each in words: no values, keys or counts. */
  readonly facts: PlanFacts
  /** Makes the facts about keys from the environment differ from plan to plan, so that keys cannot be looked up. */
  readonly salt: string
}
export type PlanFacts = { readonly [what: string]: string }
export interface PlannedTable {
  readonly table: string
  readonly rows: number
  readonly bytes: number
  readonly key: readonly string[]
}
export interface PlannedField {
  readonly field: string
  readonly column: string
  /** Codec written. */
  readonly writes: string
  /** Codecs read. */
  readonly reads: readonly string[]
  readonly bound: readonly string[]
  readonly sampled: number
  /** Of the sample: values that open, values that are current already. */
  readonly opened: number
  readonly current: number
  /** Of a field that takes only what is encrypted: strings in the rows of the sample that are no values and stay as they are. */
  readonly unencrypted?: number
}
