import { randomBytes } from 'node:crypto'
import { Client, Pool } from 'pg'
import { afterAll, afterEach, beforeAll, inject } from 'vitest'
import { assertNoLeaks } from './leaks.ts'

/** A database of one test file, empty at first. */
export interface TestDatabase {
  readonly url: string
  readonly pool: Pool
  /** Ends the pool and removes the database, with whatever is still connected to it. */
  drop(): Promise<void>
}

/** Makes a fresh database. The caller drops it. */
export async function createDatabase(): Promise<TestDatabase> {
  const name = `keyturn_test_${randomBytes(6).toString('hex')}`
  await asOwner(`CREATE DATABASE ${name}`)
  const url = new URL(inject('postgresUrl'))
  url.pathname = `/${name}`
  const pool = new Pool({ connectionString: url.href, max: 6, application_name: 'keyturn-test' })
  // A dropped connection that idles in the pool is reported here; without a listener it would end the process.
  pool.on('error', () => {})
  return {
    url: url.href,
    pool,
    drop: async () => {
      if (!pool.ending) await pool.end()
      await asOwner(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
    },
  }
}

/**
 * A fresh database for the file (or `describe`) that calls it; dropped at the end. A test that leaves a client checked out or a
 * transaction open fails.
 *
 * @returns an object whose members can be used in tests and hooks, not before
 */
export function useDatabase(): TestDatabase {
  let database: TestDatabase | undefined
  const made = () => {
    if (database === undefined) throw new Error('the database is there once the tests run, not before')
    return database
  }
  beforeAll(async () => {
    database = await createDatabase()
  })
  afterEach(() => assertNoLeaks(made().pool))
  afterAll(() => database?.drop())
  return {
    get url() {
      return made().url
    },
    get pool() {
      return made().pool
    },
    drop: () => made().drop(),
  }
}

async function asOwner(statement: string): Promise<void> {
  const client = new Client({ connectionString: inject('postgresUrl') })
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}
