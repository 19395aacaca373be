import { once } from 'node:events'
import { Pool } from 'pg'
import { open } from '../packages/core/src/index.ts'
import { configOf, environment, fieldOf, plaintextOf } from './application.ts'

// An application that goes on writing until its standard input ends: `writing-process.ts URL ROWS PER_SECOND`. Open loop: each write
// has its time, and what is late counts as waiting, whether the database or the queue before it was slow.
const [url = '', rows = '', perSecond = ''] = process.argv.slice(2)
const pool = new Pool({ connectionString: url, max: 20, min: 20 })
const keyturn = await open(configOf('kt1'), { pool, env: environment })
const field = fieldOf(keyturn)
const writes: Promise<void>[] = []
/** When each write was due, in milliseconds since the epoch, and how long after that it was done. */
const samples: [at: number, tookMs: number][] = []

async function write(due: number): Promise<void> {
  const id = 1 + Math.floor(Math.random() * Number(rows))
  const token = await field.encrypt(plaintextOf('kt1', id))
  const { rowCount } = await pool.query('UPDATE app SET token = $1 WHERE id = $2', [token, id])
  if (rowCount !== 1) throw new Error(`${rowCount} rows were written instead of 1`)
  samples.push([performance.timeOrigin + due, performance.now() - due])
}

const interval = 1000 / Number(perSecond)
let due = performance.now()
const timer = setInterval(() => {
  for (; due <= performance.now(); due += interval) writes.push(write(due))
}, 1)
console.log('writing')
process.stdin.resume()
await once(process.stdin, 'end')
clearInterval(timer)
await Promise.all(writes)
await keyturn.close()
await pool.end()
console.log(`\n${JSON.stringify(samples)}`)
