import { isUtf8 } from 'node:buffer'
import type { Stored } from '../../field/codec.ts'
import type { Change } from '../../rotation/database.ts'
import type { Argument, Connection } from './client.ts'
import type { CurrentMark } from './current.ts'
import { sent } from './pages.ts'
import { lengthsOf, run, swapValues } from './scripts.ts'

/** Keys of one command: each takes the server about a microsecond, during which nobody else is served. */
export const together = 100
/** Commands that are under way at once. */
const abreast = 10
/** The longest value that is read. */
const longest = 16 * 2 ** 20
/** How many bytes of values one command may ask for, or send. */
const commandBytes = 4 * 2 ** 20

/** What `measure` says in place of the length of a value that is current. */
const isCurrent = -2

/** How many bytes of a value of some length are read. */
export const bytesRead = (length: number): number => (length < 0 || length > longest ? 0 : length)

/**
 * How many bytes the values of some keys have, in their order; 0 also where a key is gone, -1 where it is of another type, -2 where it is
 * current by a mark that is given.
 */
export async function measure({ send }: Connection, keys: readonly string[], { current, any }: CurrentMark): Promise<number[]> {
  const marks = [String(longest), current, any]
  const parts: (readonly string[])[] = []
  for (let at = 0; at < keys.length; at += together) parts.push(keys.slice(at, at + together))
  const replies = await abreastOf(parts, async (part) => (await run(send, lengthsOf, part.map(sent), marks)) as unknown[])
  return replies.flat().map(Number)
}

/** The values of some keys in their order; null where a key is gone, or its value is current. @param lengths - as `measure` gave them */
export async function readAll(connection: Connection, keys: readonly string[], lengths: readonly number[]): Promise<(Stored | null)[]> {
  const values: (Stored | null)[] = keys.map((_, index) => instead(lengths[index] as number))
  const parts: number[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (let index = 0; index < keys.length; index++) {
    const length = lengths[index] as number
    if (values[index] !== null || length === isCurrent) continue
    if (bytes + length > commandBytes || (parts.at(-1)?.length ?? 0) >= together) {
      parts.push([])
      bytes = 0
    }
    bytes += length
    parts.at(-1)?.push(index)
  }
  await abreastOf(parts, async (part) => {
    const found = await mget(
      connection,
      part.map((index) => keys[index] as string),
    )
    for (const [at, index] of part.entries()) values[index] = found[at] ?? null
  })
  return values
}

/** What is no text is no value either: of what cannot be had only what it is is given, as bytes that are no text. */
function instead(length: number): Stored | null {
  if (length === isCurrent) return null
  if (length < 0) return otherType
  return length > longest ? tooLong : null
}
const otherType = Buffer.from('\xffno string', 'latin1')
const tooLong = Buffer.from('\xfftoo long to be read', 'latin1')

async function mget({ send, sendForBytes }: Connection, keys: readonly string[]): Promise<(Stored | null)[]> {
  const found = (await send('MGET', ...keys.map(sent))) as (Stored | null)[]
  for (const [index, value] of found.entries()) {
    // What the client puts in place of what is no text may also be text.
    if (typeof value !== 'string' || !value.includes('\uFFFD')) continue
    const [bytes = null] = (await sendForBytes('MGET', sent(keys[index] as string))) as (Buffer | null)[]
    found[index] = bytes !== null && isUtf8(bytes) ? bytes.toString('utf8') : bytes
  }
  return found
}

/** Replaces values that have not changed. @returns the indexes of those that have, or are gone */
export async function swapAll({ send }: Connection, changes: readonly Change[]): Promise<number[]> {
  const missed: number[] = []
  await abreastOf(inCommands(changes), async ({ first, part }) => {
    const keys = part.map(({ key }) => sent(key[0] as string))
    const values = part.flatMap(({ from, to }) => [argumentOf(from), argumentOf(to)])
    const digits = String(await run(send, swapValues, keys, values))
    for (let each = 0; each < part.length; each++) if (digits[each] !== '1') missed.push(first + each)
  })
  return missed.sort((a, b) => a - b)
}

function argumentOf([value]: Change['from']): Argument {
  return typeof value === 'string' ? value : Buffer.from(value ?? '')
}

/** Changes by what one command should hold, each with the index of its first. */
function inCommands(changes: readonly Change[]): { readonly first: number; readonly part: Change[] }[] {
  const commands: { readonly first: number; readonly part: Change[] }[] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const [index, change] of changes.entries()) {
    const length = (change.from[0]?.length ?? 0) + (change.to[0]?.length ?? 0)
    if (bytes + length > commandBytes || (commands.at(-1)?.part.length ?? 0) >= together) {
      commands.push({ first: index, part: [] })
      bytes = 0
    }
    bytes += length
    commands.at(-1)?.part.push(change)
  }
  return commands
}

/** Does some work after another, several at once. Waits for all that has begun before it throws: nothing must run on behind whoever tries again. */
async function abreastOf<T, R>(work: readonly T[], each: (one: T) => Promise<R>): Promise<R[]> {
  const done: R[] = []
  for (let at = 0; at < work.length; at += abreast) {
    const results = await Promise.allSettled(work.slice(at, at + abreast).map(each))
    for (const result of results) {
      if (result.status === 'rejected') throw result.reason
      done.push(result.value)
    }
  }
  return done
}
