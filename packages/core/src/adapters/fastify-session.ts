import type { KeySource } from '../with-fresh-keys.ts'
import { type CallbackStore, encryptedStore } from './sessions/callback-store.ts'
import type { SessionOptions } from './sessions/sealer.ts'

export type { RefusedSession } from './sessions/refusals.ts'
export type { SessionOptions } from './sessions/sealer.ts'

/**
 * A store of @fastify/session whose sessions are encrypted: connect-redis or any other of its shape, with any prefix. As the adapter
 * `express-session`. With `rolling`, which is @fastify/session's default, every answer saves its session anew.
 *
 * @param keyturn - the opened configuration; null in development without a key: then nothing is encrypted (`ERR_KEY_MISSING` in production)
 * @returns the same store; give it to `fastify.register(fastifySession, { store })`
 * @throws `ERR_USAGE` for fields that cannot stand in a session
 */
export default function fastifySession<S extends CallbackStore>(keyturn: KeySource | null, store: S, options: SessionOptions = {}): S {
  return encryptedStore(store, keyturn, options)
}
