import type { Stored } from '../../field/codec.ts'
import type { Change, KeyEnd, KeyLives, Row, Walk } from '../../rotation/database.ts'
import { type Connection, connectionOf, type RedisClient } from './client.ts'
import { type CurrentMark, isCurrentBy, markOf, noMark } from './current.ts'
import { countKeys, endKeys, estimateKeys, livesOf } from './keys.ts'
import { MetKeys } from './met-keys.ts'
import { bytesOf, isPlain, type Page, pageOf } from './pages.ts'
import { assertUsable, refusal, serverOf } from './server.ts'
import { bytesRead, measure, readAll, swapAll } from './values.ts'

/** Keys that one SCAN may look at. */
const mostLooked = 5_000
/** Keys in a row with nothing to give before one of them is given all the same: whoever walks must have a turn now and then. */
const mostPassedOver = 20_000
/** How many bytes of values are read at once. */
const mostBytes = 16 * 2 ** 20

/**
 * The keys of one Redis server. Rows are walked by SCAN, whose order is the server's own: a place to go on from is a cursor and the id
 * of the server's process, which hashes differently after a restart. A key that was there all the time is met at least once in a walk.
 */
export class Keyspace {
  readonly #connection: Connection
  /** Of walks in which rows are counted. */
  readonly #met = new WeakMap<Walk, MetKeys>()
  /** Walks that found most values current lately: then the server leaves them out. Where few are, it would look at each in vain. */
  readonly #settled = new WeakSet<Walk>()

  constructor(client: RedisClient) {
    this.#connection = connectionOf(client)
  }

