import { inspect } from 'node:util'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { clock, newRoot, oldRoot, useKeyrings } from '../../../../test/harness/keyrings.ts'
import { verifyChain } from '../audit/chain.ts'
import { readEvents } from '../audit/log.ts'
import type { SqlState } from '../state/sql.ts'
import { addPending, unlock } from './custody.ts'
import type { KeyringStore } from './keyring-store.ts'

const world = useKeyrings()
const { open, newName, actionsOf } = world
let state: SqlState
let store: KeyringStore
beforeAll(() => {
  ;({ state, store } = world)
})

describe('opening', () => {
  test('version 1 is made once however many processes start together', async () => {
    const name = newName()
    const keyrings = await Promise.all(Array.from({ length: 6 }, () => open(name)))
    expect(new Set(keyrings.map(({ snapshot }) => snapshot.active.id)).size).toBe(1)
    const keys = keyrings.map(({ snapshot }) => snapshot.active.material!)
    expect(keys.every((key) => key.equals(keys[0]!))).toBe(true)
    expect(await actionsOf(name)).toEqual(['keyring.create'])
    expect(verifyChain(await readEvents(state, state.schema, { limit: 100_000 })).intact).toBe(true)
  })

  test('another root does not open it, and the message names both', async () => {
    const name = newName()
    await open(name)
    await expect(open(name, { wrappers: [newRoot] })).rejects.toThrow(
      `none of the root keys given (${newRoot.rootId}) opens keyring "${name}", which is wrapped under ${oldRoot.rootId}`,
    )
  })

  test('a process that only looks makes no keyring, reserves nothing and leaves no event', async () => {
    const name = newName()
    await expect(open(name, { readOnly: true })).rejects.toMatchObject({ code: 'ERR_KEYRING_NOT_FOUND' })
    expect(await store.load(name)).toBeNull()
    const { id } = (await open(name)).snapshot.active
    const before = [await store.messages(name), await actionsOf(name), await store.load(name)]
    const looking = await open(name, { readOnly: true })
    await looking.reload()
    expect(looking.snapshot.get(id)?.material).not.toBeNull()
    expect([await store.messages(name), await actionsOf(name), await store.load(name)]).toEqual(before)
  })

  test('encryption works at once, also without waiting', async () => {
    const keyring = await open(newName())
    expect(keyring.spend(1).id).toBe(keyring.snapshot.active.id)
  })
})

