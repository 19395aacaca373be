import { expect, test } from 'vitest'
import { isFenced } from '../../packages/core/src/rotation/fencing.ts'
import { everyKind, fast, fill, fillTokens, oneField, useThings } from './world.ts'

const world = useThings()
const { server } = world

test('a retired version is destroyed after its horizon or by an explicit word, and opens nothing from then on', async () => {
  const keyturn = await world.open({ ...oneField, keyrings: { app: { ...oneField.keyrings.app, root: { env: 'ROOT' }, horizon: '90d' } } })
  await fillTokens(keyturn, server.pool, 5)
  const { rows: old } = await server.pool.query('SELECT token FROM things WHERE id = 1')
  const [first] = (await world.inState(keyturn, 'active')) as [string]
  await keyturn.rotate('app', fast)
  await expect(keyturn.destroy('app', first, { now: true })).rejects.toMatchObject({ code: 'ERR_KEY_STATE' })
  await keyturn.retire('app', fast)
  await expect(keyturn.destroy('app', first)).rejects.toMatchObject({ code: 'ERR_HORIZON' })
  await keyturn.destroy('app', first, { now: true })
  expect((await world.versions(keyturn)).map(({ state, roots }) => ({ state, roots: roots.length }))).toEqual([
    { state: 'destroyed', roots: 0 },
    { state: 'active', roots: 1 },
  ])
  const { rows } = await server.pool.query('SELECT 1 FROM keyturn.key_wrapping WHERE id = $1', [first])
  expect(rows).toEqual([])
  await expect(keyturn.field('things.token').decrypt(old[0].token, { id: 1 })).rejects.toMatchObject({ code: 'ERR_KEY_NOT_FOUND' })
  // The states are authentic without it: a new process opens the keyring and rotates it.
  const another = await world.open()
  expect((await another.rotate('app', fast)).state).toBe('completed')
  expect((await world.events(keyturn)).map(({ action }) => action)).toContain('version.destroy')
  await expect(another.destroy('app', first, { now: true })).rejects.toMatchObject({ code: 'ERR_KEY_STATE' })
  await expect(another.destroy('app', 'zzzzzzzz', { now: true })).rejects.toMatchObject({ code: 'ERR_KEY_NOT_FOUND' })
})

test('the horizon is 35 days unless the keyring says otherwise, by the clock of the store', async () => {
  const keyturn = await world.open({ ...oneField, keyrings: { app: { root: { env: 'ROOT' }, horizon: '1m' } } })
  const longer = await world.open()
  await fillTokens(keyturn, server.pool, 2)
  await keyturn.rotate('app', fast)
  const [retirement] = await keyturn.retire('app', fast)
  const message = await longer.destroy('app', retirement?.versionId ?? '').then(
    () => '',
    (error: Error) => error.message,
  )
  const until = Date.parse(/\d{4}-\d\d-\d\dT[\d:.]+Z/.exec(message)?.[0] ?? '')
  const { rows } = await server.pool.query('SELECT retired_at FROM keyturn.key_version WHERE id = $1', [retirement?.versionId])
  expect(until - rows[0].retired_at.getTime()).toBe(35 * 86_400_000)
})

test('a version is not destroyed while a value that does not open names a key that is not known', async () => {
  const keyturn = await world.open()
  await fillTokens(keyturn, server.pool, 5)
  await keyturn.rotate('app', fast)
  const [retirement] = await keyturn.retire('app', fast)
  const { rows } = await server.pool.query('SELECT token FROM things WHERE id = 2')
  // Perhaps it named the retired one, before a letter of it was damaged.
  await server.pool.query('UPDATE things SET token = $1 WHERE id = 2', [rows[0].token.replace(/^kt1\..{8}/, 'kt1.zzzzzzzz')])
  await expect(keyturn.destroy('app', retirement?.versionId ?? '', { now: true })).rejects.toMatchObject({
    code: 'ERR_STILL_NAMED',
    message: expect.stringContaining('0 values name it, and 1 that'),
  })
  await server.pool.query('UPDATE things SET token = $1 WHERE id = 2', [rows[0].token])
  await keyturn.destroy('app', retirement?.versionId ?? '', { now: true })
})

