import type { KeyEnd, KeyLives } from '../../rotation/database.ts'
import type { Connection } from './client.ts'
import { MetKeys } from './met-keys.ts'
import { pageOf, sent } from './pages.ts'
import { longestLife, run } from './scripts.ts'
import { serverOf } from './server.ts'
import { together } from './values.ts'

/** Keys that one SCAN looks at. */
const looked = 1_000

/** About how many keys fit a pattern: of a small database all are looked at, of others the first thousands. */
export async function estimateKeys(connection: Connection, pattern: string): Promise<number> {
  const [all, pages] = [Number(await connection.send('DBSIZE')), 4]
  const found = new Set<string>()
  for (let [page, cursor] = [1, '0']; ; page++) {
    const next = await pageOf(connection, pattern, cursor, looked)
    for (const key of next.keys) found.add(key)
    cursor = next.cursor
    if (cursor === '0') return found.size
    if (page === pages) return Math.round((found.size * Math.max(all, pages * looked)) / (pages * looked))
  }
}

/** How long the keys of a pattern live. */
export async function livesOf(connection: Connection, pattern: string): Promise<KeyLives> {
  const none: { -readonly [name in keyof KeyLives]: KeyLives[name] } = { keys: 0, withoutEnd: 0, until: null }
  let lives = { ...none }
  await each(connection, pattern, {
    onAnew: () => {
      lives = { ...none }
    },
    work: async (keys) => {
      const reply = (await run(connection.send, longestLife, keys.map(sent))) as unknown[]
      const [longest = -1, forever = 0, now = 0] = reply.map(Number)
      lives.keys += keys.length
      lives.withoutEnd += forever
      const end = new Date(now * 1_000 + 1_000 + longest)
      if (longest >= 0 && (lives.until === null || end > lives.until)) lives.until = end
    },
  })
  return lives
}

/** How many keys fit a pattern. */
export async function countKeys(connection: Connection, pattern: string): Promise<number> {
  let found = 0
  await each(connection, pattern, {
    onAnew: () => {
      found = 0
    },
    work: async (keys) => {
      found += keys.length
    },
  })
  return found
}

/** Deletes every key of a pattern that is there from now to the end. */
export async function endKeys(connection: Connection, pattern: string, { signal, onBatch }: KeyEnd = {}): Promise<number> {
  let ended = 0
  await each(connection, pattern, {
    signal,
    onAnew: () => {},
    work: async (keys) => {
      ended += Number(await connection.send('UNLINK', ...keys.map(sent)))
      onBatch?.(ended)
    },
  })
  return ended
}

interface Each {
  readonly signal?: AbortSignal | undefined
  /** All keys come again: the server was started again meanwhile. */
  readonly onAnew: () => void
  readonly work: (keys: readonly string[]) => Promise<void>
}

/** Every key of a pattern once, some at a time. */
async function each(connection: Connection, pattern: string, { signal, onAnew, work }: Each): Promise<void> {
  const server = await serverOf(connection)
  const met = new MetKeys()
  let cursor = '0'
  do {
    const page = await pageOf(connection, pattern, cursor, looked)
    const keys = met.fresh(page.keys)
    for (let at = 0; at < keys.length; at += together) await work(keys.slice(at, at + together))
    met.note(keys)
    met.add(page.cursor)
    cursor = page.cursor
    if (signal?.aborted) return
  } while (cursor !== '0')
  if ((await serverOf(connection)) === server) return
  onAnew()
  await each(connection, pattern, { signal, onAnew, work })
}
