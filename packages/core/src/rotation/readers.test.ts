import { afterEach, expect, test } from 'vitest'
import { useDatabase } from '../../../../test/harness/postgres.ts'
import { fieldOf, rotationOf, writeOld } from '../../../../test/rotation/world.ts'
import memory from '../databases/memory.ts'
import postgres, { pgState } from '../databases/postgres.ts'
import local from '../key-wrappers/local.ts'
import { KeyVersion } from '../keyring/key-version.ts'
import type { KeyringStore } from '../keyring/keyring-store.ts'
import { staticKeyring, staticVersion } from '../keyring/static-keyring.ts'
import { type OpenedKeyring, openStoredKeyring } from '../keyring/stored-keyring.ts'
import postgresKeyrings from '../keyring-stores/postgres.ts'
import { migrate } from '../state/schema.ts'
import { quietAfter, type VersionSource, waitForReaders } from './readers.ts'
import { rotate } from './rotate.ts'

const server = useDatabase()
const hourMs = 3_600_000
const opened: OpenedKeyring[] = []
afterEach(() => {
  for (const keyring of opened.splice(0)) keyring.close()
})

const base = staticVersion('aaaaaaaa', 1, 'active', Buffer.alloc(32, 1))
const dated = (facts: Partial<KeyVersion>) => new KeyVersion({ ...base.toJSON(), ...facts }, base.material)
const source = (refreshMs: number, now = new Date()): VersionSource => ({
  addPending: () => Promise.reject(new Error('not here')),
  activate: () => Promise.reject(new Error('not here')),
  now: async () => now,
  refreshMs,
})

test('a pending version is waited for although its date is long past: the commit may have come much later', async () => {
  const stop = new AbortController()
  setTimeout(() => stop.abort(), 50)
  expect(await waitForReaders(source(hourMs), dated({ state: 'pending', createdAt: new Date(0) }), stop.signal)).toBe(false)
})

test('it is not quiet until two intervals after this process has seen the activation committed', async () => {
  const keyring = staticKeyring('app', [dated({ activatedAt: new Date(0) })])
  expect((await quietAfter(source(hourMs), keyring, null)).over()).toBe(true)
  expect((await quietAfter(source(hourMs), keyring, performance.now())).over()).toBe(false)
})

test('a clock of the store that was set back prolongs no wait', async () => {
  const [now, then] = [new Date(), new Date(Date.now() + hourMs)]
  const keyring = staticKeyring('app', [dated({ activatedAt: then })])
  await (await quietAfter(source(50, now), keyring, null)).wait(undefined)
  expect(await waitForReaders(source(50, now), dated({ createdAt: then }), undefined)).toBe(true)
})

test('a pass that begins after everything has ended is the last one; one that began before is not', async () => {
  const versions = { ...source(1), addPending: async () => base, activate: async () => {} }
  /** What is asked where so many questions in a row find a transaction open: `?` for one of them, `pass` for a pass. */
  const askedWith = async (open: number) => {
    const rows = [{ id: 1, token: writeOld('a') as string }]
    const columns = [{ name: 'token', type: 'text' }] as const
    const database = memory({ tables: [{ name: 'tokens', key: [{ name: 'id', type: 'int' }], columns, rows }] })
    const asked: string[] = []
    let questions = 0
    const unsettled = async () => {
      asked.push('?')
      return ++questions > open ? null : 'a transaction'
    }
    const scan: typeof database.scan = (walk, after, limit) => {
      if (after === null && walk.once !== true) asked.push('pass')
      return database.scan(walk, after, limit)
    }
    const field = fieldOf('tokens.token')
    const result = await rotate({ ...rotationOf({ ...database, scan, fencing: { unsettled } as never }, [field]), versions })
    expect(result).toMatchObject({ state: 'completed', rotated: 1 })
    return asked.join(' ')
  }
  expect(await askedWith(0)).toBe('? pass pass')
  expect(await askedWith(1)).toBe('? pass ? pass')
  expect(await askedWith(2)).toBe('? pass ? pass ? pass')
  expect(await askedWith(3)).toBe('? pass ? pass ? ? pass')
})

test('where only a whole reading says whether anything is left, it is the verification that reads: one pass, unless somebody wrote meanwhile', async () => {
  const versions = { ...source(1), addPending: async () => base, activate: async () => {} }
  /** How often the table is walked by passes and by verifications, and what came of it. `meanwhile`: what somebody writes once the first pass has read the second row. */
  const walked = async (meanwhile: (rows: { id: number; token: string | null }[]) => void) => {
    const rows = [
      { id: 1, token: null },
      { id: 2, token: writeOld('a') as string },
    ]
    const columns = [{ name: 'token', type: 'text' }] as const
    const database = memory({ tables: [{ name: 'tokens', key: [{ name: 'id', type: 'int' }], columns, rows }] })
    const walks: string[] = []
    const asIfInRedis: typeof database = {
      ...database,
      walk: async (...shape) => ({ ...(await database.walk(...shape)), store: 'redis' as const }),
      scan: async (walk, after, limit) => {
        if (after === null) walks.push(walk.once === true ? 'verification' : 'pass')
        const read = await database.scan(walk, after, limit)
        if (walks.join() === 'pass' && read.length > 0) meanwhile(rows)
        return read.map((row) => ({ ...row, position: row.key }))
      },
    }
    const { state, rotated, conflicts } = await rotate({ ...rotationOf(asIfInRedis, [fieldOf('tokens.token')]), versions })
    return { state, rotated, conflicts, walks: walks.join(' ') }
  }
  expect(await walked(() => {})).toEqual({ state: 'completed', rotated: 1, conflicts: 0, walks: 'pass verification' })
  const changed = await walked(([, row]) => Object.assign(row as object, { token: writeOld('b') }))
  expect(changed).toEqual({ state: 'completed', rotated: 1, conflicts: 1, walks: 'pass pass verification' })
  const late = await walked(([row]) => Object.assign(row as object, { token: writeOld('c') }))
  expect(late).toEqual({ state: 'completed', rotated: 2, conflicts: 0, walks: 'pass verification pass pass verification' })
})

// Invariant: a key encrypts only after its readers have had it.
test('Readers first, also where the commit of the new version had to wait for a lock.', async () => {
  const state = pgState(server.pool)
  await migrate(state)
  await state.exec('CREATE TABLE tokens (id bigint PRIMARY KEY, token text)')
  const store = postgresKeyrings(state)
  // What is saved an hour after its date is what such a commit leaves.
  const late: KeyringStore = { ...store, now: async () => new Date((await store.now()).getTime() - hourMs) }
  const open = async (more: { readonly store: KeyringStore; readonly refreshMs: number }) => {
    const keyring = await openStoredKeyring({ name: 'app', wrappers: [local({ key: '1a'.repeat(32) })], ...more })
    opened.push(keyring)
    return keyring
  }
  const rotating = await open({ store: late, refreshMs: 500 })
  const reader = await open({ store, refreshMs: 100 })
  let known: unknown
  const versions: VersionSource = {
    addPending: async () => {
      const id = await rotating.addPendingVersion()
      return rotating.snapshot.get(id) as KeyVersion
    },
    activate: async (id) => {
      known = reader.snapshot.get(id)
      await rotating.activateVersion(id)
    },
    now: () => store.now(),
    refreshMs: 500,
  }
  const field = fieldOf('tokens.token', { keyring: rotating })
  const result = await rotate({ ...rotationOf(postgres({ pool: server.pool }), [field]), versions })
  expect(result.state).toBe('completed')
  expect(known).toMatchObject({ state: 'pending' })
})
