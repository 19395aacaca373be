import { beforeAll, describe, expect, test } from 'vitest'
import { type LoggedEvent, verifyChain } from '../../packages/core/src/audit/chain.ts'
import local from '../../packages/core/src/key-wrappers/local.ts'
import { activate, addPending, changeState, createKeyring, markCompromised, unlock } from '../../packages/core/src/keyring/custody.ts'
import type { KeyringStore, StoredKeyring } from '../../packages/core/src/keyring/keyring-store.ts'
import { addWrappings, dropWrappings } from '../../packages/core/src/keyring/rewrapping.ts'
import type { Sql } from '../../packages/core/src/state/sql.ts'

/** A store and a way to its audit chain. */
export interface StoreUnderTest {
  readonly store: KeyringStore
  events(): Promise<LoggedEvent[]>
}

const root = local({ key: '1a'.repeat(32) })
const other = local({ key: '2b'.repeat(32) })
const must = <T>(value: T | null | undefined): T => {
  if (value === null || value === undefined) throw new Error('the test expected something here')
  return value
}
const idOf = ({ versions }: StoredKeyring) => must(versions[0]).id
const event = (action: string, subject = 'keyring/x') => ({ actor: 'library', action, subject, data: { why: 'conformance' } })

/** What every keyring store keeps. One call in the test of each store. */
export function conformsToKeyringStore(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`${name} keeps keyrings`, () => {
    let store: KeyringStore
    let events: StoreUnderTest['events']
    beforeAll(async () => {
      ;({ store, events } = await open())
    })
    let made = 0
    const fresh = async () => {
      const keyring = await createKeyring(`ring-${++made}`, root, new Date())
      await store.save(keyring, event('keyring.create'))
      return keyring
    }
    const saved = async (keyring: StoredKeyring, action = 'keyring.change') => {
      await store.save(keyring, event(action))
      return unlock(must(await store.load(keyring.name)), [root, other])
    }

    test('work of the same transaction is undone where the save is refused, and the save where the work fails', async () => {
      if (store.saveWith === undefined) return
      const created = await fresh()
      const unlocked = await unlock(created, [root])
      const { stored } = await addPending(unlocked, [root], new Date())
      const work = async (sql: Sql) => void (await sql.query('CREATE TABLE work_of_the_same_transaction ()'))
      const broken = async () => {
        throw new Error('not this time')
      }
      await expect(store.saveWith(stored, event('version.create'), broken)).rejects.toThrow('not this time')
      expect(await store.load(created.name)).toEqual(created)
      await expect(store.saveWith({ ...stored, revision: 7 }, event('version.create'), work)).rejects.toMatchObject({
        code: 'ERR_REVISION',
      })
      // Had it stayed, it could not be made again.
      await store.saveWith(stored, event('version.create'), work)
      expect(await store.load(created.name)).toEqual(stored)
    })

    test('a keyring comes back as it was saved, through all states of its versions', async () => {
      const created = await fresh()
      expect(await store.load(created.name)).toEqual(created)
      let unlocked = await unlock(created, [root])
      const pending = await addPending(unlocked, [root], new Date())
      unlocked = await saved(pending.stored)
      expect(unlocked.stored).toEqual(pending.stored)
      const steps: ((now: Date) => StoredKeyring)[] = [
        (now) => activate(unlocked, pending.id, now),
        () => markCompromised(unlocked, idOf(created)),
        (now) => changeState(unlocked, idOf(created), 'retired', now),
        (now) => changeState(unlocked, idOf(created), 'destroyed', now),
      ]
      for (const step of steps) {
        const next = step(new Date())
        unlocked = await saved(next)
        expect(unlocked.stored).toEqual(next)
      }
      expect(unlocked.stored.versions[0]).toMatchObject({ state: 'destroyed', compromised: true, wrappings: [] })
    })

    test('a keyring that is not there is null, and those that are there are listed', async () => {
      const { name: known } = await fresh()
      expect(await store.load('no such keyring')).toBeNull()
      expect(await store.load('__proto__')).toBeNull()
      expect(await store.list()).toContain(known)
    })

    test('a save on an older revision is refused and leaves nothing, no event either', async () => {
      const created = await fresh()
      const unlocked = await unlock(created, [root])
      const first = await addPending(unlocked, [root], new Date())
      const second = await addPending(unlocked, [root], new Date())
      await store.save(first.stored, event('version.create'))
      const before = (await events()).length
      await expect(store.save(second.stored, event('version.create'))).rejects.toMatchObject({ code: 'ERR_REVISION' })
      await expect(store.save(created, event('keyring.create'))).rejects.toMatchObject({ code: 'ERR_REVISION' })
      await expect(store.save({ ...second.stored, revision: 7 }, event('version.create'))).rejects.toMatchObject({ code: 'ERR_REVISION' })
      expect(await store.load(created.name)).toEqual(first.stored)
      expect((await events()).length).toBe(before)
    })

    test('of many that save at once, one succeeds', async () => {
      const unlocked = await unlock(await fresh(), [root])
      const rivals = await Promise.all(Array.from({ length: 5 }, () => addPending(unlocked, [root], new Date())))
      const results = await Promise.allSettled(rivals.map(({ stored }) => store.save(stored, event('version.create'))))
      expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
      for (const result of results) if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'ERR_REVISION' })
    })

    test('an id that another keyring has is refused, and leaves nothing', async () => {
      const created = await fresh()
      const unlocked = await unlock(await fresh(), [root])
      const { stored } = await addPending(unlocked, [root], new Date())
      const versions = stored.versions.map((version) => (version.number === 2 ? { ...version, id: idOf(created) } : version))
      await expect(store.save({ ...stored, versions }, event('version.create'))).rejects.toMatchObject({ code: 'ERR_KEY_ID_TAKEN' })
      expect((await store.load(stored.name))?.revision).toBe(1)
      expect(await store.load(created.name)).toEqual(created)
      const twin = await createKeyring('twin', root, new Date())
      await expect(store.save({ ...twin, seal: created.seal }, event('keyring.create'))).rejects.toMatchObject({ code: 'ERR_KEY_ID_TAKEN' })
      expect(await store.load('twin')).toBeNull()
    })

    test('an id that another version of the same keyring has is refused', async () => {
      const created = await fresh()
      const { stored } = await addPending(await unlock(created, [root]), [root], new Date())
      const versions = stored.versions.map((version) => (version.number === 2 ? { ...version, id: idOf(created) } : version))
      await expect(store.save({ ...stored, versions: versions.slice(1) }, event('version.create'))).rejects.toMatchObject({
        code: 'ERR_KEY_ID_TAKEN',
      })
      expect(await store.load(created.name)).toEqual(created)
    })

    test('wrappings are added and deleted, with the time at which each was added', async () => {
      const created = await fresh()
      const later = new Date(Date.now() + 1000)
      const added = await addWrappings(await unlock(created, [root]), other, later)
      const both = await saved(must(added).stored)
      expect(both.stored).toEqual(must(added).stored)
      expect(both.stored.seal.wrappings.map(({ rootId }) => rootId)).toEqual([root.rootId, other.rootId])
      const dropped = await dropWrappings(both, root.rootId, { wrappers: [other], addedUntil: later })
      const one = await saved(must(dropped).stored)
      expect(one.stored.versions[0]?.wrappings.map(({ rootId }) => rootId)).toEqual([other.rootId])
      await unlock(must(await store.load(created.name)), [other])
    })

    test('message counts add up however many reserve at once, and survive a save', async () => {
      const created = await fresh()
      const id = idOf(created)
      const counts = await Promise.all(Array.from({ length: 8 }, () => store.reserve(created.name, id, 1024)))
      expect(counts.sort((a, b) => a - b)).toEqual(Array.from({ length: 8 }, (_, n) => 1024 * (n + 1)))
      await saved((await addPending(await unlock(created, [root]), [root], new Date())).stored)
      const messages = await store.messages(created.name)
      expect(messages.get(id)).toBe(8192)
      expect([...messages.values()].sort()).toEqual([0, 8192])
    })

    test('a key bears 2^32 messages and not one more', async () => {
      const created = await fresh()
      const id = idOf(created)
      expect(await store.reserve(created.name, id, 2 ** 32 - 1)).toBe(2 ** 32 - 1)
      await expect(store.reserve(created.name, id, 2)).rejects.toMatchObject({ code: 'ERR_KEY_EXHAUSTED' })
      expect(await store.reserve(created.name, id, 1)).toBe(2 ** 32)
      await expect(store.reserve(created.name, id, 1)).rejects.toMatchObject({ code: 'ERR_KEY_EXHAUSTED' })
      expect((await store.messages(created.name)).get(id)).toBe(2 ** 32)
    })

    test('a version that is not there has no count', async () => {
      const created = await fresh()
      await expect(store.reserve(created.name, 'aaaqeaye', 1)).rejects.toMatchObject({ code: 'ERR_KEY_NOT_FOUND' })
      await expect(store.reserve('no such keyring', idOf(created), 1)).rejects.toMatchObject({ code: 'ERR_KEY_NOT_FOUND' })
    })

    test('each save is one event of an intact chain', async () => {
      const before = (await events()).length
      const created = await fresh()
      await saved((await addPending(await unlock(created, [root]), [root], new Date())).stored, 'version.create')
      const all = await events()
      expect(all.slice(before).map(({ action }) => action)).toEqual(['keyring.create', 'version.create'])
      expect(verifyChain(all)).toMatchObject({ intact: true })
    })

    test('the clock goes on', async () => {
      const before = await store.now()
      expect((await store.now()).getTime()).toBeGreaterThanOrEqual(before.getTime())
      expect(Math.abs(before.getTime() - Date.now())).toBeLessThan(3_600_000)
    })

    test('nothing that is stored shows a key', async () => {
      const created = await fresh()
      const unlocked = await unlock(created, [root])
      const printed = JSON.stringify([await store.load(created.name), unlocked.keyring, unlocked.seal]) + JSON.stringify(await events())
      for (const material of [unlocked.seal, must(unlocked.keyring.active.material)]) {
        const key = material.exportPlaintextKey()
        for (const form of ['hex', 'base64', 'base64url'] as const) expect(printed).not.toContain(key.toString(form).slice(0, 40))
      }
    })
  })
}
