import { writeFile } from 'node:fs/promises'
import { Client, Pool } from 'pg'
import { afterAll, afterEach, beforeAll, vi } from 'vitest'
import { assertNoLeaks } from '../../harness/leaks.ts'
import type { TestDatabase } from '../../harness/postgres.ts'
import { type PostgresServer, startPostgres } from '../../harness/server.ts'

/** A Postgres of the test file's own that asks for passwords by SCRAM, as a production server does. In place of `useDatabase`. */
export function useServer(): TestDatabase {
  let server: PostgresServer | undefined
  let pool: Pool | undefined
  const made = <T>(one: T | undefined): T => {
    if (one === undefined) throw new Error('the server is there once the tests run, not before')
    return one
  }
  const drop = async () => {
    if (pool !== undefined && !pool.ending) await pool.end()
    await server?.stop()
  }
  beforeAll(async () => {
    server = await startPostgres()
    await askByScram(server.url)
    pool = new Pool({ connectionString: server.url, max: 6, application_name: 'keyturn-test' })
    pool.on('error', () => {})
  })
  afterEach(() => assertNoLeaks(made(pool)))
  afterAll(drop)
  return {
    get url() {
      return made(server).url
    },
    get pool() {
      return made(pool)
    },
    drop,
  }
}

/** Sessions that begin from now on have proved their password by SCRAM. */
async function askByScram(url: string): Promise<void> {
  const asked = async (statement: string): Promise<string> => {
    const client = new Client({ connectionString: url })
    await client.connect()
    try {
      return String(Object.values((await client.query(statement)).rows[0])[0])
    } finally {
      await client.end()
    }
  }
  const loaded = () => asked('SELECT pg_conf_load_time()::text')
  const before = await loaded()
  await writeFile(await asked("SELECT current_setting('hba_file')"), 'host all all 127.0.0.1/32 scram-sha-256\n')
  await asked('SELECT pg_reload_conf()')
  // The server takes a moment; its new sessions say when it has.
  await vi.waitFor(async () => {
    if ((await loaded()) === before) throw new Error('it is not loaded yet')
  }, 60_000)
}
