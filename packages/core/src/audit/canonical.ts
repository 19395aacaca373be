import { fail } from '../errors.ts'

/**
 * The one way to write a value as JSON: RFC 8785 for strings, safe integers, booleans, null, arrays and plain objects.
 *
 * @throws `ERR_USAGE` for anything else: it would not have the same bytes everywhere
 */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value === 'boolean') return String(value)
  if (typeof value === 'string') return text(value)
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value)) throw refused('a number that is not a safe integer')
    return String(value)
  }
  if (Array.isArray(value)) return `[${Array.from(value, canonicalJson).join(',')}]`
  if (typeof value !== 'object' || !isPlain(value)) throw refused(`a value of type ${typeof value}`)
  // The default order of `sort` compares UTF-16 code units, as RFC 8785 has it.
  const members = Object.keys(value).sort()
  return `{${members.map((name) => `${text(name)}:${canonicalJson((value as Record<string, unknown>)[name])}`).join(',')}}`
}

function text(value: string): string {
  if (!value.isWellFormed()) throw refused('text with a lone surrogate')
  if (value.includes('\0')) throw refused('text with U+0000, which Postgres cannot hold')
  return JSON.stringify(value)
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

const refused = (what: string) => fail('ERR_USAGE', `an audit event cannot hold ${what}`)
