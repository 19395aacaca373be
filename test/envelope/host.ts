import { Pool } from 'pg'
import { defineConfig, env } from '../../packages/core/src/config/config.ts'
import { open } from '../../packages/core/src/open.ts'

/** The environment of the host. */
export interface HostEnvironment {
  readonly DATABASE_URL: string
  readonly KMS_KEY_ID: string
  readonly KMS_ENDPOINT: string
}

// A host that serves only once encryption works, as docs/envelope.md shows it. Its root key is in a KMS.
const pool = new Pool({ connectionString: process.env.DATABASE_URL })
const root = { wrapper: 'aws-kms', keyId: env('KMS_KEY_ID'), endpoint: process.env.KMS_ENDPOINT, attempts: 2, timeoutMs: 60_000 }
const config = defineConfig({ keyrings: { app: { root } }, fields: {} })

const keyturn = await open(config, { pool })
const active = (await keyturn.status('app')).keyrings[0]?.versions.find(({ state }) => state === 'active')
console.log(`Encryption is ready: keyring "app", version ${active?.number}.`)

console.log('serving')
await keyturn.close()
await pool.end()
