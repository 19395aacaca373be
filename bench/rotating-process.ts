import { Pool } from 'pg'
import { open } from '../packages/core/src/index.ts'
import { configOf, environment, type Format, timedRotation } from './application.ts'

// A process that only rotates, as fast as it goes, and says how much memory it had: `rotating-process.ts URL ROWS FORMAT`.
const [url = '', rows = '', format = 'kt1'] = process.argv.slice(2)
const pool = new Pool({ connectionString: url, max: 4 })
const keyturn = await open(configOf(format as Format), { pool, env: environment })
const before = process.memoryUsage.rss()
let peak = before
const timer = setInterval(() => {
  peak = Math.max(peak, process.memoryUsage.rss())
}, 10)
await timedRotation(keyturn, Number(rows), { throttle: { share: 1 } })
clearInterval(timer)
await keyturn.close()
await pool.end()
console.log(JSON.stringify({ before, peak, system: process.resourceUsage().maxRSS * 1024 }))
