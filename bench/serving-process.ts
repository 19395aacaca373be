import { once } from 'node:events'
import { Pool } from 'pg'
import { open } from '../packages/core/src/index.ts'
import { serve } from '../packages/server/src/index.ts'
import { configOf, environment } from './application.ts'

// A server with users of its own: `serving-process.ts URL ROWS_PER_SECOND`. Says its memory for each line of its standard input, until that ends.
const [url = '', rowsPerSecond = ''] = process.argv.slice(2)
const pool = new Pool({ connectionString: url, max: 10 })
const keyturn = await open(configOf('kt1'), { pool, env: environment })
const server = await serve({
  keyturn,
  pool,
  port: 0,
  host: '127.0.0.1',
  console: null,
  logLevel: 'silent',
  throttle: { share: 1, rowsPerSecond: Number(rowsPerSecond) },
  onSetup: (path) => console.log(`link ${path.split('#')[1]}!`),
})
console.log(`listening at ${server.url}!`)
process.stdin.setEncoding('utf8').on('data', () => console.log(`memory ${process.memoryUsage.rss()}!`))
await once(process.stdin, 'end')
await server.close()
await keyturn.close()
await pool.end()
