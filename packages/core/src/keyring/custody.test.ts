import { describe, expect, test } from 'vitest'
import local from '../key-wrappers/local.ts'
import { activate, addPending, changeState, createKeyring, markCompromised, type Unlocked, unlock } from './custody.ts'
import { type KeyState, mayBecome } from './key-state.ts'
import type { KeyWrapper } from './key-wrapper.ts'
import { addWrappings } from './rewrapping.ts'
import { wrappingData } from './seal.ts'

const root = local({ key: '1a'.repeat(32) })
const other = local({ key: '2b'.repeat(32) })
const at = new Date('2026-01-02T03:04:05.678Z')
const later = new Date('2026-02-02T03:04:05.678Z')
const fresh = async () => unlock(await createKeyring('app', root, at), [root])
const states: KeyState[] = ['pending', 'active', 'retiring', 'retired', 'destroyed']

/** A keyring with a version in this state, beside an active one if it is not itself. */
async function withVersion(state: KeyState): Promise<{ unlocked: Unlocked; id: string }> {
  let unlocked = await fresh()
  const first = unlocked.keyring.active.id
  const step = async (stored: Unlocked['stored']) => {
    unlocked = await unlock(stored, [root], unlocked)
  }
  const { stored, id } = await addPending(unlocked, [root], at)
  await step(stored)
  if (state === 'pending') return { unlocked, id }
  if (state === 'active') return { unlocked, id: first }
  await step(activate(unlocked, id, at))
  if (state !== 'retiring') await step(changeState(unlocked, first, 'retired', at))
  if (state === 'destroyed') await step(changeState(unlocked, first, 'destroyed', at))
  return { unlocked, id: first }
}

describe('states', () => {
  test.each(states.flatMap((from) => states.map((to) => [from, to] as const)))(
    'a version that is %s becomes %s as the table says',
    async (from, to) => {
      const { unlocked, id } = await withVersion(from)
      expect(unlocked.keyring.get(id)?.state).toBe(from)
      const step = () => (to === 'active' ? activate(unlocked, id, later) : changeState(unlocked, id, to as 'retired', later))
      // The active version only changes by the activation of its successor: else nothing could be encrypted.
      if (!mayBecome(from, to) || from === 'active') {
        expect(step).toThrow(expect.objectContaining({ code: 'ERR_KEY_STATE' }))
        return
      }
      const next = await unlock(step(), [root], unlocked)
      expect(next.stored.revision).toBe(unlocked.stored.revision + 1)
      const version = next.keyring.get(id)
      expect(version?.state).toBe(to)
      expect(next.keyring.versions.filter(({ state }) => state === 'active')).toHaveLength(1)
      const dates = { active: 'activatedAt', retired: 'retiredAt', destroyed: 'destroyedAt' } as const
      if (to in dates) expect(version?.[dates[to as keyof typeof dates]]).toEqual(later)
      if (to === 'retiring') expect(version?.retiredAt).toBeNull()
      expect(version?.material === null).toBe(to === 'destroyed')
      if (to === 'destroyed') expect(next.stored.versions.find((stored) => stored.id === id)?.wrappings).toEqual([])
    },
  )

  test('an activation makes the one before retiring, in the same revision', async () => {
    const { unlocked, id } = await withVersion('pending')
    const next = activate(unlocked, id, later)
    expect(next.versions.map(({ state }) => state)).toEqual(['retiring', 'active'])
  })

  test('a compromised version is never activated, and keeps its mark', async () => {
    const { unlocked, id } = await withVersion('retiring')
    const marked = await unlock(markCompromised(unlocked, id), [root], unlocked)
    expect(marked.keyring.get(id)).toMatchObject({ compromised: true, state: 'retiring' })
    expect(() => activate(marked, id, later)).toThrow('is compromised and cannot become active')
    expect(changeState(marked, id, 'retired', later).versions.find((version) => version.id === id)?.compromised).toBe(true)
  })

  test('an id that is not there is refused', async () => {
    const unlocked = await fresh()
    expect(() => activate(unlocked, 'zzzzzzzz', at)).toThrow(expect.objectContaining({ code: 'ERR_KEY_NOT_FOUND' }))
  })
})

