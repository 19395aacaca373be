import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { afterAll, beforeAll } from 'vitest'
import { madeOnce } from './made-once.ts'

/** A PGlite in memory, empty. One session; the caller closes it. To make a cluster costs seconds; a run makes one, and copies it. */
export async function createPglite(): Promise<PGlite> {
  const empty = await madeOnce('pglite', async (folder) => {
    const first = await PGlite.create()
    await writeFile(join(folder, 'data.tar'), Buffer.from(await (await first.dumpDataDir('none')).arrayBuffer()))
    await first.close()
  })
  return await PGlite.create({ loadDataDir: new Blob([await readFile(join(empty, 'data.tar'))]) })
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
