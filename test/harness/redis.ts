import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import { afterAll } from 'vitest'
import { findRedis } from './redis-server.ts'

/** A Redis for one test file, which others may use at the same time. */
export interface TestRedis {
  /** There is none: only this may be looked at, to pass the tests over. */
  readonly missing: boolean
  readonly url: string
  /** Connected; closed at the end of the file. */
  readonly client: Redis
  /** What all keys of the file begin with; they are removed at its end. */
  readonly prefix: string
}

/**
 * A database of the server that nobody uses, for its number of keys is the test's own then: a table that shrinks makes SCAN give keys
 * twice. The first one where all are in use.
 */
async function ownNumber(url: string): Promise<string> {
  const client = new Redis(url)
  try {
    for (let number = 1; number < 16; number++) {
      if ((await client.select(number).catch(() => null)) === null) return url
      const claimed = await client.set('keyturn-test', process.pid, 'EX', 600, 'NX')
      if (claimed !== null && (await client.dbsize()) === 1) return `${url}/${number}`
      if (claimed !== null) await client.del('keyturn-test')
    }
    return url
  } finally {
    client.disconnect()
  }
}

/**
 * The Redis of the file that calls this, at its top: the one that KEYTURN_TEST_REDIS names, else the one on the local port, else an
 * installed one on a free port.
 *
 * Where there is none, that is printed, and `missing` says it.
 */
export async function useRedis(): Promise<TestRedis> {
  const found = await findRedis()
  if (found === null) return { missing: true, url: '', client: null as unknown as Redis, prefix: '' }
  const { stop } = found
  const url = found.given ? found.url : await ownNumber(found.url)
  const client = new Redis(url)
  const prefix = `kt-${randomBytes(6).toString('hex')}:`
  afterAll(async () => {
    await removeKeys(client, prefix)
    await client.del('keyturn-test')
    await client.quit()
    await stop?.()
  })
  return { missing: false, url, client, prefix }
}

async function removeKeys(client: Redis, prefix: string): Promise<void> {
  let cursor = '0'
  do {
    const [next, keys] = await client.scan(cursor, 'MATCH', `${prefix}*`, 'COUNT', 5_000)
    if (keys.length > 0) await client.unlink(keys)
    cursor = next
  } while (cursor !== '0')
}