test('a fence that was dropped is a fault of the verification, keeps the key from being destroyed, and comes back with the next retirement', async () => {
  const keyturn = await world.open(everyKind)
  await fill(keyturn, server.pool, 3)
  await keyturn.rotate('app', fast)
  const [retirement] = await keyturn.retire('app', fast)
  const fence = retirement?.fences.find(({ column }) => column === 'jt')
  await server.pool.query(`ALTER TABLE things DROP CONSTRAINT ${fence?.constraint}`)
  const gone = [{ table: 'public.things', column: 'jt', keyId: retirement?.versionId }]
  expect((await keyturn.verify()).fences.missing).toEqual(gone)
  expect((await (await world.open(everyKind, { readOnly: true })).verify()).fences.missing).toEqual(gone)
  expect((await keyturn.verify({ fields: ['things.token'] })).fences.missing).toEqual([])
  await expect(keyturn.destroy('app', retirement?.versionId ?? '', { now: true })).rejects.toMatchObject({ code: 'ERR_FENCE_MISSING' })
  const [again] = await keyturn.retire('app', fast)
  expect(again?.fences).toHaveLength(7)
  expect((await keyturn.verify()).fences.missing).toEqual([])
  expect((await world.versions(keyturn)).map(({ state }) => state)).toEqual(['retired', 'active'])
  expect((await world.events(keyturn)).map(({ action }) => action)).toContain('version.fence')
  await keyturn.destroy('app', retirement?.versionId ?? '', { now: true })
})

test('a field that came after a retirement has no fence until it is retired again', async () => {
  const before = await world.open()
  await fillTokens(before, server.pool, 3)
  await before.rotate('app', fast)
  await before.retire('app', fast)
  const keyturn = await world.open({ ...oneField, fields: { ...oneField.fields, 'things.bin': { column: 'things.bin', keyring: 'app' } } })
  const [retired] = await world.inState(keyturn, 'retired')
  expect((await keyturn.verify()).fences.missing).toEqual([{ table: 'public.things', column: 'bin', keyId: retired }])
  await keyturn.retire('app', fast)
  expect((await keyturn.verify()).fences.missing).toEqual([])
})

test('going back takes the fence down in the transaction of the state, and a restored writer can write', async () => {
  const keyturn = await world.open()
  await fillTokens(keyturn, server.pool, 5)
  const { rows: old } = await server.pool.query('SELECT token FROM things WHERE id = 1')
  await keyturn.rotate('app', fast)
  const [retirement] = await keyturn.retire('app', fast)
  const id = retirement?.versionId as string
  const write = () => server.pool.query('UPDATE things SET token = $1 WHERE id = 1', [old[0].token])
  expect(await write().catch(isFenced)).toBe(id)
  // A reader of the table is in the way of the lock: neither the fence nor the state is half gone.
  const reader = await server.pool.connect()
  await reader.query('BEGIN; SELECT FROM things')
  const going = keyturn.unretire('app', id)
  await new Promise((resolve) => setTimeout(resolve, 700))
  expect(await world.inState(keyturn, 'retired')).toEqual([id])
  expect(await world.constraints()).toHaveLength(1)
  await reader.query('COMMIT')
  reader.release()
  await going
  expect(await world.inState(keyturn, 'retiring')).toEqual([id])
  expect(await world.constraints()).toEqual([])
  await write()
  await keyturn.unretire('app', id)
  await expect(keyturn.unretire('app', (await world.inState(keyturn, 'active'))[0] as string)).rejects.toMatchObject({
    code: 'ERR_KEY_STATE',
  })
  expect((await keyturn.retire('app', fast)).map(({ versionId }) => versionId)).toEqual([id])
  expect((await world.events(keyturn)).map(({ action }) => action).filter((action) => action.startsWith('version.'))).toEqual([
    'version.create',
    'version.activate',
    'version.retire',
    'version.unretire',
    'version.retire',
  ])
})

test('what only looks can end nothing', async () => {
  await (await world.open()).rotate('app', fast)
  const looking = await world.open(oneField, { readOnly: true })
  for (const work of [() => looking.retire('app'), () => looking.unretire('app', 'aaaaaaaa'), () => looking.destroy('app', 'aaaaaaaa')])
    await expect(work()).rejects.toMatchObject({ code: 'ERR_USAGE' })
})
