import { Pool } from 'pg'
import { open } from '../../packages/core/src/open.ts'

/** What the child is told, as JSON in its only argument. It says when it has hashed `at` tokens, and is killed then. */
export interface TokenTask {
  readonly url: string
  readonly mark?: string
  readonly at: number
}

const { url, at, mark } = JSON.parse(process.argv[2] ?? '') as TokenTask
const pool = new Pool({ connectionString: url, max: 3, application_name: 'token-child' })
pool.on('error', () => {})
const keyturn = await open({ keyrings: {}, fields: {} }, { pool })
await keyturn.hashTokens('invitation_token.token', {
  ...(mark === undefined ? {} : { mark }),
  onHashed: (hashed) => {
    if (hashed < at) return
    process.stdout.write(`hashed ${hashed}\n`)
    process.kill(process.pid, 'SIGKILL')
  },
})
await keyturn.close()
await pool.end()
