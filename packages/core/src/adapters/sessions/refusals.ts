import { createHmac, randomBytes } from 'node:crypto'
import type { ErrorCode } from '../../errors.ts'

/** A session that is in the store and is none: whoever sends its id is not logged in, as with an id that is not there. */
export interface RefusedSession {
  readonly event: 'session-refused'
  readonly field: string
  /** Tells sessions apart, for the life of this process. Never the id. */
  readonly session: string
  readonly reason: ErrorCode
}
export type RefusedListener = (event: RefusedSession) => void

/** Sessions that are remembered as told of. */
const remembered = 1_000

/** Tells of each refused session once: who sends its id again and again fills no log. */
export class Refusals {
  readonly #listener: RefusedListener
  readonly #key = randomBytes(32)
  readonly #told = new Set<string>()

  constructor(listener: RefusedListener = warn) {
    this.#listener = listener
  }

  note(field: string, sid: string, reason: ErrorCode): void {
    const session = `hmac:${createHmac('sha256', this.#key).update(sid).digest('hex').slice(0, 16)}`
    if (this.#told.has(session)) return
    if (this.#told.size >= remembered) this.#told.delete(this.#told.values().next().value as string)
    this.#told.add(session)
    try {
      this.#listener(Object.freeze({ event: 'session-refused', field, session, reason }))
    } catch {
      // What the listener throws is its own affair: the request goes on without a session.
    }
  }
}

function warn({ field, session, reason }: RefusedSession): void {
  process.emitWarning(`a session of field "${field}" does not open and counts as none (${session}, ${reason})`, { type: 'KeyturnWarning' })
}
