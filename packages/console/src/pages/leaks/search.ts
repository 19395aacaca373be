import type { LeakAsked } from '../../leak.ts'

// What a hand wrote into the address as a number or a word of JSON is a name all the same.
const text = (found: unknown): string | undefined =>
  ['string', 'number', 'boolean'].includes(typeof found) && found !== '' ? String(found).slice(0, 400) : undefined

/** What the address of the page asks about; what is foreign, or would contradict it, is left out. */
export function leakSearch(found: Record<string, unknown>): LeakAsked {
  const [key, secret, since] = [text(found.key), text(found.secret), text(found.since)]
  if (secret === undefined) return key === undefined ? {} : { key }
  return since === undefined ? { secret } : { secret, since }
}

/** A thing that can have leaked, by one word: `key/app/aaaqeaye`, `secret/openai`. */
export const nameOf = ({ key, secret }: LeakAsked): string =>
  key !== undefined ? `key/${key}` : secret !== undefined ? `secret/${secret}` : ''

/** The other way round. */
export function askedOf(name: string, since: string): LeakAsked {
  if (name.startsWith('key/')) return { key: name.slice('key/'.length) }
  return { secret: name.slice('secret/'.length), ...(since === '' ? {} : { since: new Date(since).toISOString() }) }
}

/** A time as a field for dates has it, in the time of the browser. */
export function localTime(iso: string | undefined): string {
  const at = new Date(iso ?? '')
  if (Number.isNaN(at.getTime())) return ''
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16)
}
