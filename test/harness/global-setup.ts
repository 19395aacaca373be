import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { startPostgres, watch } from './server.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The Postgres of the suite; its user may create databases and roles. */
    postgresUrl: string
    /** The folder of this run, for what is made once and used by many files. */
    runFolder: string
  }
}

/**
 * One Postgres for the whole suite: the one from npm, or the one that KEYTURN_TEST_POSTGRES names; and one folder for what the files of
 * a run share.
 */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const given = process.env.KEYTURN_TEST_POSTGRES
  const server = given ? { url: given, stop: async () => {} } : await startPostgres()
  provide('postgresUrl', server.url)
  const folder = await mkdtemp(join(tmpdir(), 'keyturn-run-'))
  watch(folder)
  provide('runFolder', folder)
  // Hundreds of children load the same modules, and Node compiles each of them once only. It compares sources: nothing old is run.
  process.env.NODE_COMPILE_CACHE = join(folder, 'compiled')
  return async () => {
    await server.stop()
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}
