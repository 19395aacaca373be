import { randomUUID } from 'node:crypto'
import { fail } from '@keyturn/core'
import type { Call, World } from '../../packages/secrets/src/secret/call.ts'

/** A call of a part, each with an attempt of its own unless one is given. */
export function callOf(given: Partial<Call> = {}): Call {
  return { secret: 'test', attempt: randomUUID(), signal: new AbortController().signal, ...given }
}

/** What a part is given: the variables and files of these names, and the application for those that work on it. */
export function worldOf(
  values: { readonly [name: string]: string },
  now: () => number = Date.now,
  application: ReturnType<World['application']> | null = null,
): World {
  const read = async (ref: { env: string } | { file: string }) => {
    const name = 'env' in ref ? ref.env : ref.file
    const value = values[name]
    if (value === undefined) throw fail('ERR_ENV_MISSING', name, 'the test')
    return value
  }
  return {
    read: read as World['read'],
    now,
    application: () => {
      if (application === null) throw fail('ERR_USAGE', 'the test gives no application')
      return application
    },
  }
}

/** What came of a client that logs in again and again. */
export interface Knocks {
  readonly tries: number
  readonly refused: number
  /** What the refusals said. */
  readonly why: readonly string[]
  /** From the last log-in that succeeded before a refusal to the first one after it; the longest, in milliseconds. For printing only. */
  readonly gapMs: number
}

/**
 * Logs in without a pause, as consumers do that open a connection for each piece of work.
 *
 * @param logIn - one log-in with what consumers would use at that moment; throws where it is refused
 */
export function knock(logIn: () => Promise<void>): { enough(tries: number): Promise<void>; stop(): Promise<Knocks> } {
  let [on, tries, refused, gapMs, lastIn] = [true, 0, 0, 0, performance.now()]
  let wake: (() => void)[] = []
  const why: string[] = []
  const running = (async () => {
    let shut = false
    while (on) {
      const before = performance.now()
      const wasIn = await logIn().then(
        () => true,
        (error: unknown) => {
          why.push(String(error))
          return false
        },
      )
      tries++
      if (wasIn && shut) gapMs = Math.max(gapMs, performance.now() - lastIn)
      if (wasIn) lastIn = before
      else refused++
      shut = !wasIn
      for (const each of wake) each()
      wake = []
    }
  })()
  return {
    // So many log-ins have begun and ended since: what was changed before has been met.
    enough: async (more) => {
      const until = tries + more
      while (tries < until) await new Promise<void>((resolve) => wake.push(resolve))
    },
    stop: async () => {
      on = false
      await running
      return { tries, refused, why, gapMs }
    },
  }
}
