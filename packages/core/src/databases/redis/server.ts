import { randomBytes } from 'node:crypto'
import { fail } from '../../errors.ts'
import type { Connection } from './client.ts'
import { firstWord } from './errors.ts'
import { run, tryToWrite } from './scripts.ts'

/** The id of the server's process: another one after each start, and after a failover. */
export async function serverOf(connection: Connection): Promise<string> {
  return /^run_id:(\S+)/m.exec(await infoOf(connection))?.[1] ?? ''
}

/** @throws `ERR_USAGE` for a server of a cluster, or one older than Redis 6, which cannot keep a time to live */
export async function assertUsable(connection: Connection): Promise<void> {
  const info = await infoOf(connection)
  if (/^redis_mode:cluster/m.test(info)) throw fail('ERR_USAGE', 'a Redis cluster is not supported: give a client of one server')
  const version = /^redis_version:(\d+)/m.exec(info)?.[1] ?? '6'
  if (Number(version) < 6)
    throw fail('ERR_USAGE', `Redis 6 or newer is needed, which keeps the time to live of what is replaced; this is ${version}`)
}

async function infoOf({ send }: Connection): Promise<string> {
  return String(await send('INFO', 'server'))
}

/**
 * Why keys of a pattern could not be rewritten here, in words; null where they could. Nothing is made by asking. Only of patterns that
 * are a prefix and a star: of others nobody knows a key that a user with rights to some keys may write.
 */
export async function refusal({ send }: Connection, pattern: string): Promise<string | null> {
  const prefix = /^([^*?[\\]+)\*$/.exec(pattern)?.[1]
  if (prefix === undefined) return null
  const error = String(await run(send, tryToWrite, [`${prefix}keyturn-${randomBytes(12).toString('hex')}`]))
  const word = firstWord(error)
  if (word === 'READONLY') return 'this Redis is a replica, which takes no writes: give the one that it follows'
  return word === 'NOPERM' || word === 'ERR' ? 'the user of Redis may not SET its keys from a script (see docs/sessions.md)' : null
}
