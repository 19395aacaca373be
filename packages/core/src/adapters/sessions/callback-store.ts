import { fail } from '../../errors.ts'
import type { KeySource } from '../../with-fresh-keys.ts'
import { assertDevelopment } from './development.ts'
import { Sealer, type SessionOptions, type SessionRecord } from './sealer.ts'
import { Turns } from './turns.ts'

/** What a store calls at the end. */
// biome-ignore lint/suspicious/noExplicitAny: stores differ in what they call a session, and in whether there may be none.
type Callback = (error?: any, result?: any) => void

/** A store of express-session or @fastify/session, by its shape: connect-redis is one. */
export interface CallbackStore {
  get(sid: string, callback: Callback): unknown
  // biome-ignore lint/suspicious/noExplicitAny: as above
  set(sid: string, session: any, callback?: Callback): unknown
  destroy(sid: string, callback?: Callback): unknown
  // biome-ignore lint/suspicious/noExplicitAny: as above
  touch?(sid: string, session: any, callback?: Callback): unknown
  all?(callback: Callback): unknown
}

/** Members of a store that are asked of it and of no other object: it may keep private what they need. */
const forwarded = ['length', 'clear', 'ids'] as const

/**
 * The same store, whose sessions are encrypted. It has everything of the one inside, events and additions of a library included.
 *
 * @param keyturn - null: nothing is encrypted, for development without a key
 */
export function encryptedStore<S extends CallbackStore>(store: S, keyturn: KeySource | null, options: SessionOptions): S {
  if (keyturn === null) {
    assertDevelopment()
    return store
  }
  const sealer = new Sealer(keyturn, options)
  const turns = new Turns()
  const outer = Object.create(store) as S & Record<string, unknown>
  /** At once, unless a write of this session has yet to be sent. */
  const inTurn = (sid: string, work: () => unknown) => {
    const before = turns.before(sid)
    return before === null ? work() : void before.then(() => process.nextTick(work))
  }
  const methods: Record<string, unknown> = {
    get: (sid: string, callback: Callback) =>
      inTurn(sid, () =>
        store.get(sid, (error, session) => {
          if (isNoRecord(error)) {
            sealer.refuse(sid)
            return callback(null, null)
          }
          if (error || session == null) return callback(error, session)
          told(sealer.open(sid, session), callback)
        }),
      ),
    set: (sid: string, session: SessionRecord, callback: Callback = ignored) => {
      const later: Callback = (...given) => process.nextTick(callback, ...given)
      turns
        .write(sid, sealer.seal(sid, session), (sealed) => void store.set(sid, sealed, later))
        .then(
          (written) => written || process.nextTick(callback, null),
          (error: unknown) => process.nextTick(callback, error),
        )
    },
    destroy: (sid: string, callback: Callback = ignored) => {
      turns.destroy(sid)
      return store.destroy(sid, callback)
    },
  }
  if (typeof store.touch === 'function') {
    // Only the cookie is handed on: a store that kept what it is given would keep it in the clear.
    methods.touch = (sid: string, { cookie }: SessionRecord, callback: Callback = ignored) =>
      inTurn(sid, () => store.touch?.(sid, { cookie }, callback))
  }
  if (typeof store.all === 'function') methods.all = (callback: Callback) => all(store, sealer, callback)
  for (const name of forwarded) {
    const member = (store as Record<string, unknown>)[name]
    if (typeof member === 'function') methods[name] = member.bind(store)
  }
  return Object.assign(outer, methods)
}

const ignored: Callback = () => {}

/** Calls back outside of the promise: what the callback throws is the application's and must not call it twice. */
function told(work: Promise<unknown>, callback: Callback): void {
  work.then(
    (result) => process.nextTick(callback, null, result),
    (error: unknown) => process.nextTick(callback, error),
  )
}

/** Whether a store failed because another application wrote there: no JSON, or no text at all. What it says would quote the record. */
function isNoRecord(error: unknown): boolean {
  return error instanceof SyntaxError || (error instanceof Error && error.message.startsWith('WRONGTYPE'))
}

/** All sessions that open: as a list, in which each says its id, or by their ids. */
function all(store: CallbackStore, sealer: Sealer, callback: Callback): void {
  store.all?.((error, sessions: unknown) => {
    if (isNoRecord(error)) return callback(fail('ERR_DOCUMENT', sealer.name))
    if (error || typeof sessions !== 'object' || sessions === null) return callback(error, sessions)
    const listed = Array.isArray(sessions)
    const entries = Object.entries(sessions as Record<string, SessionRecord>)
    const opened = entries.map(async ([name, { id = name, ...record }]) => {
      const found = await sealer.open(String(id), record)
      return found === null ? [] : [[id, listed ? { ...found, id } : found] as const]
    })
    told(
      Promise.all(opened).then((found) => (listed ? found.flat().map(([, session]) => session) : Object.fromEntries(found.flat()))),
      callback,
    )
  })
}
