import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import type { AuditEvent } from '../audit/event.ts'
import { fail, isKeyturnError } from '../errors.ts'
import type { Sql } from '../state/sql.ts'
import { answered } from './answered.ts'
import {
  activate,
  addPending,
  changeState,
  createKeyring,
  markCompromised,
  markRetired,
  nextRevision,
  type Unlocked,
  unlock,
} from './custody.ts'
import { exported } from './exporting.ts'
import { dataKeys } from './key-kind.ts'
import type { KeyVersion } from './key-version.ts'
import type { KeyWrapper } from './key-wrapper.ts'
import type { Keyring } from './keyring.ts'
import type { StoredKeyring } from './keyring-store.ts'
import { MessageBudget } from './message-budget.ts'
import type { OpenedKeyring, OpensUnder, StoredKeyringOptions } from './opened-keyring.ts'
import { addWrappings, dropWrappings, openedAlone, readyToDrop } from './rewrapping.ts'
import { UnknownIds } from './unknown-ids.ts'
import { wakingClock } from './waking-clock.ts'

export type { OpenedKeyring, StoredKeyringOptions } from './opened-keyring.ts'

/** How often a save is tried that others were faster with. */
const TRIES = 20
const RELOAD_PAUSE_MS = 1_000
/** How long the store is waited for. */
const PATIENCE_MS = 10_000
/** How often a keyring is loaded again for an encryption while each answer is too old when it comes. */
const FRESH_TRIES = 5

/**
 * Opens a keyring; makes it with version 1 if it is not there, exactly once however many processes start together.
 *
 * It is loaded again every `refreshMs`. Encryption is refused when the last good load was sent more than twice that ago, so that no
 * process encrypts with a key that others have long replaced. Decryption goes on with what is known. A revision lower than one that
 * this process has seen, another of the same number, and a keyring that was made anew are refused as forged.
 *
 * @throws `ERR_ROOT_KEY` when none of the root keys opens it
 * @throws `ERR_KEYRING_FORGED` when its states are not authentic
 * @throws `ERR_KEYRING_NOT_FOUND` when it is not there, for `readOnly`
 */
export async function openStoredKeyring(options: StoredKeyringOptions): Promise<OpenedKeyring> {
  const monotonicMs = options.monotonicMs ?? wakingClock()
  const sentAt = monotonicMs()
  const unlocked = await unlock(await loadOrCreate(options), options.wrappers, undefined, options.kind)
  const keyring = new RefreshedKeyring({ ...options, monotonicMs }, unlocked, sentAt)
  await keyring.start()
  return keyring
}

async function loadOrCreate(options: StoredKeyringOptions): Promise<StoredKeyring> {
  const { store, name, wrappers, readOnly, kind = dataKeys, first, actor = 'library' } = options
  const firstKind = first === undefined ? kind : { ...kind, create: async () => first() }
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const stored = await store.load(name)
    if (stored !== null) return stored
    if (readOnly) throw fail('ERR_KEYRING_NOT_FOUND', name)
    const created = await createKeyring(name, wrappers[0], await store.now(), firstKind)
    const data = { version: created.versions[0]?.id ?? null, root: wrappers[0].rootId }
    try {
      await store.save(created, { actor, action: 'keyring.create', subject: `keyring/${name}`, data })
    } catch (error) {
      // Another process was faster, or an id was drawn twice: look again.
      if (!isKeyturnError(error, 'ERR_REVISION', 'ERR_KEY_ID_TAKEN')) throw error
    }
  }
  throw fail('ERR_REVISION', name)
}

/** A change of the keyring and its event; null where there is nothing to do. */
interface Change {
  readonly stored: StoredKeyring
  readonly action: string
  readonly data: AuditEvent['data']
  /** Other work of the same transaction, where the store has one. */
  readonly work?: (sql: Sql) => Promise<void>
}

/**
 * Whether a keyring is the one that was known or a later revision of it. One that was deleted and made anew is neither: its keys are
 * others, and what this process would go on encrypting with is kept nowhere any more.
 */
function follows(stored: StoredKeyring, known: StoredKeyring): boolean {
  if (stored.seal.id !== known.seal.id || stored.revision < known.revision) return false
  return stored.revision > known.revision || Buffer.compare(stored.mac, known.mac) === 0
}

