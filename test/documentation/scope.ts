import type { PGlite } from '@electric-sql/pglite'
import type { Pool } from 'pg'
import type { Config } from '../../packages/core/src/config/config.ts'

/** What an example may use without making it: a pool of a fresh Postgres database, a PGlite, a configuration. */
export interface Scope {
  readonly pool: Pool
  readonly pglite: PGlite
  readonly config: Config
}

let current: Scope | undefined

/** Sets the scope of the examples that run next. */
export function setScope(scope: Scope): void {
  current = scope
}

/** The scope, for the first line of an example. */
export function scope(): Scope {
  if (current === undefined) throw new Error('the scope is set by the test that runs the examples')
  return current
}
