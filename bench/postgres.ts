import { randomBytes } from 'node:crypto'
import { Client, Pool } from 'pg'
import { type PostgresServer, type Settings, startPostgres } from '../test/harness/server.ts'

/** What the numbers were found under. Autovacuum is off because it comes at a moment of its own; each table is vacuumed before it is measured. */
const settings: Settings = {
  shared_buffers: '1GB',
  max_wal_size: '8GB',
  checkpoint_timeout: '30min',
  fsync: 'on',
  autovacuum: 'off',
}

/** The server of a run. */
export interface Postgres {
  /** As the server says. */
  readonly version: string
  readonly settings: Settings
  createDatabase(): Promise<BenchDatabase>
  stop(): Promise<void>
}

/** A database of one benchmark. */
export interface BenchDatabase {
  readonly url: string
  readonly pool: Pool
  drop(): Promise<void>
}

/** The Postgres from npm with the settings above; or the one that KEYTURN_BENCH_POSTGRES names, with its own. */
export async function openPostgres(): Promise<Postgres> {
  const given = process.env.KEYTURN_BENCH_POSTGRES
  const server: PostgresServer = given ? { url: given, stop: async () => {} } : await startPostgres(settings)
  const names = [...Object.keys(settings), 'synchronous_commit', 'full_page_writes']
  const found = await asOwner(server.url, 'SELECT name, current_setting(name) AS value FROM pg_settings WHERE name = ANY($1)', [names])
  const [version] = await asOwner(server.url, 'SHOW server_version')
  return {
    version: version?.server_version ?? '',
    settings: Object.fromEntries(found.map(({ name, value }) => [name, value])) as Settings,
    createDatabase: () => createDatabase(server.url),
    stop: server.stop,
  }
}

async function createDatabase(url: string): Promise<BenchDatabase> {
  const name = `keyturn_bench_${randomBytes(6).toString('hex')}`
  await asOwner(url, `CREATE DATABASE ${name}`)
  const address = new URL(url)
  address.pathname = `/${name}`
  const pool = new Pool({ connectionString: address.href, max: 6 })
  pool.on('error', () => {})
  return {
    url: address.href,
    pool,
    drop: async () => {
      await pool.end()
      await asOwner(url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
    },
  }
}

async function asOwner(url: string, statement: string, values: unknown[] = []): Promise<Record<string, string>[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(statement, values)).rows
  } finally {
    await client.end()
  }
}
