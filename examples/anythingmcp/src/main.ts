import type { AddressInfo } from 'node:net'
import pg from 'pg'
import { createApp } from './app.ts'
import { credentialCrypto } from './crypto.ts'
import { createTables } from './database.ts'

const { DATABASE_URL, ENCRYPTION_KEY, ENCRYPTION_KEY_PREVIOUS, ADMIN_TOKEN, HOST = '127.0.0.1', PORT = '4000' } = process.env
if (!DATABASE_URL || !ENCRYPTION_KEY || !ADMIN_TOKEN) {
  console.error('DATABASE_URL, ENCRYPTION_KEY and ADMIN_TOKEN must be set')
  process.exit(1)
}

const pool = new pg.Pool({ connectionString: DATABASE_URL, application_name: 'anythingmcp' })
// A connection that breaks while it idles is replaced; without a listener it would end the process.
pool.on('error', () => {})
await createTables(pool)
const server = createApp({ pool, crypto: credentialCrypto(ENCRYPTION_KEY, ENCRYPTION_KEY_PREVIOUS), adminToken: ADMIN_TOKEN })
server.listen(Number(PORT), HOST, () => {
  console.log(`listening on http://${HOST}:${(server.address() as AddressInfo).port}`)
})

// What has been accepted is finished before the process ends.
process.once('SIGTERM', () => server.close(() => pool.end().then(() => process.exit(0))))
