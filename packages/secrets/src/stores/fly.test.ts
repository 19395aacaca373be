import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, expect, test } from 'vitest'
import { storeConformance } from '../../../../test/conformance/secrets/store.ts'
import { startFly } from '../../../../test/doubles/fly.ts'
import type { Call } from '../secret/call.ts'
import { worldOf } from '../secret/opened-secret.ts'
import fly, { options } from './fly.ts'

const double = await startFly()
const { token } = double.createApp('shop')
const env = { FLY_TOKEN: `FLY_TOKEN_${token}`, TOKEN: token, KIND: `FlyV1 ${token}`, WRONG: 'fm2_wrong-token' }
const storeOf = (more: object = {}, extra: Record<string, string> = {}) =>
  fly(
    options.parse({ app: 'shop', token: { env: 'TOKEN' }, endpoint: double.api, pauseMs: 1, ...more }),
    worldOf({ ...env, ...extra }, Date.now),
  )
const call = (signal = new AbortController().signal): Call => ({ secret: 'jwt', attempt: randomUUID(), signal })
const failure = (work: Promise<unknown>) =>
  work.then(
    () => null,
    (error: unknown) => error as Error & { code: string },
  )

afterEach(() => {
  double.faults.clear()
  double.limited = false
})
afterAll(() => double.stop())

storeConformance('fly', async () => {
  const own = double.createApp('conforming')
  const read = async () => Object.fromEntries(Object.entries(double.secretsOf('conforming')).filter(([name]) => name !== 'OTHER'))
  await storeOf({ app: 'conforming', token: { env: 'OWN' } }, { OWN: own.token }).write(call(), { OTHER: 'stays' })
  return {
    config: { store: 'fly', app: 'conforming', token: { env: 'OWN' }, endpoint: double.api, pauseMs: 1, probe: true },
    env: { OWN: own.token },
    names: ['KEY', 'PREVIOUS_KEY'],
    read,
    others: async () => double.secretsOf('conforming').OTHER,
    close: async () => {},
  }
})

test('all names change as one version, whose number a target waits for; null deletes', async () => {
  await storeOf().write(call(), { OLD: 'x' })
  const before = double.calls.length
  const { version } = await storeOf().write(call(), { KEY: 'new', PREVIOUS: 'old', OLD: null })
  expect(version).toMatch(/^shop@\d+$/)
  expect(double.secretsOf('shop')).toEqual({ KEY: 'new', PREVIOUS: 'old' })
  expect(double.calls.slice(before)).toHaveLength(1)
})

test('writing again is harmless, also after an answer that was lost', async () => {
  double.faults.next('secrets.update', 'drop')
  expect(await failure(storeOf().write(call(), { KEY: 'again' }))).toMatchObject({ code: 'ERR_OUTSIDE_UNCERTAIN' })
  await storeOf().write(call(), { KEY: 'again' })
  expect(double.secretsOf('shop').KEY).toBe('again')
})

test('what is looked at is a digest, which changes with the value; nothing where there is nothing', async () => {
  await storeOf().write(call(), { KEY: 'one' })
  const one = await storeOf().look(call(), ['KEY', 'NEVER'])
  await storeOf().write(call(), { KEY: 'two' })
  const two = await storeOf().look(call(), ['KEY', 'NEVER'])
  expect(one).toEqual({ KEY: { digest: expect.any(String) }, NEVER: null })
  expect(two.KEY).not.toEqual(one.KEY)
  expect(storeOf().digest).toBeUndefined()
})

test('with a probe a value can be compared with its digest, and the probe is gone afterwards', async () => {
  const store = storeOf({ probe: true })
  await store.write(call(), { KEY: 'probed' })
  const { KEY } = await store.look(call(), ['KEY'])
  expect(KEY).toEqual({ digest: await store.digest?.(call(), 'probed') })
  expect(KEY).not.toEqual({ digest: await store.digest?.(call(), 'another') })
  expect(double.secretsOf('shop')).not.toHaveProperty('KEYTURN_PROBE')
})

