import { durationMs } from '../config/duration.ts'
import type { Keyring } from './keyring.ts'

/** What a configuration says about the life of keys. */
export interface Policy {
  /** Longest time a version should stay active: `90d`. */
  readonly period?: string
  /** Most messages that a version should encrypt, below 2^31. */
  readonly messages?: number
  /** How long backups are kept in which values of a retired version may stand: `35d`. */
  readonly horizon?: string
}

/** What a policy says of a keyring today. */
export interface Due {
  /** What should be done, in words; begins with `rotate`, `soon` or `destroy`. */
  readonly due: readonly string[]
  /** When the active version is to be replaced, by its period; null without one. */
  readonly dueAt: Date | null
  /** Messages until it is to be replaced. Never below 0. */
  readonly messagesLeft: number
}

/** From here on a key of AES-GCM with random nonces is to be replaced, whatever a policy says (NIST SP 800-38D allows 2^32). */
const MAX_MESSAGES = 2 ** 31
/** The share of a limit from which on it is said that it comes near. */
const NEAR_MESSAGES = 1 / 2
const NEAR_PERIOD = 9 / 10

/**
 * What is due by age, by messages and by the end of a backup horizon. Says it and does nothing.
 *
 * @param messages - reserved so far, by version id
 * @param now - on the clock that dated the versions
 */
export function dueOf(keyring: Keyring, messages: ReadonlyMap<string, number>, policy: Policy, now: Date): Due {
  const { active } = keyring
  const used = messages.get(active.id) ?? 0
  const limit = policy.messages ?? MAX_MESSAGES
  const dueAt =
    policy.period === undefined || active.activatedAt === null ? null : new Date(active.activatedAt.getTime() + durationMs(policy.period))
  return {
    due: [
      ...(active.compromised ? ['rotate: the active key is marked as compromised'] : []),
      ...byMessages(used, policy.messages),
      ...byAge(dueAt, policy.period, now),
      ...byHorizon(keyring, policy.horizon, now),
    ],
    dueAt,
    messagesLeft: Math.max(0, limit - used),
  }
}

function byMessages(used: number, limit: number | undefined): string[] {
  if (limit === undefined) {
    if (used >= MAX_MESSAGES) return ['rotate: the active key has encrypted 2^31 messages; it stops at 2^32']
    return used >= MAX_MESSAGES * NEAR_MESSAGES ? ['soon: the active key has encrypted 2^30 messages; rotate before 2^31'] : []
  }
  const words = (count: number) => count.toLocaleString('en-US')
  if (used >= limit) return [`rotate: the active key has encrypted ${words(used)} messages; its limit is ${words(limit)}`]
  return used >= limit * NEAR_MESSAGES ? [`soon: the active key has encrypted ${words(used)} of ${words(limit)} messages`] : []
}

function byAge(dueAt: Date | null, period: string | undefined, now: Date): string[] {
  if (dueAt === null || period === undefined) return []
  const leftMs = dueAt.getTime() - now.getTime()
  if (leftMs < 0) return [`rotate: the active key is older than its period, ${period}`]
  if (leftMs > durationMs(period) * (1 - NEAR_PERIOD)) return []
  return [`soon: the period of the active key, ${period}, ends at ${dueAt.toISOString()}`]
}

/** A version that was retired so long ago that no backup holds a value under it. */
function byHorizon({ versions }: Keyring, horizon: string | undefined, now: Date): string[] {
  if (horizon === undefined) return []
  const over = versions.filter(
    ({ state, retiredAt }) => state === 'retired' && retiredAt !== null && now.getTime() - retiredAt.getTime() > durationMs(horizon),
  )
  return over.map(({ id }) => `destroy: key version ${id} was retired longer ago than backups are kept, ${horizon}`)
}
