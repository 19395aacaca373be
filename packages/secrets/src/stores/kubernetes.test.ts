import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, expect, test } from 'vitest'
import { storeConformance } from '../../../../test/conformance/secrets/store.ts'
import { startKubernetes } from '../../../../test/doubles/kubernetes.ts'
import type { Call } from '../secret/call.ts'
import { worldOf } from '../secret/opened-secret.ts'
import kubernetes, { options } from './kubernetes.ts'

const cluster = await startKubernetes()
const env = { TOKEN: cluster.token, READER: cluster.createToken('shop', ['get']), WRONG: 'wrong-token' }
const given = (more: object = {}) => ({ namespace: 'shop', name: 'app', endpoint: cluster.origin, token: { env: 'TOKEN' }, ...more })
const storeOf = (more: object = {}) => kubernetes(options.parse(given(more)), worldOf(env, Date.now))
const call = (): Call => ({ secret: 'dsn', attempt: randomUUID(), signal: new AbortController().signal })
const patches = () => cluster.calls.filter(({ operation }) => operation === 'secrets.patch').length

afterEach(() => cluster.faults.clear())
afterAll(() => cluster.stop())

storeConformance('kubernetes', async () => {
  cluster.createSecret('shop', 'conforming', { OTHER: 'stays' })
  const held = () => cluster.secret('shop', 'conforming')
  return {
    config: { store: 'kubernetes', ...given({ name: 'conforming' }) },
    env: { TOKEN: cluster.token },
    names: ['KEY', 'PREVIOUS_KEY'],
    read: async () => Object.fromEntries(Object.entries(held()).filter(([name]) => name !== 'OTHER')),
    others: async () => held().OTHER,
    close: async () => {},
  }
})

test('all names change in one patch; null deletes, and other keys stay', async () => {
  cluster.createSecret('shop', 'app', { DSN: 'old', OLD: 'x', KEPT: 'yes' })
  const before = patches()
  await storeOf().write(call(), { DSN: 'new\nlines, ünïcode', OLD: null })
  expect(cluster.secret('shop', 'app')).toEqual({ DSN: 'new\nlines, ünïcode', KEPT: 'yes' })
  expect(await storeOf().look(call(), ['DSN', 'OLD', 'constructor'])).toEqual({
    DSN: { value: 'new\nlines, ünïcode' },
    OLD: null,
    constructor: null,
  })
  expect(patches()).toBe(before + 1)
})

test('writing again changes nothing, also after an answer that was lost', async () => {
  cluster.createSecret('shop', 'app', {})
  cluster.faults.next('secrets.patch', 'drop')
  await expect(storeOf().write(call(), { DSN: 'new' })).rejects.toMatchObject({ code: 'ERR_OUTSIDE_UNCERTAIN' })
  const before = patches()
  await storeOf().write(call(), { DSN: 'new' })
  expect(patches()).toBe(before)
})

test('who changed it in between is not overwritten: it is read again', async () => {
  cluster.createSecret('shop', 'app', { DSN: 'old', KEPT: '1' })
  const { promise, resolve } = Promise.withResolvers<void>()
  cluster.faults.next('secrets.get', { until: promise })
  const before = cluster.calls.length
  const written = storeOf().write(call(), { DSN: 'new' })
  await expect.poll(() => cluster.calls.slice(before).some(({ applied }) => applied), { timeout: 60_000 }).toBe(true)
  cluster.editElsewhere('shop', 'app', { KEPT: '2' })
  resolve()
  await written
  expect(cluster.calls.slice(before).map(({ status }) => status)).toEqual([200, 409, 200, 200])
  expect(cluster.secret('shop', 'app')).toEqual({ DSN: 'new', KEPT: '2' })
})

test('a Secret that keeps changing is busy; refusals say the reason, and no value or token', async () => {
  cluster.createSecret('shop', 'app', { DSN: 'old' })
  cluster.faults.next('secrets.patch', { status: 409 }, { times: 100 })
  await expect(storeOf().write(call(), { DSN: 'new' })).rejects.toMatchObject({ code: 'ERR_OUTSIDE_BUSY' })
  cluster.faults.clear()
  const refusals = await Promise.all(
    [{ token: { env: 'READER' } }, { token: { env: 'WRONG' } }, { name: 'nothing' }].map((more) =>
      storeOf(more).write(call(), { DSN: 's3cret-value' }).catch(String),
    ),
  )
  expect(refusals).toEqual([
    expect.stringContaining('403, Forbidden'),
    expect.stringContaining('401, Unauthorized'),
    expect.stringContaining('404, NotFound'),
  ])
  expect(String(refusals)).not.toMatch(/s3cret-value|wrong-token|eyJ/)
})

test('a check finds a right that is missing, an immutable Secret and a name that is none, and changes nothing', async () => {
  cluster.createSecret('shop', 'app', { DSN: 'old' })
  cluster.createSecret('shop', 'fixed', { DSN: 'old' }, { immutable: true })
  expect(await storeOf().check(call(), ['DSN'])).toEqual([])
  for (const more of [{ token: { env: 'READER' } }, { token: { env: 'WRONG' } }, { name: 'fixed' }, { name: 'nothing' }])
    expect(await storeOf(more).check(call(), ['DSN'])).toMatchObject([{ severity: 'fault' }])
  expect(await storeOf().check(call(), ['not good'])).toMatchObject([{ severity: 'fault' }])
  expect(cluster.secret('shop', 'app')).toEqual({ DSN: 'old' })
  expect(options.safeParse(given({ name: '../x' })).success).toBe(false)
})
