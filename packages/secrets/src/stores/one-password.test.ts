import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, expect, test } from 'vitest'
import { storeConformance } from '../../../../test/conformance/secrets/store.ts'
import { startOnePassword } from '../../../../test/doubles/one-password.ts'
import type { Call } from '../secret/call.ts'
import { worldOf } from '../secret/opened-secret.ts'
import onePassword, { options } from './one-password.ts'

const double = await startOnePassword()
const vault = double.createVault('Production')
const reader = double.createToken([vault], 'read')
const world = worldOf({ TOKEN: double.token, READER: reader, WRONG: 'wrong-token' }, Date.now)
const call = (): Call => ({ secret: 'openai', attempt: randomUUID(), signal: new AbortController().signal })
let items = 0

afterEach(() => double.faults.clear())
afterAll(() => double.stop())

storeConformance('one-password', async () => {
  const item = double.createItem(vault, 'conforming', [
    { label: 'username', value: 'app' },
    { label: 'credential', type: 'CONCEALED' },
    { label: 'previous', type: 'CONCEALED' },
  ])
  const fields = () => double.item(item.id).fields.map(({ label, value = '' }) => [label, value] as const)
  return {
    config: { store: 'one-password', endpoint: double.origin, token: { env: 'TOKEN' }, vault: 'Production', item: 'conforming' },
    env: { TOKEN: double.token },
    names: ['credential', 'previous'],
    read: async () => Object.fromEntries(fields().filter(([label, value]) => label !== 'username' && value !== '')),
    others: async () => fields()[0],
    close: async () => {},
  }
})

/** An item, and a store before it. */
function made(more: object = {}) {
  const title = `OpenAI ${++items}`
  const item = double.createItem(vault, title, [
    { label: 'username', value: 'app', purpose: 'USERNAME' },
    { label: 'credential', value: 'old-s3cret', type: 'CONCEALED' },
    { label: 'previous', type: 'CONCEALED' },
    { label: 'key', value: 'one', type: 'CONCEALED', section: { id: 'a', label: 'First' } },
    { label: 'key', value: 'two', type: 'CONCEALED', section: { id: 'b', label: 'Second' } },
  ])
  const given = { endpoint: double.origin, token: { env: 'TOKEN' }, vault: 'Production', item: title, ...more }
  return { id: item.id, title, store: onePassword(options.parse(given), world) }
}
const held = (id: string) =>
  Object.fromEntries(double.item(id).fields.map(({ label, section, value }) => [`${section?.label ?? ''}/${label}`, value]))

test('all names change in one patch, and nothing else of the item', async () => {
  const { id, store } = made()
  const before = double.calls.length
  expect(await store.write(call(), { credential: 'new-s3cret', previous: 'old-s3cret', 'Second/key': 'three' })).toEqual({ version: '2' })
  expect(held(id)).toEqual({
    '/username': 'app',
    '/credential': 'new-s3cret',
    '/previous': 'old-s3cret',
    'First/key': 'one',
    'Second/key': 'three',
  })
  expect(double.calls.slice(before).filter(({ operation }) => operation === 'items.patch')).toHaveLength(1)
})

test('what is to be removed is emptied, and then holds nothing', async () => {
  const { store } = made()
  await store.write(call(), { credential: 'x', previous: 'y' })
  await store.write(call(), { credential: 'x', previous: null })
  expect(await store.look(call(), ['credential', 'previous'])).toEqual({ credential: { value: 'x' }, previous: null })
})

test('writing again changes nothing, also after an answer that was lost', async () => {
  const { id, store } = made()
  double.faults.next('items.patch', 'drop')
  await expect(store.write(call(), { credential: 'new' })).rejects.toMatchObject({ code: 'ERR_OUTSIDE_UNCERTAIN' })
  expect(await store.write(call(), { credential: 'new' })).toEqual({ version: '2' })
  expect(double.item(id).version).toBe(2)
})

test('an edit of another field at the same time is not lost', async () => {
  const { id, store } = made()
  double.editElsewhere(id, 'username', 'edited', 100)
  await store.write(call(), { credential: 'new' })
  expect(held(id)).toMatchObject({ '/username': 'edited', '/credential': 'new' })
})

test('a field that is not there or there twice refuses the whole write', async () => {
  const { id, store } = made()
  await expect(store.write(call(), { credential: 'new', nothing: 'x' })).rejects.toMatchObject({ code: 'ERR_OUTSIDE_REFUSED' })
  await expect(store.write(call(), { credential: 'new', key: 'x' })).rejects.toMatchObject({ code: 'ERR_OUTSIDE_REFUSED' })
  expect(double.item(id).version).toBe(1)
})

test('a vault and an item are found by name or id; a name that is there twice is refused', async () => {
  const { id } = made()
  const byId = made({ vault, item: id })
  expect(await byId.store.look(call(), ['credential'])).toEqual({ credential: { value: 'old-s3cret' } })
  double.createItem(vault, 'twice', [])
  double.createItem(vault, 'twice', [])
  for (const more of [{ item: 'twice' }, { item: 'nothing' }, { vault: 'nothing' }])
    await expect(made(more).store.look(call(), ['credential'])).rejects.toMatchObject({ code: 'ERR_OUTSIDE_REFUSED' })
})

test('a refusal says its status, and no value or token', async () => {
  const wrong = await made({ token: { env: 'WRONG' } })
    .store.write(call(), { credential: 's3cret-value' })
    .catch(String)
  const forbidden = await made({ token: { env: 'READER' } })
    .store.write(call(), { credential: 's3cret-value' })
    .catch(String)
  double.faults.next('items.patch', { status: 429, headers: { 'retry-after': '7' } })
  await expect(made().store.write(call(), { credential: 's3cret-value' })).rejects.toMatchObject({ code: 'ERR_OUTSIDE_BUSY' })
  expect([wrong, forbidden]).toEqual([expect.stringContaining('401'), expect.stringContaining('403')])
  expect(`${wrong}${forbidden}`).not.toMatch(/s3cret-value|wrong-token|eyJ/)
})

test('a check finds fields that are missing, twice or shown in plain, and a wrong login', async () => {
  const { store } = made()
  expect(await store.check(call(), ['credential', 'First/key'])).toEqual([])
  const found = await store.check(call(), ['nothing', 'key', 'username'])
  expect(found.map(({ severity }) => severity)).toEqual(['fault', 'fault', 'warning'])
  expect(await made({ token: { env: 'WRONG' } }).store.check(call(), ['credential'])).toMatchObject([{ severity: 'fault' }])
})