describe('refreshing', () => {
  test('is not waited for without end: who holds the last connection and encrypts would wait for itself', async () => {
    const { time, monotonicMs } = clock()
    const pool = { isBusy: false }
    const never = new Promise<never>(() => {})
    const busy: KeyringStore = {
      ...store,
      load: (name) => (pool.isBusy ? never : store.load(name)),
      reserve: (...block) => (pool.isBusy ? never : store.reserve(...block)),
    }
    const keyring = await open(newName(), { store: busy, monotonicMs, patienceMs: 50 })
    pool.isBusy = true
    time.now += 2_000_001
    await keyring.reserve(1)
    expect(() => keyring.spend(1)).toThrow(expect.objectContaining({ code: 'ERR_KEYRING_STALE' }))
    const silent = { code: 'ERR_DATABASE', message: expect.stringContaining('no answer') }
    await expect(keyring.reserve(1_000_000)).rejects.toMatchObject(silent)
    await expect(keyring.reload()).rejects.toMatchObject(silent)
    pool.isBusy = false
    await keyring.reload()
    expect(keyring.spend(1)).toBe(keyring.snapshot.active)
  })

  test('a version that another process adds and activates is learned, and keys that were known stay the same objects', async () => {
    const name = newName()
    // On a clock that stands still: it has just been loaded, however slow the machine is.
    const [mine, theirs] = [await open(name, { monotonicMs: clock().monotonicMs }), await open(name)]
    const before = mine.snapshot.active
    const id = await theirs.addPendingVersion()
    await mine.reload(id)
    expect(mine.snapshot.get(id)).toBeUndefined()
    expect((await mine.reload()).get(id)?.state).toBe('pending')
    await theirs.activateVersion(id)
    await theirs.activateVersion(id)
    await mine.reload()
    expect(mine.snapshot.active.id).toBe(id)
    expect(mine.spend(1).id).toBe(id)
    expect(mine.snapshot.get(before.id)).toMatchObject({ state: 'retiring' })
    expect(mine.snapshot.get(before.id)?.material).toBe(before.material)
    expect(await actionsOf(name)).toEqual(['keyring.create', 'version.create', 'version.activate'])
  })

  test('happens by itself', async () => {
    const name = newName()
    const mine = await open(name, { refreshMs: 20 })
    const id = await (await open(name)).addPendingVersion()
    await expect.poll(() => mine.snapshot.get(id)?.state).toBe('pending')
  })

  test('encryption is refused when the last good refresh is older than twice the interval, and reading goes on', async () => {
    const { time, monotonicMs } = clock()
    const down = { now: false }
    const flaky: KeyringStore = { ...store, load: (name) => (down.now ? Promise.reject(new Error('down')) : store.load(name)) }
    const keyring = await open(newName(), { store: flaky, refreshMs: 100_000, monotonicMs })
    down.now = true
    time.now += 200_000
    keyring.spend(1)
    time.now += 1
    expect(() => keyring.spend(1)).toThrow('was last refreshed 200001 ms ago')
    await keyring.reserve(1)
    expect(() => keyring.spend(1)).toThrow(/ERR_KEYRING_STALE|was last refreshed/)
    expect(keyring.snapshot.active.material).not.toBeNull()
    down.now = false
    await keyring.reserve(1)
    keyring.spend(1)
  })

  test('the age is counted from before the question was sent', async () => {
    const { time, monotonicMs } = clock()
    const slow: KeyringStore = {
      ...store,
      load: async (name) => {
        const stored = await store.load(name)
        time.now += 150_000
        return stored
      },
    }
    const keyring = await open(newName(), { store: slow, refreshMs: 100_000, monotonicMs })
    await keyring.reload()
    time.now += 50_001
    expect(() => keyring.spend(1)).toThrow('was last refreshed 200001 ms ago')
  })

  test('an answer that came too late is asked for again before an encryption is refused, and not for ever', async () => {
    const { time, monotonicMs } = clock()
    let [slow, loads] = [3, 0]
    const busy: KeyringStore = {
      ...store,
      load: async (name) => {
        const stored = await store.load(name)
        loads++
        if (slow-- > 0) time.now += 200_001
        return stored
      },
    }
    const keyring = await open(newName(), { store: busy, refreshMs: 100_000, monotonicMs })
    await keyring.reserve(1)
    keyring.spend(1)
    slow = 1_000
    loads = 0
    time.now += 200_001
    await keyring.reserve(1)
    expect(() => keyring.spend(1)).toThrow('was last refreshed')
    expect(loads).toBeLessThan(10)
  })

  test('an unknown id is looked for once, then not for one second, then two', async () => {
    const { time, monotonicMs } = clock()
    let loads = 0
    const counting: KeyringStore = {
      ...store,
      load: (name) => {
        loads++
        return store.load(name)
      },
    }
    const keyring = await open(newName(), { store: counting, monotonicMs })
    const ask = async (afterMs: number) => {
      time.now += afterMs
      const before = loads
      await Promise.all([keyring.reload('zzzzzzzz'), keyring.reload('zzzzzzzz'), keyring.reload('yyyyyyyy')])
      return loads - before
    }
    expect(await ask(0)).toBe(0)
    expect(await ask(1000)).toBe(1)
    expect(await ask(999)).toBe(0)
    expect(await ask(1)).toBe(1)
    expect(await ask(1999)).toBe(0)
    expect(await ask(1)).toBe(1)
    expect(await ask(3999)).toBe(0)
    for (let n = 0; n < 10; n++) await ask(60_000)
    expect(await ask(59_999)).toBe(0)
    expect(await ask(1)).toBe(1)
    const before = loads
    await keyring.reload(keyring.snapshot.active.id)
    expect(loads).toBe(before)
  })

  test('a process whose machine was asleep encrypts nothing before it has loaded again', async () => {
    const keyring = await open(newName())
    keyring.spend(1)
    const awake = vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 3_600_000)
    try {
      expect(() => keyring.spend(1)).toThrow('was last refreshed 3600')
      await keyring.reserve(1)
      keyring.spend(1)
    } finally {
      awake.mockRestore()
    }
  })

  test('an id is not called unknown right after a load that failed', async () => {
    const { time, monotonicMs } = clock()
    const name = newName()
    const down = { now: false }
    const flaky: KeyringStore = { ...store, load: (name) => (down.now ? Promise.reject(new Error('down')) : store.load(name)) }
    const keyring = await open(name, { store: flaky, monotonicMs })
    const id = await (await open(name)).addPendingVersion()
    time.now += 1_000
    down.now = true
    await expect(keyring.reload()).rejects.toThrow('down')
    down.now = false
    await expect(keyring.reload(id)).rejects.toThrow('down')
    time.now += 1_000
    expect((await keyring.reload(id)).get(id)?.state).toBe('pending')
  })

  test('an unknown id is looked for again after one interval, where that is shorter than a second', async () => {
    const { time, monotonicMs } = clock()
    const name = newName()
    const keyring = await open(name, { refreshMs: 300, monotonicMs })
    keyring.close()
    const id = await (await open(name)).addPendingVersion()
    time.now += 299
    expect((await keyring.reload(id)).get(id)).toBeUndefined()
    time.now += 1
    expect((await keyring.reload(id)).get(id)?.state).toBe('pending')
  })

  test('a revision that goes backwards is refused', async () => {
    const name = newName()
    const keyring = await open(name)
    const tables = ['keyring', 'key_version', 'key_wrapping']
    for (const table of tables) await state.exec(`CREATE TABLE public.${table}_was AS SELECT * FROM ${state.schema}.${table}`)
    const id = await keyring.addPendingVersion()
    await keyring.activateVersion(id)
    await state.exec(`DELETE FROM ${state.schema}.key_version WHERE keyring = '${name}' AND number = 2;
      UPDATE ${state.schema}.key_version v SET state = w.state FROM public.key_version_was w WHERE w.id = v.id;
      UPDATE ${state.schema}.keyring k SET revision = w.revision, mac = w.mac FROM public.keyring_was w WHERE w.name = k.name`)
    await expect(keyring.reload()).rejects.toMatchObject({ code: 'ERR_KEYRING_FORGED' })
    expect(keyring.snapshot.active.id).toBe(id)
    // What nobody can notice without having seen the newer one.
    expect((await open(name)).snapshot.active.id).not.toBe(id)
    for (const table of tables) await state.exec(`DROP TABLE public.${table}_was`)
  })
})

