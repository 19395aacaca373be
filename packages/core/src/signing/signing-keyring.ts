import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import { fail, isKeyturnError } from '../errors.ts'
import type { KeyVersion } from '../keyring/key-version.ts'
import type { Keyring } from '../keyring/keyring.ts'
import { kidBytes } from '../keyring/kid.ts'
import type { LiveKeyring } from '../keyring/live-keyring.ts'
import type { OpenedKeyring } from '../keyring/opened-keyring.ts'
import type { Algorithm } from './algorithm.ts'
import { parseCompact } from './compact.ts'
import { type Jwks, type JwksRequest, type JwksResponse, jwksAnswer, jwksOf, jwksUnavailable } from './jwks.ts'
import { firstNamed, type KeyView, namedKey, verifies, viewOf } from './key-view.ts'
import {
  type Claims,
  checkToken,
  type NamedKey,
  refusedToken,
  type SignOptions,
  signerOf,
  signToken,
  type VerifiedToken,
  type VerifyTokenOptions,
} from './token.ts'
import type { TokenKey } from './token-key.ts'
import type { TokenLedger } from './token-ledger.ts'
import type { TokensConfig, TokenTimes } from './token-times.ts'
import {
  retireSigning,
  rotateSigning,
  type SigningPlace,
  type SigningRetirement,
  type SigningRetireOptions,
  type SigningRotateOptions,
  type SigningRotation,
} from './turnover.ts'

const threeSteps =
  'has keys from the environment. In three steps, each rolled out wholly before the next: (A) put the new secret among the previous ones; ' +
  '(B) exchange the two; (C) when what the old one has signed has expired, take it away'

/** A key for a library that signs or verifies by itself. */
export interface LibraryKey {
  /** What stands as `kid` in the header of its tokens. */
  readonly kid: string
  readonly algorithm: Algorithm
  /** A `KeyObject` of node:crypto: private or secret where it signs, public or secret where it verifies. */
  readonly key: TokenKey['signs']
}

/** What a signing keyring is made of. */
export interface SigningParts {
  readonly algorithm: Algorithm
  readonly tokens: TokensConfig
  readonly refreshMs: number
  readonly live: LiveKeyring
  /** Null for keys from the environment, which cannot change while the process runs. */
  readonly stored: OpenedKeyring | null
  /** The key of a version that has material. */
  readonly keyOf: (version: KeyVersion) => TokenKey
  readonly ledger: TokenLedger
  /** Where version 1 is a key that the application had before: what stands as `kid` in its tokens; null for its id. */
  readonly first?: { readonly kid: string | null } | undefined
  /** What changes it; null where nothing can: keys from the environment, and what was opened for looking. */
  readonly changes: SigningChanges | null
}

interface SigningChanges extends Pick<SigningPlace, 'counts' | 'now'> {
  /** Runs a change and has one that fails on record. */
  readonly recorded: <T>(action: string, keyring: string, work: () => Promise<T>) => Promise<T>
}

/**
 * A keyring whose keys sign tokens: the active one signs; pending, active and retiring ones verify; retired ones are refused.
 *
 * A process whose keyring is too old stops: it signs nothing once its last good load was sent more than twice `refreshMs` ago, and
 * verifies and publishes nothing once that is longer ago than `tokens.offline`. So what is revoked is refused everywhere after
 * `times.everywhereMs`, also by processes that could not hear of it.
 */
export class SigningKeyring {
  readonly name: string
  readonly #parts: SigningParts
  #view: KeyView | null = null

  constructor(parts: SigningParts) {
    this.name = parts.live.name
    this.#parts = parts
  }

  /** The algorithm of new keys. */
  get algorithm(): Algorithm {
    return this.#parts.algorithm
  }

  /** How long things take, from the configuration. */
  get times(): TokenTimes {
    return this.#now().times
  }

  /**
   * Signs a token under the active key, with its id as `kid`. `iat` and `exp` are added where the claims have none.
   *
   * @throws `ERR_SIGNING_STALE` when the keyring cannot be loaded
   * @throws `ERR_USAGE` for claims that it cannot have, such as an `exp` beyond the lifetime that the configuration states
   */
  async sign(claims: Claims, options: SignOptions = {}): Promise<string> {
    const by = await this.#signer()
    const { times } = this
    const { token, expiresMs, type } = signToken(claims, options, by, times)
    this.#parts.ledger.signed(by.id, type, expiresMs, times.lifetimeMs)
    return token
  }

