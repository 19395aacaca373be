import { strictObject } from './strict-json.ts'

/** Longest token that is looked at, in characters: what fits into the headers of common servers. */
export const MOST_CHARACTERS = 16_384

/** A token in its parts (RFC 7515, compact), before anything is believed. */
export interface Compact {
  readonly header: TokenHeader
  /** What was signed: the first two parts with the point between them. */
  readonly signed: Buffer
  readonly payload: Buffer
  readonly signature: Buffer
}

/** The header members that are read; others mean nothing here, a `jku`, `jwk` or `x5c` least of all. */
export interface TokenHeader {
  readonly alg: string
  /** Null where the token names no key. */
  readonly kid: string | null
  /** In lower case, without `application/`; null where it is not there. */
  readonly typ: string | null
}

/** The header of many tokens is the same text: those seen last, by it. */
const headers = new Map<string, TokenHeader | null>()
const MOST_HEADERS = 64

/** A token in its parts, or null where it is none. Nothing is checked that needs a key. */
export function parseCompact(token: unknown): Compact | null {
  if (typeof token !== 'string' || token.length > MOST_CHARACTERS) return null
  const first = token.indexOf('.')
  const second = token.indexOf('.', first + 1)
  if (first < 1 || second < 0) return null
  const header = headerOf(token.slice(0, first))
  const payload = strictBase64url(token.slice(first + 1, second))
  const signature = strictBase64url(token.slice(second + 1))
  if (header === null || payload === null || signature === null) return null
  return { header, payload, signature, signed: Buffer.from(token.slice(0, second), 'latin1') }
}

/** The `typ` of a header as it is compared: RFC 7515, 4.1.9. */
export const typeName = (typ: string): string => typ.toLowerCase().replace(/^application\//, '')

function headerOf(text: string): TokenHeader | null {
  const known = headers.get(text)
  if (known !== undefined) return known
  const header = parseHeader(text)
  // Made-up headers must not fill the memory.
  if (headers.size >= MOST_HEADERS) headers.clear()
  if (text.length <= 512) headers.set(text, header)
  return header
}

function parseHeader(text: string): TokenHeader | null {
  const bytes = strictBase64url(text)
  const members = bytes === null ? null : strictObject(bytes)
  if (members === null) return null
  const { alg, kid = null, typ = null, crit } = members
  // `crit` names extensions that must be understood, and none is. `b64` is one of them, and means nothing without.
  if (typeof alg !== 'string' || crit !== undefined || Object.hasOwn(members, 'b64')) return null
  if ((kid !== null && typeof kid !== 'string') || (typ !== null && typeof typ !== 'string')) return null
  return Object.freeze({ alg, kid, typ: typ === null ? null : typeName(typ) })
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** Bytes from base64url, as only one text means them: no padding, no foreign character, spare bits zero. Empty text is none. */
export function strictBase64url(text: string): Buffer | null {
  const rest = text.length % 4
  if (rest === 1 || !/^[A-Za-z0-9_-]+$/.test(text)) return null
  const spare = rest === 2 ? 15 : rest === 3 ? 3 : 0
  return (alphabet.indexOf(text.at(-1) as string) & spare) === 0 ? Buffer.from(text, 'base64url') : null
}
