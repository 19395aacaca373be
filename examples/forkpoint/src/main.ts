import type { AddressInfo } from 'node:net'
import { isKeyturnError, open } from '@keyturn/core'
import pg from 'pg'
import { pino } from 'pino'
import { createApp } from './app.ts'
import { openDatabase } from './database.ts'
import { encryption } from './encryption.ts'
import { Sessions } from './sessions.ts'
import { readSettings, SettingError } from './settings.ts'
import { createTables } from './tables.ts'

const logger = pino({ name: 'forkpoint' })

async function start(): Promise<void> {
  const { databaseUrl, jwtSecret, jwtSecretPrevious, fallback, host, port, ...settings } = readSettings(process.env)
  const stopping = new AbortController()
  const pool = new pg.Pool({ connectionString: databaseUrl, application_name: 'forkpoint' })
  // A connection that breaks while it idles is replaced; without a listener it would end the process.
  pool.on('error', () => {})
  await createTables(pool)
  const keyturn = await open(encryption(fallback), {
    pool,
    actor: 'forkpoint:admin',
    warn: (sentence) => logger.warn({ event: 'encryption-key-warning' }, sentence),
    onEvent: ({ event, field, codec }) => logger.warn({ event, field, codec }),
  })
  const sessions = new Sessions(jwtSecret, jwtSecretPrevious)
  const app = createApp({ ...settings, db: openDatabase(pool, keyturn), keyturn, sessions, logger, stopping: stopping.signal })
  const server = app.listen(port, host, (error) => {
    if (error) return fatal(error)
    logger.info(`listening on http://${host}:${(server.address() as AddressInfo).port}`)
  })
  // What has been accepted is finished before the process ends; a rewrap stops after the batch that it is writing.
  process.once('SIGTERM', () => {
    stopping.abort()
    server.close(async () => {
      await keyturn.close()
      await pool.end()
      process.exit(0)
    })
  })
}

/** Without keys nothing is served. A foreign error may quote the address of the database, and so its password. */
function fatal(error: unknown): void {
  logger.fatal(isKeyturnError(error) || error instanceof SettingError ? error.message : 'the database or the system failed')
  process.exit(1)
}

await start().catch(fatal)
