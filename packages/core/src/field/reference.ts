import { fail } from '../errors.ts'
import { parsePointer, printPointer } from './document.ts'
import type { Location } from './location.ts'

/**
 * Reads `[schema.]table.column[:/json/pointer]`. The case is exact, never folded. A part with a dot, a colon, white space or a quote
 * stands in double quotes, with quotes inside it doubled: `"My.Table"."Col"`. What follows the colon is a JSON pointer in which `*`
 * stands for any member or element; with nothing behind the colon the document itself is the value, a JSON string.
 *
 * `redis:PATTERN[:/json/pointer]` names the values of all keys of Redis that fit a pattern, as SCAN reads it. The pointer begins at the
 * first `:/`.
 *
 * @throws `ERR_USAGE` for anything else
 * @example
 * parseReference('public.users.token') // { schema: 'public', table: 'users', column: 'token' }
 * parseReference('users.config:/keys/0').path // ['keys', '0']
 * parseReference('redis:app:session:*:/tokens/access').table // 'app:session:*'
 */
export function parseReference(text: string): Location {
  if (text.startsWith(inRedis)) return parseKeys(text)
  const parts: string[] = []
  let [rest, path]: [string, Location['path'] | null] = [text, null]
  for (;;) {
    const part = /^(?:"((?:[^"\0]|"")+)"|([^."\s:\0]+))/.exec(rest)
    if (part === null) throw refused(text)
    parts.push(part[1]?.replaceAll('""', '"') ?? (part[2] as string))
    rest = rest.slice(part[0].length)
    if (rest === '') break
    if (rest.startsWith(':')) {
      path = parsePointer(rest.slice(1))
      break
    }
    if (!rest.startsWith('.')) throw refused(text)
    rest = rest.slice(1)
  }
  const [column, table, schema = null, ...more] = parts.reverse()
  if (column === undefined || table === undefined || more.length > 0) throw refused(text)
  return path === null ? { schema, table, column } : { schema, table, column, path }
}

/** The mark of a location in Redis. */
export const redisStore = 'redis'
const inRedis = `${redisStore}:`
/** The column of a key in Redis in which its value is said to stand. */
const valueColumn = 'value'

function parseKeys(text: string): Location {
  const at = text.indexOf(':/')
  const pattern = text.slice(inRedis.length, at === -1 ? undefined : at)
  const pointer = at === -1 ? undefined : text.slice(at + 1)
  // What stands before the first sign of the pattern tells these keys from all others.
  if (['', '*', '?', '[', '\\'].includes(pattern.slice(0, 1)))
    throw fail('ERR_USAGE', `"${text}" would take keys of every name: begin the pattern with their prefix, as in redis:app:session:*`)
  const location: Location = { store: redisStore, schema: null, table: pattern, column: valueColumn }
  return pointer === undefined ? location : { ...location, path: parsePointer(pointer) }
}

/** Writes a location as `parseReference` reads it. */
export function printReference({ store, schema, table, column, path }: Location): string {
  if (store !== undefined) return `${store}:${table}${path === undefined ? '' : `:${printPointer(path)}`}`
  const parts = schema === null ? [table, column] : [schema, table, column]
  const whole = parts.map((part) => (/^[^."\s:\0]+$/.test(part) ? part : `"${part.replaceAll('"', '""')}"`)).join('.')
  return path === undefined ? whole : `${whole}:${printPointer(path)}`
}

function refused(text: string) {
  return fail(
    'ERR_USAGE',
    `"${text}" does not name a column: write [schema.]table.column; a part with a dot, colon, space or quote stands in double quotes`,
  )
}
