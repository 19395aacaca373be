import { setTimeout as sleep } from 'node:timers/promises'
import { count } from '../../harness/counts.ts'
import type { Step } from '../procedure.ts'
import type { Floh } from './application.ts'
import type { useFloh } from './world.ts'

/** What users do all the time, each turn after the other. */
export class Turns {
  done = 0
  /** Whatever was not as it should be. */
  readonly faults: string[] = []
  #stopped = false
  readonly #running: Promise<void>[]

  /** @param turns - run again and again, beside each other; what they throw is a fault */
  constructor(turns: readonly (() => Promise<void>)[]) {
    this.#running = turns.map((turn) => this.#loop(turn))
  }

  /** Resolves when so many more were done, or when there was a fault. */
  async more(count: number): Promise<void> {
    const enough = this.done + count
    while (this.done < enough && this.faults.length === 0) await sleep(10)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#running)
  }

  async #loop(turn: () => Promise<void>): Promise<void> {
    while (!this.#stopped) {
      await turn().catch((error: unknown) => this.faults.push(String(error)))
      this.done++
      // All share the processor.
      await sleep(count(50, 10))
    }
  }
}

/** Does what a table of the README says to two instances, one after the other, while others serve. */
export async function follow(
  floh: ReturnType<typeof useFloh>,
  steps: readonly Step[],
  { keys, turns, rotate }: { keys: object; turns: readonly (() => Promise<void>)[]; rotate: () => Promise<void> },
): Promise<Turns> {
  const [before, ...rest] = steps as [Step, ...Step[]]
  let instances: Floh[] = []
  for (let n = 0; n < 2; n++) instances.push(await floh.start({ ...keys, ...before.keys }))
  const working = new Turns(turns)
  try {
    await working.more(2 * turns.length)
    for (const step of rest) {
      if (step.does !== 'restart') {
        await rotate()
        continue
      }
      const started: Floh[] = []
      for (const instance of instances) {
        started.push(await floh.start({ ...keys, ...step.keys }))
        await floh.stop(instance)
        // Long enough that each instance has met what the other writes.
        await working.more(4 * turns.length)
      }
      instances = started
    }
  } finally {
    await working.stop()
  }
  return working
}
