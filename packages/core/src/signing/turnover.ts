import { setTimeout as sleep } from 'node:timers/promises'
import type { AuditEvent } from '../audit/event.ts'
import { fail } from '../errors.ts'
import type { KeyVersion } from '../keyring/key-version.ts'
import type { Keyring } from '../keyring/keyring.ts'
import type { OpenedKeyring } from '../keyring/opened-keyring.ts'
import type { Algorithm } from './algorithm.ts'
import type { SigningKeyring } from './signing-keyring.ts'
import type { TokenCount, TokenCounts } from './token-ledger.ts'
import type { TokenTimes } from './token-times.ts'

/** A stored keyring whose keys sign, as it is changed. */
export interface SigningPlace {
  readonly signing: SigningKeyring
  readonly stored: OpenedKeyring
  /** The algorithm of a version's key. */
  readonly algorithmOf: (version: KeyVersion) => Algorithm
  readonly counts: TokenCounts
  /** The store's clock. */
  readonly now: () => Promise<Date>
}

export interface SigningRotateOptions {
  /** Signs with the new key at once: for a key that others have. Verifiers that have not heard of it refuse its tokens until then. */
  readonly now?: boolean
  /** Aborted: the wait ends, the new key stays pending, and the same call goes on later. */
  readonly signal?: AbortSignal
  /** Told once, when a wait begins: until when a pending key is only published. */
  readonly onWait?: (until: Date) => void
}

/** What came of rotating a signing keyring. */
export interface SigningRotation {
  readonly keyring: string
  /** `waiting`: it was aborted; the key is pending, and the same call goes on. */
  readonly state: 'active' | 'waiting'
  /** The new key. */
  readonly version: string
  /** The one before it; null while it is still waiting. */
  readonly before: string | null
  /** When what the one before has signed has expired, as an ISO time: then it can be retired. */
  readonly graceEndsAt: string | null
}

export interface SigningRetireOptions {
  /** Ids of versions that are retiring; all whose grace is over unless given. */
  readonly versions?: readonly string[]
  /** Before its grace is over: what it has signed is refused from then on. */
  readonly now?: boolean
  /** Marks the versions: others have the key. It never signs or verifies again, and its grace does not count. */
  readonly compromised?: boolean
}

/** A signing key that is refused from now on. */
export interface SigningRetirement {
  readonly version: string
  /** Tokens that had not expired, by kind; at most these. Empty where the grace was over. */
  readonly ended: readonly { readonly kind: string; readonly count: number }[]
  /** From then on every verifier refuses it, as an ISO time. */
  readonly refusedEverywhereAt: string
}

/** The date of a change is read before its commit, which may have waited for a lock. */
const LEAST_MARGIN_MS = 1_000
const MOST_MARGIN_MS = 60_000
const marginMs = (periodMs: number): number => Math.min(Math.max(periodMs / 10, LEAST_MARGIN_MS), MOST_MARGIN_MS)

/**
 * Makes a new key the one that signs: pending, and published, until every verifier has it or refuses everything; then active. The one
 * before is retiring from then on.
 *
 * A crash leaves a pending key, which the next call takes; what it has waited already counts. No token is refused meanwhile: a key verifies
 * before it signs, and after.
 */
export async function rotateSigning(place: SigningPlace, options: SigningRotateOptions): Promise<SigningRotation> {
  const { signing, stored, counts, now } = place
  const { version, publishedAt } = await pendingVersion(place)
  if (!options.now) {
    const { everywhereMs } = signing.times
    const since = (await now()).getTime() - publishedAt.getTime()
    const waitMs = Math.max(0, Math.min(everywhereMs + marginMs(everywhereMs) - since, everywhereMs + marginMs(everywhereMs)))
    if (waitMs > 0) options.onWait?.(new Date((await now()).getTime() + waitMs))
    if (!(await waited(waitMs, options.signal)))
      return { keyring: stored.name, state: 'waiting', version: version.id, before: null, graceEndsAt: null }
  }
  const before = stored.snapshot.active.id
  await stored.activateVersion(version.id)
  const ends = graceEnd(stored.snapshot, before, graceOf(signing.times, await counts.list(stored.name)))
  return { keyring: stored.name, state: 'active', version: version.id, before, graceEndsAt: ends?.toISOString() ?? null }
}

/** A pending key of the algorithm that is wanted: one that is there, or a new one. One of another algorithm is destroyed: it has signed nothing. */
async function pendingVersion({ stored, signing, algorithmOf, now }: SigningPlace): Promise<{ version: KeyVersion; publishedAt: Date }> {
  const pending = (await stored.reload()).versions.filter(({ state }) => state === 'pending')
  const usable = pending.find((version) => !version.compromised && algorithmOf(version) === signing.algorithm)
  for (const version of pending) if (version !== usable) await stored.destroyVersion(version.id)
  const id = usable?.id ?? (await stored.addPendingVersion())
  const version = stored.snapshot.get(id)
  if (version === undefined) throw fail('ERR_KEY_NOT_FOUND', stored.name, id)
  // Of a new one it is known when it was committed, however long it had waited for a lock.
  return { version, publishedAt: usable?.createdAt ?? (await now()) }
}

/** Longest time of a timer: a longer one is over at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

async function waited(ms: number, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    for (let left = ms; left >= 0; left -= LONGEST_TIMER_MS)
      await sleep(Math.min(left, LONGEST_TIMER_MS), undefined, signal === undefined ? {} : { signal })
    return !signal?.aborted
  } catch (error) {
    if (signal?.aborted) return false
    throw error
  }
}

/** What the end of a grace follows from. */
export interface Grace extends Pick<TokenTimes, 'graceMs' | 'skewMs'> {
  /** When the last token of a version expires that is known, by its id, in milliseconds. */
  readonly lastMs: ReadonlyMap<string, number>
}

