import { createHash, timingSafeEqual } from 'node:crypto'
import { fail } from '../errors.ts'

/**
 * Tokens of links (invitations, resets) that are stored as hashes: who reads the database has no link. One SHA-256 without salt, because a
 * token is random and must be found by its hash; for what people choose, such as passwords, it is no protection.
 */

// What marks a stored hash. A token of 32 bytes in hexadecimal looks like its own hash: without a mark nobody could say which of the two a row
// holds, and who has stolen a hash could present it as a token while both are looked up.
const PREFIX = 'sha256:'
const storedPattern = /^sha256:[0-9a-f]{64}$/

/**
 * SHA-256 of a token as it stands in the link, in hexadecimal.
 *
 * @throws `ERR_USAGE` for the empty text: its hash is known to everybody
 * @example
 * tokenHash('abc') // 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
 */
export function tokenHash(token: string): string {
  if (typeof token !== 'string' || token === '') throw fail('ERR_USAGE', 'a token is a text that is not empty')
  return createHash('sha256').update(token, 'utf8').digest('hex')
}

/** What is stored in place of a token: its hash, marked as one. */
export function storedToken(token: string): string {
  return PREFIX + tokenHash(token)
}

/** Whether a stored text is a marked hash. */
export function isStoredHash(stored: string): boolean {
  return storedPattern.test(stored)
}

/**
 * Whether a column could take a text for a marked hash. Some do not tell upper from lower case, leave out blanks or punctuation, and know
 * other letters and digits as ours: a stolen hash in such a spelling must not be looked for as a token. No token of a link looks like that.
 */
function resemblesHash(text: string): boolean {
  const bare = text.replace(/[^A-Za-z0-9]/g, '').toLowerCase()
  return bare.startsWith('sha256') || !/^[ -~]*$/.test(text)
}

/**
 * The texts under which a token from a link may be stored, for `WHERE token = ANY(…)`: its marked hash, and, until every row is hashed, the
 * token itself. Of a marked hash that somebody presents as a token, in whatever spelling, only the hash of it: so nobody gets in with what stands in
 * the database.
 *
 * @param options.plain - whether rows may still hold tokens in the clear; true unless given
 */
export function tokenForms(token: string, { plain = true }: { readonly plain?: boolean } = {}): string[] {
  return plain && !resemblesHash(token) ? [storedToken(token), token] : [storedToken(token)]
}

/** Whether `stored`, a marked hash or a bare one in hexadecimal, is the hash of `token`. Takes the same time whatever they have in common. */
export function tokenMatches(stored: string, token: string): boolean {
  const bare = isStoredHash(stored) ? stored.slice(PREFIX.length) : stored
  if (!/^[0-9a-f]{64}$/.test(bare) || typeof token !== 'string' || token === '') return false
  return timingSafeEqual(Buffer.from(bare, 'hex'), Buffer.from(tokenHash(token), 'hex'))
}
