import type { Ground } from './ground.ts'
import { refuse } from './refusals.ts'
import { turns } from './turns.ts'

/**
 * Where strangers come in: so many attempts ask the database at once and so many wait, and a further one is turned away before it has cost anything.
 * Rotations and everybody who is signed in share the connections with them.
 */
export interface Entrance {
  /**
   * @param marked - whether the browser says that it was here before. It stands in a line of its own: whether it is true is known only when
   *   somebody has looked, and a flood that does not say so does not meet it
   */
  enter<T>(from: { readonly address: string; readonly marked: boolean }, attempt: () => Promise<T>): Promise<T>
  /** Counts those that were turned away since the last time, like every refusal. */
  report(): Promise<void>
}

/** Of so many addresses it is known how many were turned away; the rest are counted as one. */
const mostAddresses = 200

export function openEntrance(ground: Ground): Entrance {
  const unmarked = turns({ atOnce: 3, waiting: 20 })
  const others = turns({ atOnce: 2, waiting: 20 })
  const away = new Map<string, number>()
  const turnAway = (address: string) => {
    const known = away.has(address) || away.size < mostAddresses ? address : 'others'
    away.set(known, (away.get(known) ?? 0) + 1)
  }
  return {
    enter: async ({ address, marked }, attempt) => {
      let entered = false
      try {
        return await (marked ? others : unmarked)(() => {
          entered = true
          return attempt()
        })
      } catch (error) {
        if (!entered) turnAway(address)
        throw error
      }
    },
    report: async () => {
      for (const [address, count] of [...away]) {
        away.delete(address)
        await refuse(ground, { address, name: '', reason: 'limited' }, count)
      }
    },
  }
}
