import type { KeySource } from '../with-fresh-keys.ts'
import { assertDevelopment } from './sessions/development.ts'
import { Sealer, type SessionOptions, type SessionRecord } from './sessions/sealer.ts'
import { Turns } from './sessions/turns.ts'

export type { RefusedSession } from './sessions/refusals.ts'
export type { SessionOptions, SessionRecord } from './sessions/sealer.ts'

/** Where records are kept, as text: a client of Redis with a prefix, or anything else. */
export interface TextStore {
  get(sid: string): Promise<string | null | undefined>
  /** @param ttlSeconds - how long it lives; as the store has it unless given */
  set(sid: string, text: string, ttlSeconds?: number): Promise<unknown>
  destroy(sid: string): Promise<unknown>
  /** Lengthens the life of a record without writing it. */
  touch(sid: string, ttlSeconds?: number): Promise<unknown>
}

/** Sessions of an application without a framework for them. */
export interface SessionStore {
  /** Null where there is none, and where it does not open: that is told of once, and nobody can tell the two apart. */
  get(sid: string): Promise<SessionRecord | null>
  set(sid: string, session: SessionRecord, ttlSeconds?: number): Promise<void>
  destroy(sid: string): Promise<void>
  /** Rewrites nothing. */
  touch(sid: string, ttlSeconds?: number): Promise<void>
}

/**
 * Encrypted sessions over any store of text.
 *
 * @param keyturn - the opened configuration; null in development without a key: then records are plain JSON (`ERR_KEY_MISSING` in production)
 * @throws `ERR_USAGE` for fields that cannot stand in a session
 */
export default function sessionStore(keyturn: KeySource | null, store: TextStore, options: SessionOptions = {}): SessionStore {
  if (keyturn === null) assertDevelopment()
  const sealer = keyturn === null ? null : new Sealer(keyturn, options)
  const turns = new Turns()
  return {
    get: async (sid) => {
      await turns.before(sid)
      const text = await store.get(sid)
      if (text === null || text === undefined) return null
      const record = parsed(text)
      if (sealer !== null) return record === undefined ? refused(sealer, sid) : await sealer.open(sid, record)
      return typeof record === 'object' && record !== null ? (record as SessionRecord) : null
    },
    set: async (sid, session, ttlSeconds) => {
      if (sealer === null) return void (await store.set(sid, JSON.stringify(session), ttlSeconds))
      let set: Promise<unknown> | null = null
      await turns.write(sid, sealer.seal(sid, session), (sealed) => {
        set = store.set(sid, JSON.stringify(sealed), ttlSeconds)
        // Awaited below; until then a failure must not end the process.
        set.catch(() => {})
      })
      await set
    },
    destroy: async (sid) => {
      turns.destroy(sid)
      await store.destroy(sid)
    },
    touch: async (sid, ttlSeconds) => {
      await turns.before(sid)
      await store.touch(sid, ttlSeconds)
    },
  }
}

function refused(sealer: Sealer, sid: string): null {
  sealer.refuse(sid)
  return null
}

/** Undefined for what is no JSON. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
