import { createHash } from 'node:crypto'
import type { WireRotation } from '../wire/rotation.ts'

/** One look at a rotation. */
export interface Look {
  /** Another one with each change, on every server the same for the same facts. */
  readonly id: string
  readonly rotation: WireRotation
  /** Nothing changes any more. */
  readonly final: boolean
}

interface Watched {
  look: Look | null
  error: unknown
  watchers: number
  /** Called at the next change. */
  readonly waiting: Set<() => void>
  timer: NodeJS.Timeout | null
}

const pollMs = 500
const over = new Set(['completed', 'cancelled', 'failed'])

/** Looks at rotations for those who watch them: once for all who watch the same one. */
export class Watch {
  readonly #find: (id: string) => Promise<WireRotation>
  readonly #watched = new Map<string, Watched>()

  constructor(find: (id: string) => Promise<WireRotation>) {
    this.#find = find
  }

  /** How many watch. */
  get size(): number {
    return [...this.#watched.values()].reduce((sum, { watchers }) => sum + watchers, 0)
  }

  /**
   * Looks at a rotation at each of its changes, until it is over; null at every `quietMs` without one.
   *
   * @param from - the id of the look that is known already: the first one given is another
   */
  async *looks(
    id: string,
    { from, quietMs, signal }: { from: string | null; quietMs: number; signal: AbortSignal },
  ): AsyncGenerator<Look | null> {
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

  #enter(id: string): Watched {
    const there = this.#watched.get(id)
    if (there !== undefined) {
      there.watchers++
      return there
    }
    const watched: Watched = { look: null, error: null, watchers: 1, waiting: new Set(), timer: null }
    this.#watched.set(id, watched)
    void this.#poll(id, watched)
    return watched
  }

  #leave(id: string, watched: Watched): void {
    if (--watched.watchers > 0) return
    if (watched.timer !== null) clearTimeout(watched.timer)
    if (this.#watched.get(id) === watched) this.#watched.delete(id)
  }

  async #poll(id: string, watched: Watched): Promise<void> {
    try {
      const look = lookAt(await this.#find(id))
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
  async #changed(watched: Watched, quietMs: number, signal: AbortSignal): Promise<boolean> {
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
}

function wake({ waiting }: Watched): void {
  for (const waiter of [...waiting]) waiter()
}

/** The certificate of a rotation is made after it is completed, while its lease is still held. */
function lookAt(rotation: WireRotation): Look {
  const facts = createHash('sha256').update(JSON.stringify(rotation)).digest('base64url').slice(0, 12)
  return { id: `${rotation.sequence}-${facts}`, rotation, final: over.has(rotation.state) && !rotation.live }
}