test('a probe is gone also when the time is over in the middle', async () => {
  const stop = new AbortController()
  double.faults.next('secrets.list', 'silent')
  const looked = failure(storeOf({ probe: true }).digest?.(call(stop.signal), 's3cret-probe') ?? Promise.resolve())
  await expect.poll(() => double.calls.at(-1), { timeout: 60_000 }).toMatchObject({ operation: 'secrets.list', status: 0 })
  stop.abort()
  expect(await looked).toMatchObject({ code: 'ERR_OUTSIDE_UNCERTAIN' })
  expect(double.secretsOf('shop')).not.toHaveProperty('KEYTURN_PROBE')
})

test('an answer that asks for no pause is paused after all the same', async () => {
  double.faults.next('secrets.update', { status: 429, headers: { 'retry-after': '0' } }, { times: 1_000_000 })
  const before = double.calls.length
  const stop = new AbortController()
  const written = failure(storeOf({ pauseMs: 60_000 }).write(call(stop.signal), { KEY: 'x' }))
  await expect.poll(() => double.calls.length, { timeout: 60_000 }).toBeGreaterThan(before)
  // Time enough for a loop without a pause to ask often.
  for (let turn = 0; turn < 50; turn++) await storeOf().look(call(), ['KEY'])
  stop.abort()
  await written
  expect(double.calls.slice(before).filter(({ operation }) => operation === 'secrets.update')).toHaveLength(1)
})

test('a pause is made where there were too many calls, and the token may carry its kind', async () => {
  double.limited = true
  const store = storeOf({ token: { env: 'KIND' } })
  for (let time = 0; time < 6; time++) await store.write(call(), { KEY: `fast ${time}` })
  expect(double.secretsOf('shop').KEY).toBe('fast 5')
  expect(double.calls.some(({ status }) => status === 429)).toBe(true)
})

test('too many calls for the whole time is busy; other refusals say their status, and no value, token or answer', async () => {
  double.faults.next('secrets.update', { status: 429 }, { times: 10_000 })
  const busy = await failure(storeOf().write(call(AbortSignal.timeout(100)), { KEY: 's3cret-value' }))
  expect(['ERR_OUTSIDE_BUSY', 'ERR_OUTSIDE_UNCERTAIN']).toContain(busy?.code)
  double.faults.clear()
  const wrong = await failure(storeOf({ token: { env: 'WRONG' } }).write(call(), { KEY: 's3cret-value' }))
  expect(wrong).toMatchObject({ code: 'ERR_OUTSIDE_REFUSED', message: expect.stringContaining('401') })
  double.faults.next('secrets.update', { status: 422, body: { error: 's3cret-value is wrong' } })
  const odd = await failure(storeOf().write(call(), { KEY: 's3cret-value' }))
  expect(odd).toMatchObject({ code: 'ERR_OUTSIDE_REFUSED' })
  double.faults.next('secrets.update', { status: 500 })
  expect(await failure(storeOf().write(call(), { KEY: 's3cret-value' }))).toMatchObject({ code: 'ERR_OUTSIDE_UNCERTAIN' })
  expect(`${busy}${wrong}${odd}`).not.toMatch(/s3cret-value|fm2_/)
})

test('a check finds a wrong login, an app that is not there, and a name that is none', async () => {
  expect(await storeOf().check(call(), ['GOOD'])).toEqual([])
  expect(await storeOf().check(call(), ['not good'])).toMatchObject([{ severity: 'fault' }])
  expect(await storeOf({ token: { env: 'WRONG' } }).check(call(), ['A'])).toMatchObject([{ severity: 'fault' }])
  expect(await storeOf({ app: 'nothing' }).check(call(), ['A'])).toMatchObject([{ severity: 'fault' }])
  expect(await storeOf({ token: { env: 'UNSET' } }).check(call(), ['A'])).toMatchObject([{ severity: 'fault' }])
})

test('options that cannot work are refused', () => {
  const good = { app: 'shop', token: { env: 'TOKEN' } }
  expect(options.safeParse(good).success).toBe(true)
  expect(options.safeParse({ ...good, app: 'Shop/..' }).success).toBe(false)
  expect(options.safeParse({ ...good, token: 'fm2_x' }).success).toBe(false)
  expect(options.safeParse({ ...good, endpoint: 'https://me:word@api.test' }).success).toBe(false)
})
