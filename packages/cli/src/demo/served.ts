import { randomBytes } from 'node:crypto'
import { PGlite } from '@electric-sql/pglite'
import { open } from '@keyturn/core'
import { type Call, say } from '../call.ts'
import { listenOptions, serving } from '../serving.ts'
import { config, damage, seed } from './application.ts'

/** Slow enough to be watched, on a database that has one session. */
const pace = { share: 0.3, targetMs: 15 }

/**
 * The console on the example application: its tokens have been moved to a keyring, some of them were damaged since, and the next
 * rotation is to be started. Everything is in memory and gone at the end.
 */
export async function serveDemo(call: Call, rows: number): Promise<number> {
  const listen = listenOptions(call.options)
  say(call, 'keyturn: preparing the example application')
  const db = await PGlite.create()
  const key = () => randomBytes(32).toString('hex')
  const env = { ENCRYPTION_KEY: key(), KEYTURN_ROOT_KEY: key(), SIGNING_KEY: key() }
  const seeded = await seed(db, rows, env.ENCRYPTION_KEY)
  const keyturn = await open(config, { pglite: db, env, actor: 'demo', warn: () => {} })
  try {
    await keyturn.rotate('app', { accept: true, newVersion: false, throttle: { share: 1 } })
    await damage(db, seeded, 3)
    return await serving(call, { ...listen, pglite: db, keyturn, throttle: pace })
  } finally {
    await keyturn.close()
    await db.close()
  }
}
