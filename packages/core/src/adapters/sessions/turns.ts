/** A write of a session that is being sealed. */
interface Turn {
  /** It was destroyed after this write was asked for: nothing is written, or a logout would be undone. */
  destroyed: boolean
  over: Promise<unknown>
}

/**
 * What is done with one session, in the order in which it was asked for. A store sends its commands as it is called; sealing takes time,
 * in which a destruction, or a later write with less to seal, would overtake a write.
 */
export class Turns {
  readonly #last = new Map<string, Turn>()
  readonly #pending = new Map<string, Set<Turn>>()

  /** Resolves once every write of this session that was asked for is under way; null where none is waited for. */
  before(sid: string): Promise<unknown> | null {
    return this.#last.get(sid)?.over ?? null
  }

  /** Writes what `sealing` comes to, after the writes before it. @returns false where the session was destroyed meanwhile */
  async write<T>(sid: string, sealing: Promise<T>, write: (sealed: T) => void): Promise<boolean> {
    const before = this.before(sid)
    const turn: Turn = { destroyed: false, over: Promise.resolve() }
    // Both are waited for, whatever becomes of either.
    const done = Promise.allSettled([sealing, before]).then(([sealed]) => {
      if (sealed.status === 'rejected') throw sealed.reason
      if (!turn.destroyed) write(sealed.value)
      return !turn.destroyed
    })
    turn.over = done.catch(() => {})
    const pending = this.#pending.get(sid) ?? new Set()
    this.#pending.set(sid, pending.add(turn))
    this.#last.set(sid, turn)
    try {
      return await done
    } finally {
      pending.delete(turn)
      if (pending.size === 0 && this.#pending.get(sid) === pending) this.#pending.delete(sid)
      if (this.#last.get(sid) === turn) this.#last.delete(sid)
    }
  }

  /** Writes that are not under way are none any more; nobody waits for them. */
  destroy(sid: string): void {
    for (const turn of this.#pending.get(sid) ?? []) turn.destroyed = true
    this.#pending.delete(sid)
    this.#last.delete(sid)
  }
}
