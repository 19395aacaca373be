import { Pool } from 'pg'
import { defineConfig } from '../../packages/core/src/config/config.ts'
import { open } from '../../packages/core/src/open.ts'
import { serve } from '../../packages/server/src/serve.ts'
import { authorize, config, keys } from './world.ts'

/** Whether the policy of the keyring has it rotated by itself. */
export type Manner = 'asked' | 'automatic'

// A server to be killed.
const pool = new Pool({ connectionString: process.env.DATABASE_URL ?? '', max: 10 })
pool.on('error', () => {})
const app = { root: { env: 'ROOT' }, period: '1s', automatic: true }
const chosen = process.argv.includes('automatic') ? defineConfig({ ...config, keyrings: { app } }) : config
const keyturn = await open(chosen, { pool, env: keys, leaseMs: 1_500, warn: () => {} })
const server = await serve({
  keyturn,
  pool,
  authorize,
  port: 0,
  host: '127.0.0.1',
  console: null,
  wakeMs: 1_000,
  throttle: { rowsPerSecond: 200 },
  logLevel: 'silent',
})
console.log(`listening at ${server.url}!`)
process.on('SIGTERM', async () => {
  await server.close()
  await keyturn.close()
  await pool.end()
  console.log('closed')
})
