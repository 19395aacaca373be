/** What the console speaks of. The words are those of the glossary; times are dates, counts are numbers. */
export type Role = 'viewer' | 'operator' | 'admin'
export type KeyState = 'pending' | 'active' | 'retiring' | 'retired' | 'destroyed'
export type RotationState = 'planned' | 'running' | 'paused' | 'waiting' | 'verifying' | 'completed' | 'cancelled' | 'failed'
export type Mode = 'online' | 'transaction'

/** Who looks at the page; `setup`: there is no user yet. */
export interface Session {
  readonly user: { readonly id: string; readonly name: string; readonly role: Role } | null
  readonly setup: boolean
}
export interface KeyVersion {
  readonly id: string
  readonly number: number
  readonly state: KeyState
  readonly compromised: boolean
  readonly createdAt: Date | null
  readonly activatedAt: Date | null
  readonly retiredAt: Date | null
  readonly activatedBy: string | null
  readonly messages: number | null
  readonly roots: readonly string[]
}
/** What should be done with a keyring, and why. */
export interface Due {
  readonly what: 'rotate' | 'soon' | 'retire' | 'destroy'
  readonly why: string
}
export interface Keyring {
  readonly name: string
  readonly kind: 'stored' | 'environment' | 'table'
  /** Its keys sign tokens instead of encrypting values. */
  readonly signs: boolean
  readonly versions: readonly KeyVersion[]
  readonly active: KeyVersion | null
  readonly due: readonly Due[]
  readonly dueAt: Date | null
  readonly findings: readonly string[]
  readonly messagesLeft: number | null
  readonly fields: readonly string[]
  readonly policy: { readonly periodSeconds: number | null; readonly automatic: boolean }
  readonly counts: Counts | null
}
/** Values of a keyring at the latest census. */
export interface Counts {
  readonly at: Date
  readonly total: number
  readonly current: number
  readonly other: number
  readonly unreadable: number
}
export interface Field {
  readonly name: string
  readonly keyring: string
  readonly place: string
  readonly table: string
  readonly store: 'postgres' | 'redis'
  readonly bound: readonly string[]
  readonly writes: string
  readonly reads: readonly string[]
  readonly sensitive: boolean
  readonly findings: readonly string[]
  readonly total: number | null
  readonly current: number | null
  readonly unreadable: number | null
}
export interface CensusGroup {
  readonly codec: string
  readonly keyId: string | null
  readonly state: KeyState | null
  readonly values: number
  readonly current: boolean
}
export interface FieldCensus {
  readonly field: string
  readonly total: number
  readonly groups: readonly CensusGroup[]
  readonly unreadable: number
  readonly kept: number
}
/** How many values of a keyring stand under which key and format, and when that was counted. */
export interface Census {
  readonly keyring: string
  readonly at: Date | null
  readonly running: boolean
  readonly fields: readonly FieldCensus[] | null
}
export interface Rotation {
  readonly id: string
  readonly keyring: string
  readonly mode: Mode
  readonly state: RotationState
  readonly createdAt: Date
  readonly endedAt: Date | null
  readonly note: string | null
  readonly requested: string | null
  readonly pass: number
  readonly rotated: number
  readonly conflicts: number
  readonly setAside: number
  readonly fields: readonly string[]
  readonly rowsTotal: number | null
  readonly rowsDone: number | null
  readonly rowsPerSecond: number | null
  readonly secondsLeft: number | null
  readonly phase: 'waiting-for-readers' | 'rewriting' | 'verifying' | null
  readonly tables: readonly { readonly name: string; readonly rowsTotal: number | null; readonly rowsDone: number }[]
  readonly hasCertificate: boolean
  /** Some process works on it. */
  readonly live: boolean
  readonly startedBy: string | null
}
export interface SetAside {
  readonly field: string
  readonly row: string
  readonly path: string | null
  readonly reason: string
  readonly what: string
}
/** What a rotation would do. `wire` is the plan as the server made it, to be sent back with the rotation. */
export interface Plan {
  readonly mode: Mode
  readonly values: number
  readonly seconds: number
  readonly tables: readonly { readonly table: string; readonly rows: number; readonly bytes: number }[]
  readonly creates: readonly string[]
  readonly steps: readonly string[]
  readonly warnings: readonly string[]
  readonly alsoUsedFor: readonly { readonly what: string; readonly becomes: string }[]
  readonly mustAccept: readonly string[]
  readonly wire: object
}
/** A part of a list, and where the next begins. */
export interface Page<T> {
  readonly items: readonly T[]
  readonly next: string | null
}
