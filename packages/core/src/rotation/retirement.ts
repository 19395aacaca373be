import type { Certificate } from './certificate.ts'
import type { Fence } from './fencing.ts'

/** What retiring a key version came to. */
export interface Retirement {
  readonly keyring: string
  readonly versionId: string
  /** The run that made the last pass and verified. */
  readonly rotationId: string
  readonly fences: readonly Fence[]
  /** Values set aside that name the key and were accepted, exempted by digest. */
  readonly accepted: number
  /** The database's position in its log when every row had been checked. */
  readonly position: string
  readonly certificate: Certificate | null
}

/** A place of a retired version that nothing guards. */
export interface MissingFence {
  /** `schema.table` */
  readonly table: string
  readonly column: string
  readonly keyId: string
}
