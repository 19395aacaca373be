import type { PGlite } from '@electric-sql/pglite'
import type { Keyturn, RotationResult } from '@keyturn/core'
import type { Seeded } from './application.ts'
import type { Writer } from './writer.ts'

/** What the scenes of the demo play with. */
export interface Stage {
  readonly keyturn: Keyturn
  readonly db: PGlite
  readonly seeded: Seeded
  readonly writer: Writer
  readonly env: { readonly SIGNING_KEY: string }
  /** Shows text, unless only JSON is wanted. */
  readonly say: (text: string) => void
  /** Rotates the keyring while the application writes, with the progress shown. */
  readonly rotate: () => Promise<RotationResult>
}
