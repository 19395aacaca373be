import { createHash } from 'node:crypto'

/** One look at something that goes on: a rotation, or a run of a secret. */
export interface Look<T> {
  /** Another one with each change, on every server the same for the same facts. */
  readonly id: string
  readonly seen: T
  /** Nothing changes any more. */
  readonly final: boolean
}

/** How something is looked at. */
export interface Watching<T> {
  /** @throws where it cannot be looked at: its watchers end, and come back */
  readonly find: (id: string) => Promise<T>
  /** What stands before the digest in the id of a look. */
  readonly sequence: (seen: T) => number
  readonly final: (seen: T) => boolean
}

interface Watched<T> {
  look: Look<T> | null
  error: unknown
  watchers: number
  /** Called at the next change. */
  readonly waiting: Set<() => void>
  timer: NodeJS.Timeout | null
}

const pollMs = 500

/** Looks at what goes on for those who watch it: once for all who watch the same. */
export class Watch<T> {
  readonly #watching: Watching<T>
  readonly #watched = new Map<string, Watched<T>>()

  constructor(watching: Watching<T>) {
    this.#watching = watching
  }

  /** How many watch. */
  get size(): number {
    return [...this.#watched.values()].reduce((sum, { watchers }) => sum + watchers, 0)
  }

  /**
   * Looks at it at each of its changes, until it is over; null at every `quietMs` without one.
   *
   * @param from - the id of the look that is known already: the first one given is another
   */
  async *looks(
    id: string,
    { from, quietMs, signal }: { from: string | null; quietMs: number; signal: AbortSignal },
  ): AsyncGenerator<Look<T> | null> {
    const watched = this.#enter(id)
    let known = from
    try {
      while (!signal.aborted) {
        if (watched.error !== null) throw watched.error
        const { look } = watched
        if (look !== null && look.id !== known) {
          known = look.id
          yield look
        }
        if (look?.final) return
        if (watched.look === look && !(await this.#changed(watched, quietMs, signal)) && !signal.aborted) yield null
      }
    } finally {
      this.#leave(id, watched)
    }
  }

  #enter(id: string): Watched<T> {
    const there = this.#watched.get(id)
    if (there !== undefined) {
      there.watchers++
      return there
    }
    const watched: Watched<T> = { look: null, error: null, watchers: 1, waiting: new Set(), timer: null }
    this.#watched.set(id, watched)
    void this.#poll(id, watched)
    return watched
  }

  #leave(id: string, watched: Watched<T>): void {
    if (--watched.watchers > 0) return
    if (watched.timer !== null) clearTimeout(watched.timer)
    if (this.#watched.get(id) === watched) this.#watched.delete(id)
  }

  async #poll(id: string, watched: Watched<T>): Promise<void> {
    try {
      const look = this.#lookAt(await this.#watching.find(id))
      if (look.id !== watched.look?.id) {
        watched.look = look
        wake(watched)
      }
      if (look.final) return
    } catch (error) {
      // Its watchers end, and come back: an event stream does so by itself.
      watched.error = error
      this.#watched.delete(id)
      wake(watched)
      return
    }
    if (watched.watchers > 0) watched.timer = setTimeout(() => void this.#poll(id, watched), pollMs)
  }

  /** @returns false where nothing has changed for `quietMs`, or the signal was aborted */
  async #changed(watched: Watched<T>, quietMs: number, signal: AbortSignal): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const changed = () => resolve(true)
    const quiet = () => resolve(false)
    const timer = setTimeout(quiet, quietMs)
    watched.waiting.add(changed)
    signal.addEventListener('abort', quiet, { once: true })
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      watched.waiting.delete(changed)
      signal.removeEventListener('abort', quiet)
    }
  }

  #lookAt(seen: T): Look<T> {
    const { sequence, final } = this.#watching
    const facts = createHash('sha256').update(JSON.stringify(seen)).digest('base64url').slice(0, 12)
    return { id: `${sequence(seen)}-${facts}`, seen, final: final(seen) }
  }
}

function wake({ waiting }: { readonly waiting: ReadonlySet<() => void> }): void {
  for (const waiter of [...waiting]) waiter()
}
