import { setTimeout as sleep } from 'node:timers/promises'
import { fail, type SqlState } from '@keyturn/core'
import type { Call } from '../secret/call.ts'
import type { Provider } from '../secret/provider.ts'
import { CallLimits } from './call-limits.ts'
import { Limited, PartFailure } from './outcome.ts'
import type { Run } from './run.ts'
import { hasWish, lease } from './run-rows.ts'
import { defaultCallMs, partFailure } from './step-world.ts'

/** A call to a part, and in which step. */
export type Around = <T>(at: { readonly step: string; readonly secret: string }, work: () => Promise<T>) => Promise<T>

/** A lease is this much longer than the call that it is for. */
export const marginMs = 10_000

export interface PartCallsOptions {
  readonly state: SqlState
  now(): Promise<number>
  /** Stands between the engine and every call to a part: tests kill the process there. */
  around?: Around
}

/** A call that a run makes. */
interface Asking {
  readonly run: Run
  /** Whom the part asks; null where nothing limits it. */
  readonly provider: Provider | null
  readonly callMs?: number | undefined
  readonly attempt: string
  readonly signal: AbortSignal
  /** Whether the step has called nothing yet: then its lease may be given back while it waits, and nothing is done twice. */
  readonly isFirst: boolean
  /** Told how long it was waited for a place, in milliseconds. */
  waited(ms: number): void
  /** What must be on record before the call, and not before it is certain to be made. */
  recorded?: (() => Promise<void>) | undefined
}

/** A shorter wait is not worth giving the lease back for. */
const shortMs = 2_000
/** A step that has begun waits here for as long: what it did would be done again. */
const patientMs = 120_000

/** Makes the calls of runs to parts: within the limits of their providers, and each with more lease left than it may take. */
export class PartCalls {
  readonly #options: PartCallsOptions
  readonly #limits: CallLimits
  /** Runs with a call that went on when its time was over. */
  readonly #unanswered = new Set<string>()

  constructor(options: PartCallsOptions) {
    this.#options = options
    this.#limits = new CallLimits(options.state)
  }

  /** Whether a call of the run did not end with its time: it may still be under way. Told once. */
  wasUnanswered(runId: string): boolean {
    return this.#unanswered.delete(runId)
  }

  /** @throws PartFailure; Limited where it has to wait; `ERR_RUN_LEASE` */
  async make<T>(asking: Asking, work: (call: Call) => Promise<T>): Promise<T> {
    const { state, around, now } = this.#options
    const { run, provider, callMs = defaultCallMs, attempt, signal, recorded } = asking
    const place = provider === null ? null : await this.#placeAt(provider, asking)
    const held = await lease(state, run.id, { epoch: run.epoch, now: await now(), forMs: callMs + marginMs, callMs })
    if (held === null) throw fail('ERR_RUN_LEASE', run.id)
    try {
      await recorded?.()
    } catch (error) {
      // Nothing was called.
      if (provider !== null && place !== null) await this.#limits.give(provider, place, await now())
      throw error
    }
    const within = AbortSignal.any([signal, AbortSignal.timeout(callMs)])
    const ask = async () => {
      try {
        return await raced(work({ secret: run.secret, attempt, signal: within }), within)
      } catch (error) {
        if (error instanceof Unanswered) this.#unanswered.add(run.id)
        throw partFailure(error)
      }
    }
    try {
      const result =
        around === undefined ? await ask() : await around({ step: run.steps[run.position] ?? 'sweep', secret: run.secret }, ask)
      if (provider !== null && place !== null) await this.#limits.give(provider, place, await now())
      return result
    } catch (error) {
      // One that may still be under way keeps its place until it cannot be any more.
      if (provider !== null && place !== null && error instanceof PartFailure && !(error instanceof Unanswered)) {
        if (error.kind === 'busy') await this.#limits.hold(provider, place, { now: await now(), afterMs: error.afterMs })
        else await this.#limits.give(provider, place, await now())
      }
      throw error
    }
  }

  /** Waits for a place with the provider. @throws Limited where that takes long, or somebody wants the run back */
  async #placeAt(provider: Provider, { run, callMs = defaultCallMs, signal, isFirst, waited }: Asking): Promise<string> {
    const { state } = this.#options
    const began = await this.#options.now()
    for (;;) {
      const now = await this.#options.now()
      const admission = await this.#limits.take(provider, { now, forMs: callMs + marginMs })
      if ('place' in admission) {
        if (now > began) waited(now - began)
        return admission.place
      }
      const forMs = admission.until - now
      if (forMs > (isFirst ? shortMs : patientMs) || signal.aborted || (await hasWish(state, run.id)))
        throw new Limited(admission.why, admission.until)
      const held = await lease(state, run.id, { epoch: run.epoch, now, forMs: 2 * defaultCallMs, callMs: defaultCallMs })
      if (held === null) throw fail('ERR_RUN_LEASE', run.id)
      await sleep(Math.max(20, Math.min(forMs, 300)), undefined, { signal }).catch(() => undefined)
    }
  }
}

/** The part did not end with its signal: its call may still be under way. */
class Unanswered extends PartFailure {}

/** Ends with the signal even where the part does not. */
async function raced<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop = () => {}
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(new Unanswered('uncertain', 'there was no answer in time'))
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', stop)
    work.catch(() => undefined)
  }
}