describe('message counts', () => {
  test('are reserved before they are used, in blocks that double', async () => {
    const name = newName()
    const keyring = await open(name)
    const { id } = keyring.snapshot.active
    const reserved = async () => (await store.messages(name)).get(id)
    expect(await reserved()).toBe(1024)
    keyring.spend(512)
    expect(await reserved()).toBe(1024)
    keyring.spend(1)
    await expect.poll(reserved).toBe(1024 + 2048)
    expect(() => keyring.spend(1024 + 2048)).toThrow(/is not loaded in this process/)
    await keyring.reserve(100_000)
    keyring.spend(100_000)
    expect(await reserved()).toBeGreaterThanOrEqual(100_513)
  })

  test('a key with 2^32 messages encrypts no more, and still opens', async () => {
    const name = newName()
    const first = await open(name)
    await store.reserve(name, first.snapshot.active.id, 2 ** 32 - 1024 - 10)
    const keyring = await open(name)
    await keyring.reserve(10)
    keyring.spend(10)
    await expect(keyring.reserve(1)).rejects.toMatchObject({ code: 'ERR_KEY_EXHAUSTED' })
    expect(() => keyring.spend(1)).toThrow(/is not loaded/)
    expect((await open(name)).snapshot.active.material).not.toBeNull()
    await keyring.activateVersion(await keyring.addPendingVersion())
    keyring.spend(1)
  })
})

test('of many processes that add versions at once each gets its own', async () => {
  const name = newName()
  const keyrings = await Promise.all(Array.from({ length: 4 }, () => open(name)))
  const ids = await Promise.all(keyrings.map((keyring) => keyring.addPendingVersion()))
  const { versions } = await keyrings[0]!.reload()
  expect(versions.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5])
  expect(new Set(versions.map(({ id }) => id))).toEqual(new Set([versions[0]!.id, ...ids]))
})

test('an id that was drawn twice is drawn again', async () => {
  const name = newName()
  const taken = (await open(newName())).snapshot.active.id
  let collide = true
  const colliding: KeyringStore = {
    ...store,
    save: (keyring, event) => {
      if (!collide || keyring.revision === 1) return store.save(keyring, event)
      collide = false
      const versions = keyring.versions.map((version) => (version.number === 2 ? { ...version, id: taken } : version))
      return store.save({ ...keyring, versions }, event)
    },
  }
  const keyring = await open(name, { store: colliding })
  const id = await keyring.addPendingVersion()
  expect(id).not.toBe(taken)
  expect(keyring.snapshot.get(id)?.number).toBe(2)
  expect(collide).toBe(false)
})

test('Keys never appear in toJSON, inspect, errors or the log.', async () => {
  const name = newName()
  const keyring = await open(name)
  await keyring.activateVersion(await keyring.addPendingVersion())
  const unlocked = await unlock((await store.load(name))!, [oldRoot])
  const errors = await Promise.allSettled([
    open(name, { wrappers: [newRoot] }),
    keyring.activateVersion('zzzzzzzz'),
    unlock({ ...unlocked.stored, mac: new Uint8Array(32) }, [oldRoot]),
  ])
  const things = [keyring, keyring.snapshot, keyring.snapshot.versions, unlocked, await addPending(unlocked, [oldRoot], new Date()), errors]
  const printed = [...things, await readEvents(state, state.schema, { limit: 100_000 })]
    .map((thing) => `${JSON.stringify(thing)} ${inspect(thing, { depth: null, showHidden: true })}`)
    .join('\n')
  expect(errors.every(({ status }) => status === 'rejected')).toBe(true)
  const keys = [...unlocked.keyring.versions.map(({ material }) => material!), unlocked.seal].map((material) =>
    material.exportPlaintextKey(),
  )
  for (const key of [...keys, Buffer.from('1a'.repeat(32), 'hex')]) {
    const spaced = key.toString('hex').replace(/../g, '$& ').slice(0, 36)
    for (const form of [
      key.toString('hex'),
      key.toString('base64'),
      key.toString('base64url'),
      key.toString('latin1'),
      spaced,
      [...key].join(','),
    ]) {
      expect(printed).not.toContain(form)
    }
  }
})
