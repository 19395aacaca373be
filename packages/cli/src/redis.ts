import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { type Config, fail, isVariableName, type OpenOptions, parseReference, variableOf } from '@keyturn/core'
import type { Redis } from 'ioredis'
import type { Call } from './call.ts'
import { kindOf } from './failure.ts'

/** A client as the library takes it. */
type RedisClient = NonNullable<OpenOptions['redis']>

/**
 * Opens the Redis of a command line while `work` is done, where a field of the configuration stands there; null where none does, or
 * where nobody says which it is: then whatever needs it refuses.
 *
 * @throws `ERR_USAGE` where the client is not installed, `ERR_DATABASE` where it does not answer. No message repeats the address
 */
export async function withRedis<T>(call: Call, config: Config, work: (redis: RedisClient | null) => Promise<T>): Promise<T> {
  const needed = Object.values(config.fields).some(({ column }) => parseReference(column).store !== undefined)
  const address = needed ? await addressOf(call, config) : null
  if (address === null) return await work(null)
  if (!/^rediss?:\/\/[^/?#]+(\/\d*)?(\?|$)/.test(address))
    throw fail(
      'ERR_USAGE',
      'the address of Redis is redis://host or rediss://host, with the number of its database at the end: redis://host/1',
    )
  const { Redis } = await load()
  const client = new Redis(address, { lazyConnect: true, connectTimeout: 15_000, retryStrategy: retried, connectionName: 'keyturn' })
  // What fails is told by the command that failed; without a listener it would be printed.
  client.on('error', () => {})
  try {
    await client.connect().catch((error: unknown) => {
      throw fail('ERR_DATABASE', kindOf(error), 'connecting to Redis')
    })
    await choose(client)
    return await work(client)
  } finally {
    client.disconnect()
  }
}

/** The client passes over a database that the server does not have, and would go on in the first one. @throws `ERR_USAGE` */
async function choose(client: Redis): Promise<void> {
  const { db = 0 } = client.options
  if (Number(db) === 0) return
  await client.call('SELECT', String(db)).catch(() => {
    throw fail('ERR_USAGE', 'this Redis has no database with the number that its address ends with, or its user may not select it')
  })
}

/** A connection that is lost is made again for about a minute. The first one is not tried again: an address may be wrong. */
const tries = 20
const retried = (times: number) => (times > tries ? null : Math.min(5_000, 50 * 2 ** times))

async function addressOf({ io, options }: Call, config: Config): Promise<string | null> {
  const { redis: option } = options
  if (option !== undefined && !option.startsWith('env:')) return option
  const ref = option === undefined ? config.redis : { env: option.slice('env:'.length) }
  if (ref === undefined) return null
  if ('env' in ref) {
    if (!isVariableName(ref.env)) throw fail('ERR_USAGE', '--redis env:NAME needs the name of an environment variable')
    const value = variableOf(io.env, ref.env)
    if (value === undefined) throw fail('ERR_ENV_MISSING', ref.env, 'the address of Redis')
    return value.trim()
  }
  const text = await readFile(resolve(io.cwd, ref.file), 'utf8').catch((error: unknown) => {
    throw fail('ERR_USAGE', `the file that holds the address of Redis cannot be read (${kindOf(error)})`)
  })
  return text.trim()
}

async function load() {
  try {
    return await import('ioredis')
  } catch {
    throw fail('ERR_USAGE', 'a field stands in Redis, and the client is not installed. Run "npm install ioredis"')
  }
}
