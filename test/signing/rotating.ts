import { Pool } from 'pg'
import { open } from '../../packages/core/src/index.ts'

// A process that rotates the signing keyring "jwt": says when it waits and when it is done, and is killed in between.
const [, , url = '', config = '{}'] = process.argv
const pool = new Pool({ connectionString: url, max: 2 })
const keyturn = await open(JSON.parse(config), { pool })
console.log('open.')
const { version } = await keyturn.signing('jwt').rotate({ onWait: () => console.log('waiting.') })
console.log(`active ${version}.`)
await keyturn.signing('jwt').retire({ now: true })
console.log('retired.')
await keyturn.close()
await pool.end()
