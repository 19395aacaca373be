import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, expect, test } from 'vitest'
import { storeConformance } from '../../../../test/conformance/secrets/store.ts'
import { startOnePassword } from '../../../../test/doubles/one-password.ts'
import { installOp } from '../../../../test/doubles/one-password-op.ts'
import { count } from '../../../../test/harness/counts.ts'
import type { Call } from '../secret/call.ts'
import { worldOf } from '../secret/opened-secret.ts'
import onePasswordOp, { options } from './one-password-op.ts'

const folder = await mkdtemp(join(tmpdir(), 'keyturn-op-store-'))
const double = await startOnePassword()
const vault = double.createVault('Production')
const program = installOp(double, folder)
const world = worldOf(
  { PATH: process.env.PATH, TOKEN: double.token, READER: double.createToken([vault], 'read'), WRONG: 'wrong-token' },
  Date.now,
)
const call = (signal = new AbortController().signal): Call => ({ secret: 'openai', attempt: randomUUID(), signal })
let items = 0

afterEach(() => double.faults.clear())
afterAll(async () => {
  await double.stop()
  await rm(folder, { recursive: true })
})

function made(more: object = {}) {
  const title = `OpenAI ${++items}`
  const item = double.createItem(vault, title, [
    { label: 'username', value: 'app' },
    { label: 'credential', value: 'old-s3cret-value', type: 'CONCEALED', section: { id: 'a', label: 'API' } },
    { label: 'previous', type: 'CONCEALED' },
  ])
  const given = { program, token: { env: 'TOKEN' }, vault: 'Production', item: title, ...more }
  return { id: item.id, title, store: onePasswordOp(options.parse(given), world) }
}
const held = (id: string) => Object.fromEntries(double.item(id).fields.map(({ label, value = '' }) => [label, value]))
const left = async (attempt: string) => (await readdir(tmpdir())).filter((name) => name.includes(attempt))

// Some hundred processes: with full counts only. The store one-password has the same fields and keeps the same in every run.
if (count(0, 1) === 1) {
  storeConformance('one-password-op', async () => {
    const { id, title } = made()
    return {
      config: { store: 'one-password-op', program, token: { env: 'TOKEN' }, vault: 'Production', item: title },
      env: { PATH: process.env.PATH ?? '', TOKEN: double.token },
      names: ['API/credential', 'previous'],
      read: async () => {
        const { credential = '', previous = '' } = held(id)
        return Object.fromEntries(Object.entries({ 'API/credential': credential, previous }).filter(([, value]) => value !== ''))
      },
      others: async () => held(id).username,
      close: async () => {},
    }
  })
}

test('values change in one edit and go through no argument; the rest stays, and nothing is left behind', async () => {
  const { id, store } = made()
  const one = call()
  expect(await store.write(one, { credential: 'new-s3cret-value', previous: 'old-s3cret-value' })).toEqual({ version: '2' })
  expect(held(id)).toEqual({ username: 'app', credential: 'new-s3cret-value', previous: 'old-s3cret-value' })
  expect(double.item(id).fields[1]).toMatchObject({ type: 'CONCEALED', section: { id: 'a' } })
  expect(await left(one.attempt)).toEqual([])
})

test('what a process that died left behind is taken away by the next try, and the same is not written twice', async () => {
  const { id, store } = made()
  const one = call()
  await mkdir(join(tmpdir(), `keyturn-op-${one.attempt}`))
  await writeFile(join(tmpdir(), `keyturn-op-${one.attempt}`, 'item.json'), '{}')
  double.faults.next('items.replace', 'drop')
  await expect(store.write(one, { credential: 'new' })).rejects.toMatchObject({ code: 'ERR_OUTSIDE_UNCERTAIN' })
  expect(await left(one.attempt)).toEqual([])
  await store.write(one, { credential: 'new' })
  expect([held(id).credential, double.item(id).version]).toEqual(['new', 2])
})

test('a refusal says what it was in our words, with no value and no token', async () => {
  const refusal = (more: object) =>
    made(more)
      .store.write(call(), { credential: 's3cret-value' })
      .catch((error: unknown) => error as Error & { code: string })
  const [wrong, reader, nothing] = [
    await refusal({ token: { env: 'WRONG' } }),
    await refusal({ token: { env: 'READER' } }),
    await refusal({ item: 'nothing' }),
  ]
  expect([wrong, reader, nothing]).toMatchObject(Array(3).fill({ code: 'ERR_OUTSIDE_REFUSED' }))
  expect(`${wrong}${reader}${nothing}`).not.toMatch(/s3cret-value|wrong-token|eyJ/)
  double.faults.next('items.replace', { status: 429 })
  expect(await refusal({})).toMatchObject({ code: 'ERR_OUTSIDE_BUSY' })
  expect(await refusal({ program: join(folder, 'none') })).toMatchObject({ code: 'ERR_OUTSIDE_REFUSED' })
})

test('a program that does not answer is ended with its call', async () => {
  const before = double.calls.length
  double.faults.next('vaults.list', 'silent')
  const stop = new AbortController()
  const written = made().store.write(call(stop.signal), { credential: 'x' })
  await expect.poll(() => double.calls.length, { timeout: 60_000 }).toBeGreaterThan(before)
  stop.abort()
  await expect(written).rejects.toMatchObject({ code: 'ERR_OUTSIDE_UNCERTAIN' })
})

test('a check asks who is signed in, and finds fields that are missing', async () => {
  const { store } = made()
  expect(await store.check(call(), ['credential', 'API/credential'])).toEqual([])
  expect(await store.check(call(), ['nothing'])).toMatchObject([{ severity: 'fault' }])
  expect(await made({ token: { env: 'WRONG' } }).store.check(call(), ['credential'])).toMatchObject([{ severity: 'fault' }])
})