describe('forged', () => {
  test.each<[string, (unlocked: Unlocked) => Unlocked['stored']]>([
    ['name', ({ stored }) => ({ ...stored, name: 'other' })],
    ['revision', ({ stored }) => ({ ...stored, revision: stored.revision + 1 })],
    [
      'state',
      ({ stored }) => ({
        ...stored,
        versions: stored.versions.map((version) => ({ ...version, state: version.state === 'active' ? 'retiring' : 'active' })),
      }),
    ],
    [
      'mark',
      ({ stored }) => ({ ...stored, versions: stored.versions.map((version) => ({ ...version, compromised: !version.compromised })) }),
    ],
    ['date', ({ stored }) => ({ ...stored, versions: stored.versions.map((version) => ({ ...version, createdAt: later })) })],
    ['a version left out', ({ stored }) => ({ ...stored, versions: stored.versions.slice(1) })],
    ['mac', ({ stored }) => ({ ...stored, mac: new Uint8Array(32) })],
    ['a shorter mac', ({ stored }) => ({ ...stored, mac: stored.mac.slice(0, 16) })],
  ])('%s is found by a process that knows the keyring', async (_, change) => {
    const { unlocked } = await withVersion('retiring')
    await expect(unlock(change(unlocked), [root], unlocked)).rejects.toMatchObject({ code: 'ERR_KEYRING_FORGED' })
  })

  test('the order of the versions does not matter', async () => {
    const { unlocked } = await withVersion('retiring')
    await unlock({ ...unlocked.stored, versions: unlocked.stored.versions.toReversed() }, [root])
  })
})

describe('several roots', () => {
  const both = async () => {
    const unlocked = await fresh()
    const change = await addWrappings(unlocked, other, later)
    return change!.stored
  }

  test('any of them opens the keyring', async () => {
    const stored = await both()
    for (const wrappers of [[root], [other], [local({ key: '3c'.repeat(32) }), other]]) await unlock(stored, wrappers)
    await expect(unlock(stored, [])).rejects.toThrow(
      `none of the root keys given (none) opens keyring "app", which is wrapped under ${root.rootId}, ${other.rootId}`,
    )
  })

  test('one that cannot be reached does not matter while another opens', async () => {
    const stored = await both()
    const unreachable: KeyWrapper = { ...root, unwrap: () => Promise.reject(new Error('unreachable')) }
    await unlock(stored, [unreachable, other])
    await expect(unlock(stored, [unreachable])).rejects.toThrow('unreachable')
  })

  test('a new version is wrapped under the first and under those that wrap the seal', async () => {
    const unlocked = await unlock(await both(), [root, other])
    const third = local({ key: '3c'.repeat(32) })
    const { stored, id } = await addPending(unlocked, [third, root, other, local({ key: '4d'.repeat(32) })], later)
    const wrappings = stored.versions.find((version) => version.id === id)?.wrappings
    expect(wrappings?.map(({ rootId }) => rootId)).toEqual([third.rootId, root.rootId, other.rootId])
    await expect(addPending(unlocked, [third, root], later)).rejects.toMatchObject({ code: 'ERR_USAGE' })
  })
})

test('Invariant: a wrapping opens only for its root, keyring, id and number.', async () => {
  const place = { rootId: root.rootId, keyring: 'app', id: 'aaaqeaye', number: 1 }
  const wrapped = await root.wrap(new Uint8Array(32), wrappingData(place))
  await root.unwrap(wrapped, wrappingData(place))
  const moved = [{ rootId: 'x' }, { keyring: 'ap' }, { id: 'aaaqeayf' }, { number: 2 }, { keyring: 'a', id: 'ppaaaqeaye' }]
  for (const change of moved) {
    await expect(root.unwrap(wrapped, wrappingData({ ...place, ...change }))).rejects.toMatchObject({ code: 'ERR_DECRYPT' })
  }
})

test('Invariant: the associated data of a wrapping never changes.', () => {
  const data = wrappingData({ rootId: 'local:ab', keyring: 'app', id: 'aaaqeaye', number: 258 })
  expect(data.toString('latin1')).toBe('keyturn/wrapping\0\0\x08local:ab\0\x03app\0\x08aaaqeaye\0\0\x01\x02')
})
