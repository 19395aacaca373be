import { isKeyturnError, open } from '@keyturn/core'
import { Redis } from 'ioredis'
import pg from 'pg'
import { pino } from 'pino'
import { createApp } from './app.ts'
import { type Encryption, encryption } from './encryption.ts'
import { environment, readSettings, SettingError } from './settings.ts'
import { migrateDatabase, openDatabase } from './tables.ts'

const logger = pino({ name: 'floh', redact: ['req.headers.authorization', 'req.headers.cookie'] })

async function start(): Promise<void> {
  const env = environment(process.env)
  const settings = readSettings(env)
  const pool = new pg.Pool({ connectionString: settings.databaseUrl, application_name: 'floh' })
  // A connection that breaks while it idles is replaced; without a listener it would end the process.
  pool.on('error', () => {})
  const redis = new Redis(settings.redisUrl, { lazyConnect: true })
  redis.on('error', () => {})
  const db = openDatabase(pool)
  await migrateDatabase(pool, db)
  await redis.connect()
  const keyturn: Encryption = await open(encryption(settings.sealsSessions), {
    pool,
    redis,
    env,
    actor: 'floh',
    warn: (sentence) => logger.warn({ event: 'encryption-key-warning' }, sentence),
    onEvent: ({ event, field, keyId }) => logger.warn({ event, field, keyId }),
  })
  for (const { findings } of (await keyturn.status()).keyrings)
    for (const finding of findings) logger.warn({ event: 'encryption-key-finding' }, finding)

  const stopping = new AbortController()
  const app = await createApp({ settings, db, redis, keyturn, logger, stopping: stopping.signal })
  const url = await app.listen({ host: settings.host, port: settings.port })
  logger.info(`listening on ${url}`)
  // What has been accepted is finished before the process ends; a rotation stops after the batch that it is writing.
  process.once('SIGTERM', async () => {
    stopping.abort()
    await app.close()
    await keyturn.close()
    await pool.end()
    redis.disconnect()
    process.exit(0)
  })
}

/** Without keys nothing is served. A foreign error may quote the address of the database, and so its password. */
function fatal(error: unknown): void {
  logger.fatal(isKeyturnError(error) || error instanceof SettingError ? error.message : 'the database, Redis or the system failed')
  process.exit(1)
}

await start().catch(fatal)
