import type { KeyState, KeyVersion } from '../domain.ts'

/** A time in the life of a key, in one state. */
export interface Span {
  readonly state: KeyState
  readonly from: Date
  /** Null: it lasts. */
  readonly to: Date | null
}

/**
 * The states that a key has gone through. When it became retiring is when its successor became active: one transaction does both.
 *
 * @param versions - all of its keyring; of keys from the environment nobody knows when
 */
export function livesOf(version: KeyVersion, versions: readonly KeyVersion[]): readonly Span[] {
  const { createdAt, activatedAt, retiredAt, state } = version
  if (createdAt === null) return []
  const successor = versions
    .flatMap((each) => (each.activatedAt !== null && activatedAt !== null && each.activatedAt > activatedAt ? [each.activatedAt] : []))
    .sort((a, b) => a.getTime() - b.getTime())[0]
  const starts: (readonly [KeyState, Date | null | undefined])[] = [
    ['pending', createdAt],
    ['active', activatedAt],
    ['retiring', state === 'active' ? null : successor],
    ['retired', state === 'retired' || state === 'destroyed' ? retiredAt : null],
  ]
  const known = starts.flatMap(([each, from]) => (from ? [{ state: each, from }] : []))
  return known.map(({ state: each, from }, n) => ({ state: each, from, to: known[n + 1]?.from ?? null }))
}

/** From the first key to now, with a little room before and after. */
export function spanOf(versions: readonly KeyVersion[], now: Date): { readonly from: number; readonly to: number } {
  const first = Math.min(...versions.flatMap(({ createdAt }) => (createdAt === null ? [] : [createdAt.getTime()])), now.getTime())
  return { from: first, to: Math.max(now.getTime(), first + 60_000) }
}
