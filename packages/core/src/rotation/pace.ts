import { setTimeout as sleep } from 'node:timers/promises'
import type { Throttle } from '../keyturn.ts'

const smallest = 16
const largest = 5_000
const first = 256
/** Where a rotation rests, a writer must not wait long behind the commit of a batch; where it does not, what each batch costs counts. */
const targets = { resting: 8, restless: 100 }

/**
 * How fast a rotation goes: the size of its batches follows a time target, halves when somebody was in the way, and after each
 * batch it rests so long that it works only its share of the time.
 */
export class Pace {
  readonly #targetMs: number
  readonly #share: number
  readonly #rowsPerSecond: number
  #size: number = first
  #owed = 0
  readonly #wait: Wait

  constructor({ targetMs, share = 0.2, rowsPerSecond = Number.POSITIVE_INFINITY }: Throttle = {}, wait: Wait = sleepUntil) {
    this.#wait = wait
    this.#targetMs = targetMs ?? (share < 1 ? targets.resting : targets.restless)
    this.#share = Math.min(1, Math.max(0.01, share))
    this.#rowsPerSecond = rowsPerSecond
    this.#size = Math.min(first, this.#most)
  }

  get #most(): number {
    return Math.max(1, Math.min(largest, Number.isFinite(this.#rowsPerSecond) ? Math.ceil(this.#rowsPerSecond) : largest))
  }

  /** Rows of the next batch. */
  get size(): number {
    return this.#size
  }

  /** Notes a batch: how many rows, how long its transaction took. The size moves by at most a factor of two. */
  note(rows: number, tookMs: number): void {
    if (rows >= this.#size / 2) {
      const factor = Math.min(2, Math.max(0.5, this.#targetMs / Math.max(1, tookMs)))
      this.#size = Math.round(Math.min(this.#most, Math.max(Math.min(smallest, this.#most), this.#size * factor)))
    }
    this.#owed = Math.max(tookMs / this.#share - tookMs, (rows / this.#rowsPerSecond) * 1000 - tookMs)
  }

  /** Notes that locks of others were in the way. */
  backOff(): void {
    this.#size = Math.max(1, Math.floor(this.#size / 2))
    this.#owed = Math.max(this.#owed, this.#targetMs)
  }

  /** Rests for what is owed. Ends early when `signal` is aborted. */
  async rest(signal?: AbortSignal): Promise<void> {
    const owed = this.#owed
    this.#owed = 0
    if (owed >= 1) await this.#wait(owed, signal)
  }
}

/** Passes some milliseconds; ends early, and throws nothing, when `signal` is aborted. */
type Wait = (ms: number, signal: AbortSignal | undefined) => Promise<void>

async function sleepUntil(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await sleep(ms, undefined, signal === undefined ? {} : { signal }).catch(() => {})
}
