import { expect, test } from 'vitest'
import { conformsToDatabase } from '../../../../test/conformance/database.ts'
import { event, newRun } from '../../../../test/conformance/run-store.ts'
import { DatabaseError } from '../rotation/database-error.ts'
import memory from './memory.ts'

conformsToDatabase('memory', async (tables) => {
  const database = memory({ tables })
  return { database, application: database.application, events: async () => database.events(), readersGoOn: true }
})

const users = { name: 'users', key: [{ name: 'id', type: 'int' }], columns: [{ name: 'token', type: 'text', maxLength: 5 }] } as const

async function opened() {
  const database = memory({ tables: [{ ...users, rows: [{ id: 1, token: 'a' }], check: ({ token }) => token !== 'bad' }] })
  const [shape] = await database.inspect([{ schema: null, table: 'users', column: 'token' }])
  const walk = await database.walk(shape!, [{ field: 'f', column: 'token', holds: 'text', currentPrefix: null }], [])
  const swap = (to: string) => database.transaction((tx) => tx.swap(walk, [{ key: ['1'], from: ['a'], to: [to] }]))
  return { database, walk, swap }
}

test('exclusive waits for a transaction of the application, which is all or nothing', async () => {
  const { database, walk } = await opened()
  const { promise, resolve } = Promise.withResolvers<void>()
  const writing = database.application.transaction(async (tx) => {
    tx.update('users', { id: 1 }, { token: 'b' })
    await promise
    tx.insert('users', { id: 2, token: 'c' })
  })
  const rows = database.exclusive([walk], (tx) => tx.scan(walk, null, 9))
  expect(await database.application.rows('users')).toEqual([{ id: 1, token: 'a' }])
  resolve()
  await writing
  expect((await rows).map(({ values }) => values)).toEqual([['b'], ['c']])
  const failing = database.application.transaction((tx) => {
    tx.delete('users', { id: 1 })
    throw new Error('no')
  })
  await expect(failing).rejects.toThrow('no')
  expect(await database.application.rows('users')).toHaveLength(2)
})

test('what a table refuses is an error of kind data, to the application and to a swap', async () => {
  const { database, swap } = await opened()
  for (const [value, detail] of [
    ['too long', '22001'],
    ['bad', '23514'],
  ] as const) {
    await expect(swap(value)).rejects.toMatchObject({ kind: 'data', detail })
    await expect(database.application.update('users', { id: 1 }, { token: value })).rejects.toMatchObject({ kind: 'data', detail })
  }
  await expect(database.application.insert('users', { id: 1, token: 'x' })).rejects.toMatchObject({ kind: 'data', detail: '23505' })
  expect(() => memory({ tables: [{ ...users, rows: [{ id: null, token: 'x' }] }] })).toThrow(DatabaseError)
})

test('a test can write between scan and swap, fail before a commit, and lose the answer of one', async () => {
  const { database, walk, swap } = await opened()
  database.hooks.afterScan = () => database.application.insert('users', { id: 2, token: 'x' })
  expect(await database.scan(walk, null, 9)).toHaveLength(1)
  database.hooks.afterScan = undefined
  expect(await database.scan(walk, null, 9)).toHaveLength(2)
  const fails = () => {
    throw new Error('hook')
  }
  database.hooks.beforeCommit = fails
  await expect(swap('b')).rejects.toThrow('hook')
  expect((await database.scan(walk, null, 1))[0]!.values).toEqual(['a'])
  Object.assign(database.hooks, { beforeCommit: undefined, afterCommit: fails })
  await expect(swap('b')).rejects.toThrow('hook')
  expect((await database.scan(walk, null, 1))[0]!.values).toEqual(['b'])
})

test("otherSessions says what the test says, and the clock is the test's", async () => {
  let now = new Date('2026-01-01T00:00:00Z')
  const database = memory({ tables: [users], now: () => now, recorded: false })
  database.application.sessions = 2
  expect(await database.exclusive([], (tx) => tx.otherSessions())).toBe(2)
  expect(await database.hasState()).toBe(false)
  await database.runs.create(newRun({ id: 'r' }), event('rotation.plan'))
  await database.runs.acquire('r', 1_000)
  await expect(database.runs.acquire('r', 1_000)).rejects.toMatchObject({ code: 'ERR_LEASE_HELD' })
  now = new Date('2026-01-01T00:00:01Z')
  await database.runs.acquire('r', 1_000)
  expect(database.events()[0]!.at).toBe('2026-01-01T00:00:00.000Z')
})
