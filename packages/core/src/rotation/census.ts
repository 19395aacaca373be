import type { KeyState } from '../keyring/key-state.ts'

/** How many values stand under which key and format. */
export interface Census {
  readonly fields: readonly FieldCensus[]
  /** Rows with at least one value. */
  readonly rows: number
}
export interface FieldCensus {
  readonly field: string
  readonly total: number
  readonly groups: readonly CensusGroup[]
  /** Values that no key and format of the field fits, at most as many as `total`. */
  readonly unreadable: number
  /** Values that the field leaves as they are: the empty string, or what its `keep` names. */
  readonly kept: number
  /** Of a field that takes only what is encrypted: strings at its place that are no values and stay as they are. Not part of `total`. */
  readonly unencrypted?: number
}
/** Values of one format under one key. */
export interface CensusGroup {
  readonly codec: string
  /** For keys from the environment, where the key comes from; null for `plain`. */
  readonly keyId: string | null
  /** Of the key version; null for `plain`. */
  readonly state: KeyState | null
  readonly values: number
  /** Whether `encrypt` would write this today. */
  readonly current: boolean
  /** Present where the key is all zeros: everybody can open these values. */
  readonly knownToAll?: true
}
