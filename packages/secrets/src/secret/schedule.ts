import { createHash } from 'node:crypto'
import { durationMs } from '@keyturn/core'
import type { SecretConfig } from './secret-config.ts'

/** When a secret is to be rotated. Times in milliseconds since 1970. */
export interface Due {
  /** When its interval is over; null without one, or when it was never rotated here. */
  readonly at: number | null
  readonly overdue: boolean
  /** When a server begins it by itself: the interval, plus its share of the jitter, moved into the window. Null where none does. */
  readonly beginsAt: number | null
}

const minute = 60_000
const day = 86_400_000

/**
 * When a secret is due.
 *
 * @param since - since when its credential is in use; null when it was never rotated here: due now, where there is an interval
 */
export function dueOf(name: string, config: SecretConfig, { since, now }: { readonly since: number | null; readonly now: number }): Due {
  if (config.every === undefined) return { at: null, overdue: false, beginsAt: null }
  const at = since === null ? now : since + durationMs(config.every)
  const jittered = at + shareOf(name, since ?? 0) * (config.jitter === undefined ? 0 : durationMs(config.jitter))
  return {
    at,
    overdue: at <= now,
    beginsAt: config.automatic === true ? intoWindow(jittered, config.window, now) : null,
  }
}

/** A number from 0 to 1 that is the same on every server for the same credential. */
function shareOf(name: string, since: number): number {
  return createHash('sha256').update(`${name}@${since}`).digest().readUInt32BE(0) / 0xffffffff
}

/**
 * The first moment in the window that is neither before `at` nor before `now`.
 *
 * @param window - hours in UTC, `22:00-04:00`; any hour unless given
 */
export function intoWindow(at: number, window: string | undefined, now: number): number {
  const from = Math.max(at, now)
  if (window === undefined) return from
  const [begin = 0, end = 0] = window.split('-').map((time) => {
    const [hours = 0, minutes = 0] = time.split(':').map(Number)
    return (hours * 60 + minutes) * minute
  })
  const midnight = Math.floor(from / day) * day
  for (const start of [midnight - day + begin, midnight + begin, midnight + day + begin]) {
    const stop = start + ((end - begin + day) % day || day)
    if (from < stop) return Math.max(from, start)
  }
  return from
}
