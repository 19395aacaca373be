import { createHash } from 'node:crypto'
import { type PublicJwk, publicJwk } from './algorithm.ts'
import type { TokenKey } from './token-key.ts'
import type { TokenTimes } from './token-times.ts'

/** A JWKS document (RFC 7517). */
export interface Jwks {
  readonly keys: readonly PublicJwk[]
}

/** What a handler needs of a request. */
export interface JwksRequest {
  /** `GET` unless given. */
  readonly method?: string
  /** The header If-None-Match. */
  readonly ifNoneMatch?: string | undefined
}

/** What a handler answers, for any framework. */
export interface JwksResponse {
  readonly status: 200 | 304 | 405 | 503
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** The public halves of these keys. Of a shared secret there is none. */
export function jwksOf(keys: readonly { readonly kid: string; readonly key: TokenKey }[]): Jwks {
  return {
    keys: keys.filter(({ key }) => key.signs.type === 'private').map(({ kid, key }) => publicJwk(key.signs, key.algorithm, kid)),
  }
}

/**
 * The answer to a request for the document.
 *
 * `max-age` is half of what a verifier may rely on it in all: a cache in between may keep it for the one half, and the verifier itself for
 * the other. It names no `stale-if-error`: that would let a revoked key live on while we are away.
 */
export function jwksAnswer(jwks: Jwks, { method = 'GET', ifNoneMatch }: JwksRequest, { jwksCacheMs }: TokenTimes): JwksResponse {
  if (method !== 'GET' && method !== 'HEAD') return { status: 405, headers: { allow: 'GET, HEAD' }, body: '' }
  const body = JSON.stringify(jwks)
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`
  const headers = { 'cache-control': `public, max-age=${Math.floor(jwksCacheMs / 2000)}, must-revalidate`, etag }
  const matches = ifNoneMatch?.split(',').some((tag) => ['*', etag].includes(tag.trim().replace(/^W\//, '')))
  if (matches) return { status: 304, headers, body: '' }
  return { status: 200, headers: { ...headers, 'content-type': 'application/jwk-set+json' }, body: method === 'HEAD' ? '' : body }
}

/** While the keys are older than what may be relied on: nothing, for no longer than it takes. */
export const jwksUnavailable: JwksResponse = { status: 503, headers: { 'cache-control': 'no-store', 'retry-after': '5' }, body: '' }