class RefreshedKeyring implements OpenedKeyring {
  readonly name: string
  readonly #options: StoredKeyringOptions & { readonly monotonicMs: () => number }
  readonly #refreshMs: number
  readonly #budget: MessageBudget
  readonly #unknown = new UnknownIds()
  #unlocked: Unlocked
  /** When the last good load was sent; a slow answer is not fresher than its question. */
  #goodAt: number
  #sentAt: number
  #loading: Promise<Keyring> | null = null
  /** Why the last load failed; null where it did not. */
  #failure: { readonly error: unknown } | null = null
  #timer: NodeJS.Timeout | undefined

  constructor(options: StoredKeyringOptions & { readonly monotonicMs: () => number }, unlocked: Unlocked, sentAt: number) {
    this.name = options.name
    this.#options = options
    this.#refreshMs = options.refreshMs ?? 5_000
    this.#budget = new MessageBudget(options.store, options.name, options.patienceMs ?? PATIENCE_MS)
    this.#unlocked = unlocked
    this.#goodAt = sentAt
    this.#sentAt = sentAt
  }

  async start(): Promise<void> {
    await this.#prepare(this.#unlocked.keyring.active.id)
    // A refresh that fails is tried again; meanwhile the age grows, and `spend` says so.
    this.#timer = setInterval(() => this.reload().catch(() => {}), this.#refreshMs)
    this.#timer.unref()
  }

  get snapshot(): Keyring {
    return this.#unlocked.keyring
  }

  get stored(): StoredKeyring {
    return this.#unlocked.stored
  }

  get ageMs(): number {
    return this.#options.monotonicMs() - this.#goodAt
  }

  spend(messages: number): KeyVersion {
    const { ageMs } = this
    if (ageMs > 2 * this.#refreshMs) throw fail('ERR_KEYRING_STALE', this.name, Math.round(ageMs))
    const { active } = this.snapshot
    this.#budget.spend(active.id, messages)
    return active
  }

  async reserve(messages: number): Promise<void> {
    // After a long sleep of the machine or the event loop the timer has not run yet, and what a busy one has asked is old when the answer
    // comes: it is asked again while there are answers. What fails here is said by `spend`.
    for (let tries = 1; ; tries++) {
      const isFresh = this.ageMs <= 2 * this.#refreshMs || (await this.reload().then(Boolean, () => false))
      await this.#budget.reserve(this.snapshot.active.id, messages)
      if (!isFresh || this.ageMs <= 2 * this.#refreshMs || tries === FRESH_TRIES) return
    }
  }

  async reload(unknownId?: string): Promise<Keyring> {
    if (unknownId === undefined) return this.#load()
    const now = this.#options.monotonicMs()
    const known = this.snapshot.get(unknownId) !== undefined
    if (known || this.#unknown.has(unknownId, now)) return this.snapshot
    // No reader needs a load less than one interval old: a version is pending for twice that before anything is written with it.
    if (this.#loading === null && now - this.#sentAt < Math.min(RELOAD_PAUSE_MS, this.#refreshMs)) {
      // That load told nothing: the id is not unknown, and whoever asks must not take its value for lost.
      if (this.#failure !== null) throw this.#failure.error
      return this.snapshot
    }
    const keyring = await this.#load()
    if (keyring.get(unknownId) === undefined) this.#unknown.add(unknownId, this.#options.monotonicMs())
    else this.#unknown.delete(unknownId)
    return keyring
  }

  close(): void {
    clearInterval(this.#timer)
  }

  async addPendingVersion(): Promise<string> {
    let id = ''
    await this.#save(async (unlocked, now) => {
      const added = await addPending(unlocked, this.#options.wrappers, now, this.#options.kind)
      id = added.id
      return { stored: added.stored, action: 'version.create', data: { version: id, number: added.stored.versions.length } }
    })
    return id
  }

  async activateVersion(id: string): Promise<void> {
    await this.#save(async (unlocked, now) => {
      const before = unlocked.keyring.active.id
      if (before === id) return null
      const state = unlocked.keyring.get(id)?.state
      // Whoever slept over a later rotation would bring back the key that it replaced.
      if (state !== undefined && state !== 'pending') throw fail('ERR_KEY_STATE', this.name, id, state, 'active')
      return { stored: activate(unlocked, id, now), action: 'version.activate', data: { version: id, before } }
    })
  }

  async returnTo(id: string, from: string): Promise<void> {
    await this.#save(async (unlocked, now) => {
      const before = unlocked.keyring.active.id
      if (before === id) return null
      if (before !== from) throw fail('ERR_KEY_STATE', this.name, from, unlocked.keyring.get(from)?.state ?? 'unknown', 'retiring')
      return { stored: activate(unlocked, id, now), action: 'version.activate', data: { version: id, before, back: true } }
    })
  }