  /**
   * The claims of a token that one of the keys has signed, whose times are right (within `tokens.skew`), and which is what the options
   * ask for. A key that is not known is looked for once.
   *
   * @throws `ERR_TOKEN` for every kind of bad token, always with the same message
   * @throws `ERR_SIGNING_STALE` when the keyring cannot be loaded for too long: that says nothing of the token
   */
  async verify(token: string, options: VerifyTokenOptions = {}): Promise<VerifiedToken> {
    const compact = parseCompact(token)
    await this.#fresh('verified', this.times.offlineMs)
    if (compact === null) throw refusedToken()
    const signer = await this.#keyOf(compact.header.kid, (keys) => signerOf(compact, keys))
    if (signer === undefined) throw refusedToken()
    return checkToken(compact, [signer], options, this.times)
  }

  /** The keys that verify, as a JWKS document: pending ones are in it before they sign. Empty for shared secrets. */
  async jwks(): Promise<Jwks> {
    await this.#fresh('verified', this.times.offlineMs)
    return jwksOf(this.#usable())
  }

  /**
   * Answers a request for the JWKS document, for any framework: with headers for caches, and 503 while the keyring cannot be loaded.
   * Nothing in it is secret; it needs no authentication.
   */
  async jwksResponse(request: JwksRequest = {}): Promise<JwksResponse> {
    try {
      return jwksAnswer(await this.jwks(), request, this.times)
    } catch (error) {
      if (isKeyturnError(error, 'ERR_SIGNING_STALE')) return jwksUnavailable
      throw error
    }
  }

  /** The key that signs, for a library that signs by itself. Counted as one token of the longest lifetime, of the kind `other`. */
  async signingKey(): Promise<LibraryKey> {
    const { id, kid, key } = await this.#signer()
    const { lifetimeMs } = this.times
    this.#parts.ledger.signed(id, 'other', Date.now() + lifetimeMs, lifetimeMs)
    return { kid, algorithm: key.algorithm, key: key.signs }
  }

  /**
   * The key that verifies tokens with this `kid`, for a library that verifies by itself; null where there is none or it is refused. The library must be
   * told the algorithm of the key, and accept no other.
   *
   * @param kid - as the header of a token has it, whatever it is
   * @param token - the whole token, for keys that the application had before: what it signed then has no `kid` of ours, and with several
   *   keys the signature alone says which one it is under
   */
  async keyFor(kid: unknown, token?: string): Promise<LibraryKey | null> {
    await this.#fresh('verified', this.times.offlineMs)
    const found = await this.#keyOf(kid, (keys) => {
      if (token === undefined) return keys.length === 1 ? keys[0] : undefined
      const compact = parseCompact(token)
      return compact === null ? undefined : signerOf(compact, keys)
    })
    return found === undefined ? null : { kid: found.kid, algorithm: found.key.algorithm, key: found.key.verifies }
  }

  /** The keys that verify now, the active one first. */
  async verificationKeys(): Promise<readonly LibraryKey[]> {
    await this.#fresh('verified', this.times.offlineMs)
    const { active } = this.#parts.live.snapshot
    const usable = this.#usable()
    const keys = [...usable.filter(({ id }) => id === active.id), ...usable.filter(({ id }) => id !== active.id)]
    return keys.map(({ kid, key }) => ({ kid, algorithm: key.algorithm, key: key.verifies }))
  }

  /**
   * Makes a new key the one that signs: published and verifying first, until every verifier has it or refuses everything
   * (`times.everywhereMs`), then active. Begun again after a crash or an abort it takes the key that is pending.
   *
   * @throws `ERR_USAGE` for keys from the environment: they change with its variables
   */
  async rotate(options: SigningRotateOptions = {}): Promise<SigningRotation> {
    return await this.#change('signing.rotate', (place) => rotateSigning(place, options))
  }

  /**
   * Ends keys that no longer sign, once what they have signed has expired; or before, with `now` or `compromised`. They are refused
   * everywhere within `times.everywhereMs`.
   *
   * @throws `ERR_GRACE` while tokens under a key may be valid
   */
  async retire(options: SigningRetireOptions = {}): Promise<readonly SigningRetirement[]> {
    return await this.#change('signing.retire', (place) => retireSigning(place, options))
  }

  async #change<T>(action: string, work: (place: SigningPlace) => Promise<T>): Promise<T> {
    const { stored, changes, keyOf, ledger } = this.#parts
    if (stored === null) throw fail('ERR_USAGE', `keyring "${this.name}" ${threeSteps}`)
    if (changes === null) throw fail('ERR_USAGE', 'the configuration was opened for looking only')
    // What this process has signed counts in what an early end says.
    await ledger.flush()
    const place = { ...changes, signing: this, stored, algorithmOf: (version: KeyVersion) => keyOf(version).algorithm }
    return await changes.recorded(action, this.name, () => work(place))
  }

  async #signer(): Promise<NamedKey> {
    const { live, refreshMs } = this.#parts
    await this.#fresh('signed', 2 * refreshMs)
    return namedKey(this.#parts, live.snapshot.active)
  }

  /** @throws `ERR_SIGNING_STALE` when the keys were loaded longer ago than that, and cannot be now */
  async #fresh(what: string, limitMs: number): Promise<void> {
    const { stored } = this.#parts
    if (stored === null || stored.ageMs <= limitMs) return
    // The first may be one that was sent long ago.
    for (let tries = 0; tries < 2 && stored.ageMs > limitMs; tries++) await this.#loaded(stored.reload())
    if (stored.ageMs > limitMs) throw this.#stale(what)
  }

  #stale(what: string) {
    return fail('ERR_SIGNING_STALE', this.name, Math.round(this.#parts.stored?.ageMs ?? 0), what)
  }

  /** What was loaded; null where that failed, or took longer than a refresh interval: nobody waits for a database that does not answer. */
  async #loaded(load: Promise<Keyring>): Promise<Keyring | null> {
    const answered = new AbortController()
    const tooLong = sleep(this.#parts.refreshMs, null, { ref: false, signal: answered.signal }).catch(() => null)
    try {
      return await Promise.race([load.catch(() => null), tooLong])
    } finally {
      // Else whoever makes up key ids leaves a timer with each.
      answered.abort()
    }
  }

  #usable(): readonly NamedKey[] {
    return this.#now().usable
  }

  /** What follows from the latest snapshot, worked out once for each. */
  #now(): KeyView {
    const { snapshot } = this.#parts.live
    if (this.#view?.snapshot !== snapshot) this.#view = viewOf(this.#parts, snapshot)
    return this.#view
  }

  /** The key of a `kid`, if it verifies. For a `kid` that is none of ours, what is chosen of the keys that sign without one. */
  async #keyOf(kid: unknown, choose: (nameless: readonly NamedKey[]) => NamedKey | undefined): Promise<NamedKey | undefined> {
    const version = await this.#version(kid)
    if (version !== undefined && verifies(version)) return namedKey(this.#parts, version)
    const chosen = version === undefined ? choose(this.#now().nameless) : undefined
    if (chosen === undefined) this.#parts.ledger.refused(version === undefined ? 'unknown-key' : 'retired-key', version?.id ?? '')
    return chosen
  }

  /** The version of a `kid`. What cannot be the name of one of ours is not looked for: nothing is loaded for it. */
  async #version(kid: unknown): Promise<KeyVersion | undefined> {
    if (typeof kid !== 'string') return undefined
    const { snapshot } = this.#parts.live
    const known = firstNamed(this.#parts, snapshot, kid)
    if (known !== undefined || kidBytes(kid) === null) return known
    return snapshot.get(kid) ?? (await this.#lookedFor(kid))
  }

  async #lookedFor(kid: string): Promise<KeyVersion | undefined> {
    const keyring = await this.#loaded(this.#parts.live.reload(kid))
    // Nobody knows whether it is one of ours.
    if (keyring === null) throw this.#stale('verified')
    return keyring.get(kid)
  }

  toJSON(): object {
    return { keyring: this.name, algorithm: this.algorithm }
  }

  [inspect.custom](): string {
    return `SigningKeyring { name: '${this.name}', algorithm: '${this.algorithm}' }`
  }
}
