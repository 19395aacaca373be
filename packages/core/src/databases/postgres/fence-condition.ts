import type { Stored } from '../../field/codec.ts'
import type { FenceTarget } from '../../rotation/fencing.ts'
import { quote } from './identifiers.ts'

/**
 * What a fence lets stand, as SQL: no function of ours and no look into a table, because what reads key states is fooled by older
 * snapshots. NULL in the column makes it NULL, which a CHECK lets pass.
 */

const digestOf = (column: string, holds: 'text' | 'bytes'): string =>
  holds === 'bytes' ? `encode(sha256(${column}), 'hex')` : `encode(sha256(convert_to(${column}::text, 'UTF8')), 'hex')`

const literal = (mark: Stored): string =>
  typeof mark === 'string' ? `'${mark.replaceAll("'", "''")}'` : `'\\x${Buffer.from(mark).toString('hex')}'::bytea`

/** Bytes are compared, whatever the collation of the column says is equal. */
const asBytes = (column: string): string => `${column}::text COLLATE "C"`

/**
 * In JSON any character may also be written as an escape. The document is not parsed for it: one that Postgres cannot parse would fail
 * the write with another error than the fence's. A pattern costs more than a search, so it is asked only where there is an escape at all.
 */
function inDocument(column: string, mark: string): string {
  const stored = asBytes(column)
  return `strpos(${stored}, ${literal(mark)}) = 0 AND (strpos(${stored}, '\\u00') = 0 OR ${stored} !~ '${[...mark].map(inJson).join('')}')`
}

/** A character of ASCII as it may stand in a JSON string, as a pattern of Postgres. */
function inJson(character: string): string {
  const hex = character.charCodeAt(0).toString(16).padStart(4, '0')
  const digits = hex.replace(/[a-f]/g, (digit) => `[${digit}${digit.toUpperCase()}]`)
  return `(${character.replace('.', '[.]')}|\\\\u${digits})`
}

const conditions: Record<FenceTarget['kind'], (column: string, mark: Stored) => string> = {
  text: (column, mark) => `substr(${column}::text, 1, ${[...(mark as string)].length}) COLLATE "C" <> ${literal(mark)}`,
  bytes: (column, mark) => `substr(${column}, 1, ${mark.length}) <> ${literal(mark)}`,
  // Postgres has read the escapes before it stores a jsonb.
  jsonb: (column, mark) => `strpos(${column}::text, ${literal(mark)}) = 0`,
  json: (column, mark) => inDocument(column, mark as string),
  'json-text': (column, mark) => inDocument(column, mark as string),
  'key-id': (column, mark) => `${asBytes(column)} IS DISTINCT FROM ${literal(mark)}`,
}

/** Whether a value under the key may not stand: the condition without exemptions. */
export function bareCondition({ kind, column, mark, values }: FenceTarget): string {
  const condition = conditions[kind](quote(column), mark)
  // An id that was left behind where the value went names nothing.
  return values === undefined ? condition : `(${condition}) OR ${quote(values.column)} IS NULL`
}

/** The condition of a fence. @param exempt - digests in hex */
export function fenceCondition(target: FenceTarget, exempt: readonly string[]): string {
  const bare = bareCondition(target)
  if (exempt.length === 0) return bare
  const holds = target.values?.holds ?? (target.kind === 'bytes' ? 'bytes' : 'text')
  const digests = [...new Set(exempt)].sort().map((digest) => `'${digest}'`)
  return `(${bare}) OR ${digestOf(quote(target.values?.column ?? target.column), holds)} = ANY (ARRAY[${digests.join(', ')}])`
}

/** A text, a name in quotes, a cast that the server adds, a name or number, or any other character. */
const tokens = /'(?:[^']|'')*'|"(?:[^"]|"")*"|::(?:text|bytea|name)\b|[A-Za-z0-9_$]+|[\s\S]/g

/**
 * A condition as it is compared with what the server prints: the server adds parentheses, line breaks and casts of its own, and leaves out
 * the quotes of plain names. A definition with anything else in it is another one. What stands in a text or in a name stays as it is:
 * columns "to ken" and "token" are two.
 */
export function comparable(condition: string): string {
  const bare = condition.replace(/^CHECK /, '').replace(/ NOT VALID$/, '')
  return (bare.match(tokens) ?? [])
    .filter((token) => !/^(\s|[()]|::.*)$/.test(token))
    .map((token) => (/^"[a-z_][a-z0-9_$]*"$/.test(token) ? token.slice(1, -1) : token))
    .join(' ')
}

/** The digests that a definition exempts. */
export function exemptOf(definition: string): string[] {
  return [...definition.matchAll(/'([0-9a-f]{64})'/g)].map(([, digest]) => digest as string)
}