  assertUsable(): Promise<void> {
    return assertUsable(this.#connection)
  }

  refusal(pattern: string): Promise<string | null> {
    return refusal(this.#connection, pattern)
  }

  estimate(pattern: string): Promise<number> {
    return estimateKeys(this.#connection, pattern)
  }

  lives(pattern: string): Promise<KeyLives> {
    return livesOf(this.#connection, pattern)
  }

  count(pattern: string): Promise<number> {
    return countKeys(this.#connection, pattern)
  }

  end(pattern: string, options?: KeyEnd): Promise<number> {
    return endKeys(this.#connection, pattern, options)
  }

  swap(changes: readonly Change[]): Promise<number[]> {
    return swapAll(this.#connection, changes)
  }

  async sample(walk: Walk, limit: number): Promise<Row[]> {
    const rows = await this.scan({ ...walk }, null, limit)
    return rows.slice(0, limit)
  }

  async scan(walk: Walk, after: readonly string[] | null, limit: number): Promise<Row[]> {
    const server = after?.[1] ?? (await serverOf(this.#connection))
    const met = this.#metIn(walk)
    met?.goOnFrom(after === null ? null : placeOf(after))
    const { rows, cursor } = await this.#find(walk, met, after?.[0] ?? null, limit)
    // A cursor says nothing to another process of the server: the walk begins anew.
    if ((await serverOf(this.#connection)) !== server) return begunAnew(after, await this.scan(walk, null, limit))
    const last = rows.pop()
    if (last === undefined) return []
    const position = [cursor, server]
    // Only here: what failed is asked for again, and has not been met.
    met?.add(placeOf(position))
    rows.push({ ...last, position })
    return rows
  }

  #metIn(walk: Walk): MetKeys | null {
    if (walk.once !== true) return null
    const met = this.#met.get(walk) ?? new MetKeys()
    this.#met.set(walk, met)
    return met
  }

  /** Rows from a cursor on, and the cursor behind them. */
  async #find(walk: Walk, met: MetKeys | null, from: string | null, limit: number): Promise<Pick<Found, 'rows' | 'cursor'>> {
    const mark = markOf(walk)
    let cursor = from ?? '0'
    let passedOver = 0
    for (let ended = from === '0'; !ended; ended = cursor === '0') {
      // One row that is current is as good as any, once many have been passed over.
      const part = await this.#part(walk, { met, from: cursor, limit, mark: passedOver < mostPassedOver ? mark : noMark })
      met?.note(part.keys)
      cursor = part.cursor
      if (part.rows.length > 0) return { rows: part.rows, cursor }
      passedOver += part.keys.length
    }
    return { rows: [], cursor }
  }

  /** Rows of some pages, as many as have `limit` keys, or as have values that are not too large together. */
  async #part(walk: Walk, part: Part): Promise<Found> {
    for (let limit = part.limit; ; ) {
      const pages = await this.#pages(walk.table, { ...part, limit })
      const all = pages.flatMap((page) => page.keys)
      const lengths = await measure(this.#connection, all, this.#settled.has(walk) ? part.mark : noMark)
      const fitting = keysWithin(lengths)
      const whole = wholePages(pages, fitting)
      if (whole !== null || limit === 1) {
        // The smallest page is taken whatever its size.
        const { read, cursor } = whole ?? { read: all.length, cursor: pages.at(-1)?.cursor as string }
        const keys = all.slice(0, read)
        const rows = rowsOf(walk, keys, await readAll(this.#connection, keys, lengths), part.mark)
        if (rows.length * 2 < keys.length) this.#settled.add(walk)
        else this.#settled.delete(walk)
        return { rows, keys, cursor }
      }
      // There is no place to go on from within a page: a smaller one is asked for.
      limit = Math.max(1, Math.min(limit, fitting) >> 1)
    }
  }

  async #pages(pattern: string, { met, from, limit }: Part): Promise<Page[]> {
    const pages: Page[] = []
    const all = new Set<string>()
    let keys = 0
    for (let [cursor, scale] = [from, 1]; ; ) {
      const count = Math.min(mostLooked, Math.max(limit < 10 ? 1 : 10, limit - keys) * scale)
      const page = await pageOf(this.#connection, pattern, cursor, count)
      const found = met === null ? page.keys : met.fresh(page.keys).filter((key) => !all.has(key) && all.add(key))
      pages.push({ keys: found, cursor: page.cursor })
      keys += found.length
      cursor = page.cursor
      if (cursor === '0' || keys >= limit) return pages
      if (found.length * 4 < count) scale = Math.min(mostLooked, scale * 2)
    }
  }
}

/** Rows with all keys that were looked at for them, and the cursor behind these. */
interface Found extends Page {
  readonly rows: Row[]
}
interface Part {
  readonly met: MetKeys | null
  readonly from: string
  readonly limit: number
  /** What tells values that are left out. */
  readonly mark: CurrentMark
}

const placeOf = (position: readonly string[]): string => position.join(' ')

/** How many of the first keys have values that are not too large together. */
function keysWithin(lengths: readonly number[]): number {
  let bytes = 0
  const at = lengths.findIndex((length) => {
    bytes += bytesRead(length)
    return bytes > mostBytes
  })
  return at === -1 ? lengths.length : at
}

/** How many keys stand in the first pages that have no more than `most`, and the cursor behind them; null where the first one has more. */
function wholePages(pages: readonly Page[], most: number): { readonly read: number; readonly cursor: string } | null {
  let whole: { readonly read: number; readonly cursor: string } | null = null
  for (const page of pages) {
    const read: number = (whole?.read ?? 0) + page.keys.length
    if (read > most) break
    whole = { read, cursor: page.cursor }
  }
  return whole
}

/** What was read before comes again: whoever counts must forget it. */
function begunAnew(after: readonly string[] | null, [first, ...others]: Row[]): Row[] {
  if (first === undefined) return []
  return [after === null ? first : { ...first, anew: true }, ...others]
}

function rowsOf(walk: Walk, keys: readonly string[], values: readonly (Stored | null)[], mark: CurrentMark): Row[] {
  const rows: Row[] = []
  for (let index = 0; index < keys.length; index++) {
    const [key, value] = [keys[index] as string, values[index] ?? null]
    if (value === null || isCurrentBy(mark, value)) continue
    const named = walk.bound.length === 0 || isPlain(key) ? key : bytesOf(key).toString('utf8')
    rows.push({ key: [key], values: walk.columns.map(() => value), bound: walk.bound.map(() => named) })
  }
  return rows
}
