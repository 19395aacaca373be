/** The longest pause between two tries of what must be done some day. */
export const longestMs = 3_600_000

/**
 * How long to wait before the next try: twice as long each time, from one second, so that somebody who is down is not asked all the time.
 *
 * @param tries - tries so far, from 1
 * @param atLeast - what the answer asked for
 */
export function backOff(tries: number, atLeast = 0, atMost: number = longestMs): number {
  return Math.max(atLeast, Math.min(atMost, 1000 * 2 ** Math.min(tries - 1, 30)))
}
