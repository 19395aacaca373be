import { durationMs } from '../config/duration.ts'
import { type Algorithm, isSymmetric } from './algorithm.ts'

/** What a configuration says about the lives of tokens and of what verifies them. Periods such as `15m`. */
export interface TokensConfig {
  /** Longest time a token is valid. Nothing is signed for longer. */
  readonly lifetime?: string
  /** How far the clocks of signers and verifiers may differ; `1m` unless given. */
  readonly skew?: string
  /** How long verifiers rely on a JWKS document that they have fetched, all caches together; `20m` unless given. */
  readonly jwksCache?: string
  /** How long a process verifies without having been able to load the keyring again; `5m` unless given. Then it refuses every token. */
  readonly offline?: string
}

/** The times of a signing keyring, in milliseconds. */
export interface TokenTimes {
  readonly lifetimeMs: number
  readonly skewMs: number
  /** 0 for shared secrets, which nobody publishes. */
  readonly jwksCacheMs: number
  readonly offlineMs: number
  readonly refreshMs: number
  /**
   * T: when a change of the keyring is known to every verifier, or the verifier refuses everything. `offline + jwksCache`. A pending key
   * waits that long before it signs, and a key that was revoked is refused everywhere after it.
   */
  readonly everywhereMs: number
  /** How long a key that signs no longer verifies what it has signed. */
  readonly graceMs: number
}

/** The grace period where no lifetime is stated. */
const defaultGraceMs = 86_400_000

/**
 * The times that follow from a configuration.
 *
 * The grace is lifetime + skew + JWKS cache + twice the refresh interval (the last signer may learn that late that its key is not active
 * any more). Where no lifetime is stated the grace is 24 hours, and the longest lifetime is what is left of them.
 */
export function tokenTimes(tokens: TokensConfig, algorithm: Algorithm, refreshMs: number): TokenTimes {
  const skewMs = durationMs(tokens.skew ?? '1m')
  const jwksCacheMs = isSymmetric(algorithm) ? 0 : durationMs(tokens.jwksCache ?? '20m')
  const offlineMs = durationMs(tokens.offline ?? '5m')
  const besides = skewMs + jwksCacheMs + 2 * refreshMs
  const lifetimeMs = tokens.lifetime === undefined ? defaultGraceMs - besides : durationMs(tokens.lifetime)
  return { lifetimeMs, skewMs, jwksCacheMs, offlineMs, refreshMs, everywhereMs: offlineMs + jwksCacheMs, graceMs: lifetimeMs + besides }
}
