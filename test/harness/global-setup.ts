import type { TestProject } from 'vitest/node'
import { startPostgres } from './server.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The Postgres of the suite; its user may create databases and roles. */
    postgresUrl: string
  }
}

/** One Postgres for the whole suite: the one from npm, or the one that KEYTURN_TEST_POSTGRES names. */
export default async function setup({ provide }: TestProject): Promise<(() => Promise<void>) | undefined> {
  const given = process.env.KEYTURN_TEST_POSTGRES
  if (given) {
    provide('postgresUrl', given)
    return
  }
  const server = await startPostgres()
  provide('postgresUrl', server.url)
  return server.stop
}
