import { tooMany } from './problem.ts'

/** Runs work when its turn comes. */
export type Turns = <T>(work: () => Promise<T>) => Promise<T>

/**
 * So many pieces of work run at once and so many wait; a further one is refused at once. What costs memory and processor time at the
 * word of strangers must not take all of either.
 */
export function turns({ atOnce, waiting }: { readonly atOnce: number; readonly waiting: number }): Turns {
  const queue: (() => void)[] = []
  let running = 0
  return async (work) => {
    if (running < atOnce) running++
    else if (queue.length >= waiting) throw tooMany(1)
    // Whoever ends hands its place on, so that nobody comes in between.
    else await new Promise<void>((resolve) => queue.push(resolve))
    try {
      return await work()
    } finally {
      const next = queue.shift()
      if (next === undefined) running--
      else next()
    }
  }
}