  async retireVersion(id: string, data: AuditEvent['data'], compromised = false, guard = async (_within?: Sql) => {}): Promise<void> {
    await this.#save(async (unlocked, now) => {
      const again = unlocked.keyring.get(id)?.state === 'retired'
      const retired = () => (compromised ? markRetired(unlocked, id, now) : changeState(unlocked, id, 'retired', now))
      const proved = () => (compromised ? markCompromised(unlocked, id) : nextRevision(unlocked, unlocked.stored.versions))
      const stored = again ? proved() : retired()
      if (this.#options.store.saveWith === undefined) await guard()
      return { stored, action: again ? 'version.fence' : 'version.retire', data: { ...data, version: id }, work: guard }
    })
  }

  async unretireVersion(id: string, drop: (within?: Sql) => Promise<void>): Promise<void> {
    await this.#takeDown(id, drop, true)
  }

  async unfenceVersion(id: string, drop: (within?: Sql) => Promise<void>): Promise<void> {
    await this.#takeDown(id, drop, false)
  }

  // Also where the state stays, there is a new revision: whoever has proved the retirement meanwhile has to look again.
  async #takeDown(id: string, drop: (within?: Sql) => Promise<void>, retiredToo: boolean): Promise<void> {
    let done = false
    await this.#save(async (unlocked, now) => {
      const retiring = unlocked.keyring.get(id)?.state === 'retiring'
      done = !retiring && !retiredToo
      if (done) return null
      const stored = retiring ? nextRevision(unlocked, unlocked.stored.versions) : changeState(unlocked, id, 'retiring', now)
      const work = async (sql: Sql) => {
        await drop(sql)
        done = true
      }
      return { stored, action: retiring ? 'version.unfence' : 'version.unretire', data: { version: id }, work }
    })
    if (!done) await drop()
  }

  async destroyVersion(id: string): Promise<void> {
    await this.#save(async (unlocked, now) => {
      if (unlocked.keyring.get(id)?.state === 'destroyed') return null
      return { stored: changeState(unlocked, id, 'destroyed', now), action: 'version.destroy', data: { version: id } }
    })
  }

  async rewrap({ drop, under }: { readonly drop?: string; readonly under?: KeyWrapper } = {}) {
    const wrapper = under ?? this.#options.wrappers[0]
    const { rootId: root } = wrapper
    if (drop === root) throw fail('ERR_USAGE', `the root key ${root} wraps the keys; it cannot be dropped. Put another one first`)
    let added = 0
    await this.#save(async (unlocked, now) => {
      const change = await addWrappings(unlocked, wrapper, now)
      added = change?.count ?? 0
      return change && { stored: change.stored, action: 'keyring.rewrap', data: { root, added } }
    })
    const dropped = drop === undefined ? 0 : await this.#drop(drop, added > 0, [wrapper, ...this.#options.wrappers])
    const keys = [this.stored.seal, ...this.stored.versions]
    return { added, dropped, roots: [...new Set(keys.flatMap(({ wrappings }) => wrappings.map(({ rootId }) => rootId)))].sort() }
  }

  async opensUnder(wrapper: KeyWrapper): Promise<OpensUnder> {
    const { store, patienceMs = PATIENCE_MS, kind } = this.#options
    const stored = await answered(store.load(this.name), patienceMs, `loading keyring "${this.name}"`)
    if (stored === null) throw fail('ERR_KEYRING_NOT_FOUND', this.name)
    const found = await openedAlone(stored, wrapper)
    // As a process would that has no other root: also the states are authentic.
    if (found.opened === found.keys) await unlock(stored, [wrapper], undefined, kind)
    return found
  }

  async exportUnder(wrapper: KeyWrapper): Promise<StoredKeyring> {
    return await exported(this.#unlocked, wrapper, await this.#options.store.now())
  }

  async #drop(drop: string, justAdded: boolean, wrappers: readonly KeyWrapper[]): Promise<number> {
    const { store } = this.#options
    const quietMs = 2 * this.#refreshMs
    const ready = readyToDrop(this.#unlocked, drop, wrappers).getTime() + quietMs - (await store.now()).getTime()
    // What this call added was committed later than its date says.
    await sleep(Math.max(0, justAdded ? quietMs : Math.min(ready, quietMs)))
    let dropped = 0
    await this.#save(async (unlocked, now) => {
      const change = await dropWrappings(unlocked, drop, { wrappers, addedUntil: new Date(now.getTime() - quietMs) })
      dropped = change?.count ?? 0
      return change && { stored: change.stored, action: 'keyring.drop-root', data: { root: drop, dropped } }
    })
    return dropped
  }

  /** Loads, changes, saves with the event; again from the start when another process was faster or an id was drawn twice. */
  async #save(change: (unlocked: Unlocked, now: Date) => Promise<Change | null>): Promise<void> {
    const { store, actor = 'library', wrappers } = this.#options
    for (let attempt = 0; attempt < TRIES; attempt++) {
      await this.#load()
      const from = this.#unlocked
      const next = await change(from, await store.now())
      if (next === null) return
      try {
        const { action, data, work } = next
        const event = { actor, action, subject: `keyring/${this.name}`, data: { ...data, revision: next.stored.revision } }
        if (work !== undefined && store.saveWith !== undefined) await store.saveWith(next.stored, event, work)
        else await store.save(next.stored, event)
      } catch (error) {
        if (!isKeyturnError(error, 'ERR_REVISION', 'ERR_KEY_ID_TAKEN')) throw error
        continue
      }
      return this.#adopt(await unlock(next.stored, wrappers, from, this.#options.kind))
    }
    throw fail('ERR_REVISION', this.name)
  }

  #load(): Promise<Keyring> {
    if (this.#loading === null) {
      this.#loading = this.#loadNow().finally(() => {
        this.#loading = null
      })
      const note = (failure: { readonly error: unknown } | null) => {
        this.#failure = failure
      }
      this.#loading.then(
        () => note(null),
        (error: unknown) => note({ error }),
      )
    }
    return this.#loading
  }

  async #loadNow(): Promise<Keyring> {
    const { store, wrappers, monotonicMs, kind, patienceMs = PATIENCE_MS } = this.#options
    const known = this.#unlocked
    const sentAt = monotonicMs()
    this.#sentAt = sentAt
    const stored = await answered(store.load(this.name), patienceMs, `loading keyring "${this.name}"`)
    if (stored === null) throw fail('ERR_KEYRING_NOT_FOUND', this.name)
    // Compared with what was known when the question was sent: a save of our own may have overtaken the answer.
    if (!follows(stored, known.stored)) throw fail('ERR_KEYRING_FORGED', this.name)
    await this.#adopt(await unlock(stored, wrappers, known, kind))
    this.#goodAt = Math.max(this.#goodAt, sentAt)
    return this.snapshot
  }

  async #adopt(next: Unlocked): Promise<void> {
    const { revision } = this.#unlocked.stored
    if (next.stored.revision < revision) return
    if (next.keyring.active.id !== this.snapshot.active.id) await this.#prepare(next.keyring.active.id)
    // A later one may have come while the messages were reserved.
    if (next.stored.revision <= this.#unlocked.stored.revision) return
    this.#unlocked = next
  }

  /** Reserves messages before a version is used, so that `spend` works at once. What fails is raised by `reserve`. */
  async #prepare(versionId: string): Promise<void> {
    const { readOnly, kind = dataKeys } = this.#options
    if (!readOnly && kind.counted) await this.#budget.reserve(versionId, 1).catch(() => {})
  }

  toJSON(): object {
    return { keyring: this.snapshot }
  }

  [inspect.custom](): string {
    return `StoredKeyring { ${inspect(this.snapshot)} }`
  }
}
