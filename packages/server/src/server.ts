import type { KeyringStatus, Keyturn, SqlState, Throttle } from '@keyturn/core'
import type { FastifyBaseLogger } from 'fastify'
import type { Access } from './access.ts'
import type { Censuses } from './censuses.ts'
import type { Operations } from './operations.ts'
import type { Runner } from './rotation/runner.ts'
import type { Watch } from './rotation/watch.ts'
import type { SecretRuns } from './secret/secret-runs.ts'
import type { WireRotation } from './wire/rotation.ts'
import type { WireRun } from './wire/secret.ts'

/** What every route works with. */
export interface Server {
  readonly keyturn: Keyturn
  /** Keyturn's schema, in which the server has tables of its own. */
  readonly state: SqlState
  readonly access: Access
  readonly log: FastifyBaseLogger
  /** Where the server is mounted: `''`, or `/admin`. */
  readonly prefix: string
  /** Rotations that run in this process. */
  readonly runner: Runner
  /** Rotations that somebody watches. */
  readonly watch: Watch<WireRotation>
  /** Secrets of the configuration and their runs; null where it names none. */
  readonly secrets: SecretRuns | null
  /** Runs of secrets that somebody watches. */
  readonly watchRuns: Watch<WireRun>
  /** Long work that is no rotation. */
  readonly operations: Operations
  readonly censuses: Censuses
  /** The keyrings, looked at once for all who ask together. */
  readonly keyrings: () => Promise<readonly KeyringStatus[]>
  /** Aborted when the server closes: streams end then. */
  readonly closing: AbortSignal
  /** How hard a rotation, a census or a verification works the database, where the server was told. */
  readonly pace: { readonly throttle?: Throttle }
  /** What the components say of themselves. */
  readonly health: () => Promise<Health>
}

/** How the server is. `ok`: no component fails. */
export interface Health {
  readonly status: 'ok' | 'failing'
  readonly version: string
  /** `paused`: the server is well, and a rotation of a secret waits for somebody. */
  readonly components: { readonly [name: string]: 'ok' | 'failing' | 'paused' }
}
