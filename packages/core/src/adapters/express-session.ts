import type { KeySource } from '../with-fresh-keys.ts'
import { type CallbackStore, encryptedStore } from './sessions/callback-store.ts'
import type { SessionOptions } from './sessions/sealer.ts'

export type { RefusedSession } from './sessions/refusals.ts'
export type { SessionOptions } from './sessions/sealer.ts'

/**
 * A store of express-session whose sessions are encrypted: connect-redis or any other of its shape, with any prefix.
 *
 * - `set` seals the fields, or with `record` the whole session; `get` opens them. `touch` and `destroy` are the store's own: a touch
 *   rewrites nothing.
 * - A record that does not open, or is none of ours, is no session, as if it were not there, and is told of once.
 * - What is wrong with the keys is an error of the request: it must not log everybody out.
 * - Values bound to their key open in their own session only. The pattern of the field is then the store's prefix and a star.
 *
 * @param keyturn - the opened configuration; null in development without a key: then nothing is encrypted (`ERR_KEY_MISSING` in production)
 * @returns the same store; give it to `session({ store })`
 * @throws `ERR_USAGE` for fields that cannot stand in a session
 */
export default function expressSession<S extends CallbackStore>(keyturn: KeySource | null, store: S, options: SessionOptions = {}): S {
  return encryptedStore(store, keyturn, options)
}