/** The grace that follows from the times that are stated now, and from what is known to be signed. */
export function graceOf({ graceMs, skewMs }: TokenTimes, counts: readonly TokenCount[]): Grace {
  const lastMs = new Map<string, number>()
  for (const { what, versionId, at } of counts)
    if (what === 'signed') lastMs.set(versionId, Math.max(at.getTime(), lastMs.get(versionId) ?? 0))
  return { graceMs, skewMs, lastMs }
}

/**
 * When everything that a version has signed has expired: the grace, from when the next one became active. Later where it is known to have signed
 * for longer than is stated now: a configuration that was changed changes no token. Null for a version that may still sign, or never has.
 */
export function graceEnd(keyring: Keyring, id: string, { graceMs, skewMs, lastMs }: Grace): Date | null {
  const version = keyring.get(id)
  if (version === undefined || version.state !== 'retiring') return null
  const from = version.activatedAt?.getTime() ?? 0
  const later = keyring.versions.flatMap((other) => {
    const at = other.id === id ? undefined : other.activatedAt?.getTime()
    return at !== undefined && at > from ? [at] : []
  })
  const stopped = later.length > 0 ? Math.min(...later) : (keyring.active.activatedAt?.getTime() ?? 0)
  return new Date(Math.max(stopped + graceMs + marginMs(graceMs), (lastMs.get(id) ?? 0) + skewMs))
}

/**
 * Ends keys that no longer sign: what they have signed is refused from then on, everywhere within `times.everywhereMs`.
 *
 * One save for each; a crash leaves some retired and others retiring, and the same call goes on.
 *
 * @throws `ERR_GRACE` while tokens under a version may be valid, unless told `now` or `compromised`; it says how many of which kind
 * @throws `ERR_KEY_STATE` for a version that is named and is not retiring: the active one ends by `rotate` first
 */
export async function retireSigning(place: SigningPlace, options: SigningRetireOptions): Promise<SigningRetirement[]> {
  const { stored, signing, counts } = place
  const keyring = await stored.reload()
  const early = options.now === true || options.compromised === true
  const counted = await counts.list(stored.name)
  const [valid, grace] = [tokensOf(counted), graceOf(signing.times, counted)]
  // Read before: without its last public key a keyring has no document, and the caches still have it.
  const { everywhereMs } = signing.times
  const at = await place.now()
  const chosen = options.versions ?? retiringOf(keyring, early ? null : at, grace)
  const over = (id: string) => (graceEnd(keyring, id, grace)?.getTime() ?? 0) <= at.getTime()
  for (const id of chosen) assertEnds(keyring, id, over(id) || early, { valid, grace })
  const retired: SigningRetirement[] = []
  for (const id of chosen) {
    const ended = over(id) ? [] : (valid.get(id) ?? [])
    const tokens = ended.reduce((sum, { count }) => sum + count, 0)
    const data: AuditEvent['data'] = { early: !over(id), tokens, compromised: options.compromised === true }
    await stored.retireVersion(id, data, options.compromised)
    const everywhere = (await place.now()).getTime() + everywhereMs
    retired.push({ version: id, ended, refusedEverywhereAt: new Date(everywhere).toISOString() })
  }
  return retired
}

/** Versions that are retiring: those whose grace is over at a time, or all. Where none is over, all: the refusal then says when. */
function retiringOf(keyring: Keyring, at: Date | null, grace: Grace): string[] {
  const retiring = keyring.versions.filter(({ state }) => state === 'retiring').map(({ id }) => id)
  const over = retiring.filter((id) => at !== null && (graceEnd(keyring, id, grace) as Date) <= at)
  return over.length > 0 ? over : retiring
}

function assertEnds(
  keyring: Keyring,
  id: string,
  mayEnd: boolean,
  { valid, grace }: { valid: ReturnType<typeof tokensOf>; grace: Grace },
): void {
  const version = keyring.get(id)
  if (version === undefined) throw fail('ERR_KEY_NOT_FOUND', keyring.name, id)
  if (version.state !== 'retiring' && version.state !== 'retired') throw fail('ERR_KEY_STATE', keyring.name, id, version.state, 'retired')
  if (mayEnd) return
  const end = graceEnd(keyring, id, grace)?.toISOString() ?? ''
  throw fail('ERR_GRACE', keyring.name, id, end, tokenWords(valid.get(id) ?? []))
}

/** Signed tokens that have not expired, by version and kind. */
export function tokensOf(counts: readonly TokenCount[]): Map<string, { readonly kind: string; readonly count: number }[]> {
  const signed = counts.filter(({ what }) => what === 'signed')
  return new Map(
    [...Map.groupBy(signed, ({ versionId }) => versionId)].map(([id, of]) => [id, of.map(({ kind, count }) => ({ kind, count }))]),
  )
}

/** How many tokens of which kinds, in words: `at most 12 of kind JWT, 3 of kind at+jwt`. */
export function tokenWords(tokens: readonly { readonly kind: string; readonly count: number }[]): string {
  if (tokens.length === 0) return 'none is known that has not expired'
  return `at most ${tokens.map(({ kind, count }) => `${count.toLocaleString('en-US')} of kind ${kind}`).join(', ')}`
}
