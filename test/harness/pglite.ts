import { PGlite } from '@electric-sql/pglite'
import { afterAll, beforeAll } from 'vitest'

/** A PGlite in memory. One session; the caller closes it. */
export function createPglite(): Promise<PGlite> {
  return PGlite.create()
}

/**
 * A PGlite in memory for the file (or `describe`) that calls it; closed at the end.
 *
 * @returns a function that gives it, to be called in tests and hooks
 */
export function usePglite(): () => PGlite {
  let pglite: PGlite | undefined
  beforeAll(async () => {
    pglite = await createPglite()
  })
  afterAll(() => pglite?.close())
  return () => {
    if (pglite === undefined) throw new Error('PGlite is there once the tests run, not before')
    return pglite
  }
}
