import { open } from '@keyturn/core'
import { openSecrets } from '@keyturn/secrets'
import pg from 'pg'

/** What the process is to do: work on a run, with a clock that is ahead. */
export interface RotatingTask {
  readonly url: string
  readonly config: object
  readonly runId: string
  readonly ahead: number
}

// Works on the run until it is over, letting no wait take its time: the parent kills it at any moment.
const { url, config, runId, ahead: first }: RotatingTask = JSON.parse(process.argv[2] ?? '{}')
let ahead = first
const pool = new pg.Pool({ connectionString: url, max: 2 })
const keyturn = await open(config as Parameters<typeof open>[0], { pool })
const secrets = await openSecrets(keyturn, { pool, ahead: () => ahead, actor: 'child' })
process.stdout.write('working\n')
for (let turns = 0; turns < 100; turns++) {
  const run = await secrets.settle(runId, { waitMs: 0, onProgress: ({ position }) => process.stdout.write(`at ${position}\n`) })
  process.stdout.write(`${run.state}\n`)
  if (run.endedAt !== null || run.state === 'paused') break
  ahead += Math.max(1000, (run.wakeAt ?? 0) - Date.now() - ahead)
}
process.stdout.write(`ahead ${ahead}\n`)
await keyturn.close()
await pool.end()
