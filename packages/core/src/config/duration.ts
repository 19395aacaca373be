/** A whole number of days, weeks, hours, minutes or seconds. No months: they have no fixed length. */
export const DURATION = '^[1-9][0-9]{0,5}[dwhms]$'

const unitMs: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }

/**
 * A period of the configuration in milliseconds.
 *
 * @throws RangeError for text that is none; `validateConfig` has refused it
 * @example
 * durationMs('90d') // 7_776_000_000
 */
export function durationMs(text: string): number {
  if (!new RegExp(DURATION).test(text)) throw new RangeError('not a period')
  return Number(text.slice(0, -1)) * (unitMs[text.slice(-1)] as number)
}
