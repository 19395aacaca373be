import { Pool } from 'pg'
import { open } from '../../packages/core/src/open.ts'
import { serve } from '../../packages/server/src/serve.ts'
import { config, keys } from '../server/world.ts'

// A server with users of its own and the console, to be killed. Arguments: the port (0: a free one), the folder of the console.
const [port = '0', console_ = ''] = process.argv.slice(2)
const pool = new Pool({ connectionString: process.env.DATABASE_URL ?? '', max: 10 })
pool.on('error', () => {})
const keyturn = await open(config, { pool, env: keys, leaseMs: 1_500, warn: () => {} })
const server = await serve({
  keyturn,
  pool,
  port: Number(port),
  host: '127.0.0.1',
  console: console_,
  onSetup: (path) => console.log(`set up at ${path}!`),
  wakeMs: 1_000,
  // So slow that somebody can pause it, whatever else the machine does.
  throttle: { rowsPerSecond: 75 },
  logLevel: 'silent',
})
console.log(`listening at ${server.url} ready`)
