import pg from 'pg'
import { migrate } from '../clients.ts'

/** Makes the tables as an administrator: `ADMIN_DATABASE_URL`, the role that is to own them, and the secret of the client for smoke tests. */
const { ADMIN_DATABASE_URL = '', DATABASE_OWNER = 'cloudforge', SMOKE_SECRET = '' } = process.env
if (ADMIN_DATABASE_URL === '' || SMOKE_SECRET.length < 32) {
  console.error('ADMIN_DATABASE_URL and SMOKE_SECRET (32 characters or more) must be set')
  process.exit(1)
}
const client = new pg.Client({ connectionString: ADMIN_DATABASE_URL })
await client.connect()
await migrate(client, { owner: DATABASE_OWNER, smoke: SMOKE_SECRET }).finally(() => client.end())
