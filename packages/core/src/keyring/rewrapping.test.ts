import { beforeAll, describe, expect, test } from 'vitest'
import { newRoot, oldRoot, useKeyrings } from '../../../../test/harness/keyrings.ts'
import { unlock } from './custody.ts'
import type { KeyringStore } from './keyring-store.ts'
import { addWrappings, dropWrappings } from './rewrapping.ts'

const world = useKeyrings()
const { open, newName, actionsOf } = world
let store: KeyringStore
beforeAll(() => {
  ;({ store } = world)
})

describe('moving the root', () => {
  test('adds wrappings, waits, drops the old ones; every step can be opened, also after a crash in between', async () => {
    const name = newName()
    const old = await open(name)
    await old.activateVersion(await old.addPendingVersion())
    const moving = await open(name, { wrappers: [newRoot, oldRoot], refreshMs: 50 })
    const both = [newRoot.rootId, oldRoot.rootId].sort()
    expect(await moving.rewrap()).toEqual({ added: 3, dropped: 0, roots: both })
    for (const wrapper of [oldRoot, newRoot]) await open(name, { wrappers: [wrapper] })
    expect(await moving.rewrap()).toEqual({ added: 0, dropped: 0, roots: both })
    const wrapped = moving.stored.versions.map(({ wrappings }) => wrappings)
    expect(await moving.rewrap({ drop: oldRoot.rootId })).toEqual({ added: 0, dropped: 3, roots: [newRoot.rootId] })
    expect(moving.stored.versions.map(({ wrappings }) => wrappings)).toEqual(
      wrapped.map((list) => list.filter(({ rootId }) => rootId === newRoot.rootId)),
    )
    await expect(open(name, { wrappers: [oldRoot] })).rejects.toMatchObject({ code: 'ERR_ROOT_KEY' })
    expect((await open(name, { wrappers: [newRoot] })).snapshot.active.material!.equals(old.snapshot.active.material!)).toBe(true)
    expect(await actionsOf(name)).toEqual(['keyring.create', 'version.create', 'version.activate', 'keyring.rewrap', 'keyring.drop-root'])
  })

  test('a wrapping that somebody planted under the new root is made anew, and not taken for one', async () => {
    const name = newName()
    const old = await open(name)
    const { id } = old.snapshot.active
    await world.state.query(
      'INSERT INTO keyturn.key_wrapping (id, root_id, wrapped, added_at) VALUES ($1::text, $2::text, $3::text::bytea, now())',
      [id, newRoot.rootId, `\\x${'00'.repeat(61)}`],
    )
    const moving = await open(name, { wrappers: [newRoot, oldRoot], refreshMs: 20 })
    expect(await moving.rewrap()).toMatchObject({ added: 2 })
    expect(await moving.rewrap({ drop: oldRoot.rootId })).toMatchObject({ dropped: 2 })
    expect((await open(name, { wrappers: [newRoot] })).snapshot.active.material!.equals(old.snapshot.active.material!)).toBe(true)
  })

  test('wrappings are added under a root that no configuration names yet; it then opens everything alone, loaded anew', async () => {
    const name = newName()
    const old = await open(name)
    await old.activateVersion(await old.addPendingVersion())
    expect(await old.opensUnder(newRoot)).toEqual({ keys: 3, opened: 0 })
    expect(await old.rewrap({ under: newRoot })).toMatchObject({ added: 3, dropped: 0 })
    expect(await old.rewrap({ under: newRoot })).toMatchObject({ added: 0 })
    expect([await old.opensUnder(newRoot), await old.opensUnder(oldRoot)]).toEqual([
      { keys: 3, opened: 3 },
      { keys: 3, opened: 3 },
    ])
    await expect(old.addPendingVersion()).rejects.toMatchObject({ code: 'ERR_USAGE' })
    const moved = await open(name, { wrappers: [newRoot], refreshMs: 20 })
    await moved.rewrap({ drop: oldRoot.rootId })
    // Also a process that has the keys in memory looks at what is stored.
    expect([await old.opensUnder(newRoot), await old.opensUnder(oldRoot)]).toEqual([
      { keys: 3, opened: 3 },
      { keys: 3, opened: 0 },
    ])
  })

  test('both steps in one call wait for the readers in between', async () => {
    const name = newName()
    await open(name)
    const moving = await open(name, { wrappers: [newRoot, oldRoot], refreshMs: 20 })
    expect(await moving.rewrap({ drop: oldRoot.rootId })).toEqual({ added: 2, dropped: 2, roots: [newRoot.rootId] })
  })

  test('a new version made meanwhile can be opened under both roots', async () => {
    const name = newName()
    const old = await open(name)
    const moving = await open(name, { wrappers: [newRoot, oldRoot] })
    const id = await moving.addPendingVersion()
    expect((await old.reload()).get(id)?.material).not.toBeNull()
  })

  test('no new version is made without a root that readers may still depend on', async () => {
    const name = newName()
    const reader = await open(name)
    await (await open(name, { wrappers: [newRoot, oldRoot] })).rewrap()
    const ahead = await open(name, { wrappers: [newRoot], refreshMs: 20 })
    await expect(ahead.addPendingVersion()).rejects.toThrow(`is wrapped under the root key ${oldRoot.rootId} too, which is not given here`)
    await reader.reload()
    expect(await ahead.rewrap({ drop: oldRoot.rootId })).toMatchObject({ dropped: 2, roots: [newRoot.rootId] })
    await ahead.addPendingVersion()
    expect(ahead.snapshot.versions.map(({ state }) => state)).toEqual(['active', 'pending'])
  })

  test('a wrapping that nobody here can open does not let the last good one go', async () => {
    const name = newName()
    await open(name)
    const stored = (await store.load(name))!
    const change = await addWrappings(await unlock(stored, [oldRoot]), newRoot, new Date(0))
    const broken = change!.stored.versions.map((version) => ({
      ...version,
      wrappings: version.wrappings.map((wrapping) =>
        wrapping.rootId === newRoot.rootId ? { ...wrapping, wrapped: new Uint8Array(61) } : wrapping,
      ),
    }))
    await store.save(
      { ...change!.stored, versions: broken },
      { actor: 'test', action: 'keyring.rewrap', subject: `keyring/${name}`, data: {} },
    )
    const unlocked = await unlock((await store.load(name))!, [oldRoot])
    const dropped = await dropWrappings(unlocked, oldRoot.rootId, { wrappers: [newRoot], addedUntil: new Date() })
    // The seal's wrapping opens, so its old one goes; that of the version stays.
    expect(dropped?.count).toBe(1)
    expect(dropped?.stored.versions[0]?.wrappings.map(({ rootId }) => rootId).sort()).toEqual([newRoot.rootId, oldRoot.rootId].sort())
    const moving = await open(name, { wrappers: [newRoot, oldRoot], refreshMs: 20 })
    expect(await moving.rewrap({ drop: oldRoot.rootId })).toEqual({ added: 1, dropped: 2, roots: [newRoot.rootId] })
  })

  test('the root that wraps is not dropped', async () => {
    const keyring = await open(newName())
    await expect(keyring.rewrap({ drop: oldRoot.rootId })).rejects.toMatchObject({ code: 'ERR_USAGE' })
  })
})
