import { setTimeout as sleep } from 'node:timers/promises'
import { isKeyturnError, open } from '@keyturn/core'
import { openSecrets } from '@keyturn/secrets'
import pg from 'pg'
import type { RotatingTask } from './rotating-child.ts'

// As rotating-child, for runs that wait for the real clock: of leases of rotations, and of readers.
const { url, config, runId, ahead: first }: RotatingTask = JSON.parse(process.argv[2] ?? '{}')
let ahead = first
const pool = new pg.Pool({ connectionString: url, max: 4 })
const keyturn = await open(config as Parameters<typeof open>[0], { pool, leaseMs: 1_000 })
const secrets = await openSecrets(keyturn, { pool, ahead: () => ahead, actor: 'child' })
process.stdout.write('working\n')
for (let turns = 0; turns < 300; turns++) {
  const run = await secrets.settle(runId, { waitMs: 0 }).catch((error: unknown) => {
    if (!isKeyturnError(error, 'ERR_RUN_LEASE')) throw error
    return null
  })
  if (run === null) {
    // Of a process that was killed: its lease ends, and with it the longest call that it may have made.
    ahead += 600_000
    continue
  }
  process.stdout.write(`${run.state} ${run.steps[run.position]} ${run.note}\n`)
  if (run.endedAt !== null || run.state === 'paused') break
  if (run.note?.includes('tried again')) await sleep(200)
  ahead += Math.max(1000, (run.wakeAt ?? 0) - Date.now() - ahead)
  process.stdout.write(`ahead ${ahead}\n`)
}
await keyturn.close()
await pool.end()
