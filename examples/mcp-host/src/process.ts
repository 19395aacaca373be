import { isKeyturnError } from '@keyturn/core'
import { Redis } from 'ioredis'
import pg from 'pg'
import { pino } from 'pino'
import { type Encryption, ensureActiveKey } from './encryption.ts'
import { readSettings, SettingError } from './settings.ts'
import { migrateDatabase } from './tables.ts'

export const logger = pino({ name: 'mcp-host', redact: ['req.headers.authorization', 'req.headers.cookie'] })

/** What every process of the host begins with. */
export interface World {
  readonly pool: pg.Pool
  readonly redis: Redis
  readonly encryption: Encryption
  close(): Promise<void>
}

/** Connects, brings the database to this version, and opens the keys. @throws rather than let a process work without them */
export async function openWorld(): Promise<World> {
  const { databaseUrl, redisUrl, keys } = readSettings(process.env)
  const pool = new pg.Pool({ connectionString: databaseUrl, application_name: 'mcp-host' })
  // A connection that breaks while it idles is replaced; without a listener it would end the process.
  pool.on('error', () => {})
  // BullMQ waits for Redis as long as it takes.
  const redis = new Redis(redisUrl, { lazyConnect: true, maxRetriesPerRequest: null })
  redis.on('error', () => {})
  await migrateDatabase(pool)
  await redis.connect()
  const encryption = await ensureActiveKey({ keys, pool, warn: (sentence) => logger.warn({ event: 'encryption-warning' }, sentence) })
  return {
    pool,
    redis,
    encryption,
    close: async () => {
      await encryption.keyturn.close()
      await pool.end()
      redis.disconnect()
    },
  }
}

/** Without keys nothing is served. A foreign error may quote the address of the database, and so its password. */
export function fatal(error: unknown): never {
  logger.fatal(isKeyturnError(error) || error instanceof SettingError ? error.message : 'the database, Redis or the system failed')
  process.exit(1)
}

/** What was accepted is finished before the process ends. */
export function endWith(work: () => Promise<void>): void {
  process.once('SIGTERM', () => {
    work().then(() => process.exit(0), fatal)
  })
}
