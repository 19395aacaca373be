import { fail } from '../errors.ts'
import { schemeOf } from './algorithm.ts'
import { type Compact, MOST_CHARACTERS, typeName } from './compact.ts'
import { strictObject } from './strict-json.ts'
import type { TokenKey } from './token-key.ts'
import type { TokenTimes } from './token-times.ts'

/** The claims of a token (RFC 7519). Times are seconds since 1970. */
export interface Claims {
  readonly iss?: string
  readonly sub?: string
  readonly aud?: string | readonly string[]
  readonly exp?: number
  readonly nbf?: number
  readonly iat?: number
  readonly jti?: string
  readonly [claim: string]: unknown
}

export interface SignOptions {
  /** How long it is valid from now; the longest that the keyring allows unless given, and unless the claims have an `exp`. */
  readonly lifetimeSeconds?: number
  /** The `typ` of its header, such as `at+jwt`; `JWT` unless given. Tokens are counted by it. */
  readonly type?: string
}

export interface VerifyTokenOptions {
  readonly issuer?: string
  /** One that must stand in `aud`. */
  readonly audience?: string
  /** The `typ` that its header must have. */
  readonly type?: string
}

/** A token whose signature, times and what else was asked for are as they should be. */
export interface VerifiedToken {
  readonly claims: Claims
  /** The key that signed it. */
  readonly kid: string
}

/** A key of a keyring. */
export interface NamedKey {
  /** Of its version. */
  readonly id: string
  /** What stands in the header of its tokens. */
  readonly kid: string
  readonly key: TokenKey
}

/** One wording for all causes: whoever tries tokens learns nothing. */
export const refusedToken = () => fail('ERR_TOKEN')

/** A token, signed; and when it expires. @throws `ERR_USAGE` for claims that it cannot have */
export function signToken(claims: Claims, options: SignOptions, { kid, key }: NamedKey, times: TokenTimes) {
  const { type = 'JWT', lifetimeSeconds } = options
  if (!/^[A-Za-z0-9!#$&^_.+-]{1,64}$/.test(type)) throw fail('ERR_USAGE', 'the type of a token is a name such as "at+jwt"')
  if (lifetimeSeconds !== undefined && !isTime(lifetimeSeconds)) throw fail('ERR_USAGE', 'the lifetime of a token is a number of seconds')
  const now = Math.floor(Date.now() / 1000)
  const longest = Math.floor(times.lifetimeMs / 1000)
  const exp = lifetimeSeconds === undefined ? (claims.exp ?? now + longest) : Math.floor(now + lifetimeSeconds)
  const full = { iat: now, ...claims, exp }
  for (const name of ['iat', 'nbf', 'exp'] as const) {
    if (full[name] !== undefined && !isTime(full[name]))
      throw fail('ERR_USAGE', `the claim "${name}" of a token is a time in seconds since 1970`)
  }
  // The key is refused once the grace is over: what it signs must have expired by then.
  if (exp - now > longest)
    throw fail(
      'ERR_USAGE',
      `a token can be valid for ${longest} s at most: that is the lifetime that the configuration states (tokens.lifetime)`,
    )
  const signed = `${headerText(key, kid, type)}.${Buffer.from(JSON.stringify(full)).toString('base64url')}`
  const token = `${signed}.${schemeOf(key.algorithm).sign(Buffer.from(signed, 'latin1'), key.signs).toString('base64url')}`
  if (token.length > MOST_CHARACTERS)
    throw fail('ERR_USAGE', `a token has at most ${MOST_CHARACTERS} characters, and these claims need more: nobody would verify it`)
  return { token, expiresMs: exp * 1000, type }
}

const headers = new WeakMap<TokenKey, Map<string, string>>()

function headerText(key: TokenKey, kid: string, type: string): string {
  const texts = headers.get(key) ?? new Map<string, string>()
  const known = texts.get(type)
  if (known !== undefined) return known
  const text = Buffer.from(JSON.stringify({ alg: key.algorithm, typ: type, kid })).toString('base64url')
  if (texts.size < 16) headers.set(key, texts.set(type, text))
  return text
}

/** Which of these keys has signed a token. All of them are tried, so that the time says nothing. */
export function signerOf<K extends Omit<NamedKey, 'id'>>(token: Compact, keys: readonly K[]): K | undefined {
  // The key decides on the algorithm; what the token says must be the same.
  const fitting = keys.filter(({ key }) => key.algorithm === token.header.alg)
  const [signer] = fitting.filter(({ key }) => schemeOf(key.algorithm).verify(token.signed, token.signature, key.verifies))
  return signer
}

/**
 * The claims of a token that one of these keys has signed.
 *
 * @param keys - those that the token may be under: one for a token that names its key
 * @throws `ERR_TOKEN` for every kind of bad input
 */
export function checkToken(
  token: Compact,
  keys: readonly Omit<NamedKey, 'id'>[],
  options: VerifyTokenOptions,
  { skewMs }: Pick<TokenTimes, 'skewMs'>,
): VerifiedToken {
  const signer = signerOf(token, keys)
  if (signer === undefined) throw refusedToken()
  const claims: Claims | null = strictObject(token.payload)
  if (claims === null || !isTimely(claims, skewMs / 1000) || !isMeant(claims, token.header.typ, options)) throw refusedToken()
  return { claims, kid: signer.kid }
}

const isTime = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value) && value >= 0

/** A token without an end would outlive the grace of its key: there is none. */
function isTimely({ exp, nbf, iat }: Claims, skew: number): boolean {
  const now = Date.now() / 1000
  if (!isTime(exp) || exp + skew <= now) return false
  return (nbf === undefined || (isTime(nbf) && nbf - skew <= now)) && (iat === undefined || isTime(iat))
}

function isMeant({ iss, aud }: Claims, typ: string | null, { issuer, audience, type }: VerifyTokenOptions): boolean {
  if (issuer !== undefined && iss !== issuer) return false
  if (audience !== undefined && !(Array.isArray(aud) ? aud : [aud]).includes(audience)) return false
  return type === undefined || typ === typeName(type)
}
