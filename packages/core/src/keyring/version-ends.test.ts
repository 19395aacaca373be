import { beforeAll, describe, expect, test } from 'vitest'
import { newRoot, oldRoot, useKeyrings } from '../../../../test/harness/keyrings.ts'
import type { Sql } from '../state/sql.ts'
import type { KeyringStore } from './keyring-store.ts'

const world = useKeyrings()
const { open, newName, actionsOf } = world
let store: KeyringStore
beforeAll(() => {
  ;({ store } = world)
})

describe('the end of a version', () => {
  const retiring = async () => {
    const name = newName()
    const keyring = await open(name)
    const first = keyring.snapshot.active.id
    const id = await keyring.addPendingVersion()
    await keyring.activateVersion(id)
    return { name, keyring, first }
  }

  test('a retiring version is retired once; a proof made again is an event and no change of state', async () => {
    const { name, keyring, first } = await retiring()
    await keyring.retireVersion(first, { rotation: 'r1' })
    const { retiredAt } = keyring.snapshot.get(first)!
    await keyring.retireVersion(first, { rotation: 'r2' })
    expect(keyring.snapshot.get(first)).toMatchObject({ state: 'retired', retiredAt })
    await expect(keyring.retireVersion(keyring.snapshot.active.id, {})).rejects.toMatchObject({ code: 'ERR_KEY_STATE' })
    expect((await actionsOf(name)).slice(3)).toEqual(['version.retire', 'version.fence'])
  })

  test('a retiring version becomes active again in place of its successor, and of no other one', async () => {
    const { name, keyring, first } = await retiring()
    const second = keyring.snapshot.active.id
    const other = await open(name)
    const third = await other.addPendingVersion()
    await expect(keyring.returnTo(third, second)).resolves.toBeUndefined()
    expect(keyring.snapshot.active.id).toBe(third)
    // Whoever has slept over that would put another key in the place of the third.
    await expect(keyring.returnTo(first, second)).rejects.toMatchObject({ code: 'ERR_KEY_STATE' })
    await keyring.returnTo(first, third)
    expect(keyring.snapshot.versions.map(({ state }) => state)).toEqual(['active', 'retiring', 'retiring'])
    const before = await actionsOf(name)
    await keyring.returnTo(first, third)
    expect(await actionsOf(name)).toEqual(before)
    await keyring.retireVersion(third, {}, true)
    await expect(keyring.returnTo(third, first)).rejects.toMatchObject({ code: 'ERR_KEY_STATE' })
  })

  test('going back happens with the other work of its transaction, or not at all', async () => {
    const { name, keyring, first } = await retiring()
    await keyring.retireVersion(first, {})
    const failing = async (within?: Sql) => {
      await within?.query('CREATE TABLE taken_down ()')
      throw new Error('no lock')
    }
    await expect(keyring.unretireVersion(first, failing)).rejects.toThrow('no lock')
    expect((await keyring.reload()).get(first)?.state).toBe('retired')
    await keyring.unretireVersion(first, async (within) => void (await within?.query('CREATE TABLE taken_down ()')))
    expect(keyring.snapshot.get(first)).toMatchObject({ state: 'retiring', retiredAt: null })
    expect((await actionsOf(name)).slice(3)).toEqual(['version.retire', 'version.unretire'])
    // Repeated, it takes down what may have been left, with a revision of its own: whoever proves the retirement meanwhile looks again.
    const { revision } = keyring.stored
    const calls: boolean[] = []
    await keyring.unretireVersion(first, async (within) => void calls.push(within !== undefined))
    expect([calls, keyring.stored.revision, keyring.snapshot.get(first)?.state]).toEqual([[true], revision + 1, 'retiring'])
    await keyring.retireVersion(first, {}, false, async (within) => void calls.push(within !== undefined))
    await keyring.unfenceVersion(first, async () => void calls.push(false))
    expect([calls, keyring.snapshot.get(first)?.state]).toEqual([[true, true], 'retired'])
    expect((await actionsOf(name)).slice(5)).toEqual(['version.unfence', 'version.retire'])
  })

  test('in a store that stands elsewhere the state is saved first, so that no version is called retired that nothing refuses', async () => {
    const { name, first, keyring } = await retiring()
    await keyring.retireVersion(first, {})
    const { saveWith: _, ...elsewhere } = store
    const apart = await open(name, { store: elsewhere })
    const seen: unknown[] = []
    const drop = async (within?: Sql) => {
      seen.push([within, (await store.load(name))?.versions[0]?.state])
      if (seen.length === 1) throw new Error('the process died here')
    }
    await expect(apart.unretireVersion(first, drop)).rejects.toThrow('died here')
    expect((await apart.reload()).get(first)?.state).toBe('retiring')
    await apart.unretireVersion(first, drop)
    expect(seen).toEqual([
      [undefined, 'retiring'],
      [undefined, 'retiring'],
    ])
  })

  test('a destroyed version has no wrapping left, the states stay authentic, and the others open', async () => {
    const { name, keyring, first } = await retiring()
    const pending = await keyring.addPendingVersion()
    await expect(keyring.destroyVersion(first)).rejects.toMatchObject({ code: 'ERR_KEY_STATE' })
    await keyring.retireVersion(first, {})
    await keyring.destroyVersion(first)
    await keyring.destroyVersion(pending)
    await keyring.destroyVersion(first)
    const again = await open(name)
    expect(again.snapshot.versions.map(({ state, material }) => [state, material === null])).toEqual([
      ['destroyed', true],
      ['active', false],
      ['destroyed', true],
    ])
    expect(again.stored.versions.map(({ wrappings }) => wrappings.length)).toEqual([0, 1, 0])
    expect((await actionsOf(name)).slice(4)).toEqual(['version.retire', 'version.destroy', 'version.destroy'])
    // Another root is added and the first one dropped as if it had never been there.
    const moved = await open(name, { wrappers: [newRoot, oldRoot] })
    expect(await moved.rewrap()).toMatchObject({ added: 2 })
  })
})
