import { afterAll, beforeEach, expect, test } from 'vitest'
import { storeConformance } from '../../../../test/conformance/secrets/store.ts'
import { startGcp } from '../../../../test/doubles/gcp.ts'
import { callOf, worldOf } from '../../../../test/harness/parts.ts'
import { kindOf } from '../outside/failure.ts'
import gcpSecretManager, { options } from './gcp-secret-manager.ts'

const gcp = await startGcp()
const config = { project: gcp.project, admin: { env: 'ADMIN' }, endpoint: gcp.origin, token: `${gcp.origin}/token` }
const open = (more: object = {}, admin = gcp.adminKeyFile) =>
  gcpSecretManager(options.parse({ ...config, ...more }), worldOf({ ADMIN: admin }))
const added = (id: string) => gcp.secrets.states(id).length

beforeEach(() => {
  gcp.faults.clear()
  Object.assign(gcp.rules, { skew: Number.POSITIVE_INFINITY, lag: { accept: 0, refuse: 0, list: 0, pointer: 0, state: 0 } })
})
afterAll(() => gcp.stop())

storeConformance('gcp-secret-manager', async () => {
  // The clock of the suite jumps.
  gcp.rules.skew = Number.POSITIVE_INFINITY
  gcp.secrets.make('app')
  await open({ alias: 'current' }).write(callOf(), { app: '{"REGION":"eu","PORT":5432}' })
  const store = open({ secret: 'app', alias: 'current' })
  const held = async (names: string[]) =>
    Object.fromEntries(
      Object.entries(await store.look(callOf(), names)).flatMap(([name, held]) =>
        held !== null && 'value' in held ? [[name, held.value]] : [],
      ),
    )
  return {
    config: { store: 'gcp-secret-manager', ...config, secret: 'app', alias: 'current' },
    env: { ADMIN: gcp.adminKeyFile },
    names: ['API_KEY', 'API_KEY_PREVIOUS'],
    read: () => held(['API_KEY', 'API_KEY_PREVIOUS']),
    others: () => held(['REGION', 'PORT']),
    close: async () => {},
  }
})

test('a value without a document is the secret itself, and one write is one version, however often.', async () => {
  gcp.secrets.make('api-key')
  const [store, call] = [open(), callOf()]
  expect(await store.check(call, ['api-key'])).toEqual([])
  expect(await store.look(call, ['api-key'])).toEqual({ 'api-key': null })
  for (const _ of [1, 2]) expect(await store.write(call, { 'api-key': 'one' })).toEqual({ version: 'api-key@1' })
  expect([gcp.secrets.value('api-key', 1), added('api-key')]).toEqual(['one', 1])
  expect(await store.look(call, ['api-key'])).toEqual({ 'api-key': { value: 'one' } })
})

test.each([{}, { alias: 'current' }])(
  'a write is over when readers get it; until then it is made again, and adds nothing: %o',
  async (pointer) => {
    const secret = `lagging-${'alias' in pointer}`
    gcp.secrets.make(secret)
    const store = open({ secret, ...pointer })
    await store.write(callOf(), { A: 'one' })
    gcp.rules.lag.pointer = 2
    const kinds: unknown[] = []
    for (const _ of [1, 2, 3]) kinds.push(await store.write(callOf(), { A: 'two' }).then(({ version }) => version, kindOf))
    expect(kinds).toEqual(['uncertain', 'uncertain', `${secret}@2`])
    expect(added(secret)).toBe(2)
  },
)

test.each(['addVersion', 'updateSecret'])('a write that dies after %s goes on with the version that was added.', async (operation) => {
  const secret = `dying-${operation}`
  gcp.secrets.make(secret)
  const store = open({ secret, alias: 'current' })
  await store.write(callOf(), { A: 'one' })
  gcp.faults.next(operation, 'drop')
  expect(await store.write(callOf(), { A: 'two' }).then(() => 'done', kindOf)).toBe('uncertain')
  expect(await store.write(callOf(), { A: 'two' })).toEqual({ version: `${secret}@2` })
  // Going back is a version of its own.
  expect(await store.write(callOf(), { A: 'one' })).toEqual({ version: `${secret}@3` })
})

test('an alias that somebody moves at the same time is not moved over; other aliases stay.', async () => {
  gcp.secrets.make('contended')
  const [mine, other] = [open({ secret: 'contended', alias: 'current' }), open({ secret: 'contended', alias: 'other' })]
  await other.write(callOf(), { B: 'b' })
  await mine.write(callOf(), { A: 'a' })
  const { promise: held, resolve } = Promise.withResolvers<void>()
  gcp.faults.next('getSecret', { until: held })
  const slow = mine.write(callOf(), { A: 'slow' }).then(() => 'done', kindOf)
  await expect.poll(() => gcp.calls.at(-1), { timeout: 60_000 }).toMatchObject({ operation: 'getSecret', status: 0 })
  await other.write(callOf(), { B: 'faster' })
  resolve()
  expect(await slow).toBe('busy')
  expect(await mine.look(callOf(), ['A', 'B'])).toEqual({ A: { value: 'a' }, B: null })
  await mine.write(callOf(), { A: 'slow' })
  expect(await other.look(callOf(), ['A', 'B'])).toEqual({ A: null, B: { value: 'faster' } })
})

test('what stands in the way is found before anything changes.', async () => {
  const call = callOf()
  expect(await open().check(call, ['none'])).toMatchObject([{ severity: 'fault', sentence: expect.stringContaining('no secret "none"') }])
  expect(await open().check(call, ['a', 'b'])).toMatchObject([{ severity: 'fault' }])
  expect(await open().check(call, ['with.dot'])).toMatchObject([{ severity: 'fault' }])
  expect(await open({}, gcp.keyFile).check(call, ['none'])).toMatchObject([{ sentence: expect.stringContaining('403, PERMISSION_DENIED') }])
  gcp.secrets.make('text')
  await open().write(call, { text: 'a plain password' })
  const found = await open({ secret: 'text' }).check(call, ['A'])
  expect(found).toMatchObject([{ severity: 'fault', sentence: expect.stringContaining('no JSON object') }])
  expect(JSON.stringify(found)).not.toContain('plain password')
})

test('a call that is throttled is busy.', async () => {
  gcp.secrets.make('throttled')
  gcp.faults.next('addVersion', { status: 429, headers: { 'retry-after': '3' } })
  const error = await open()
    .write(callOf(), { throttled: 'x' })
    .catch((each: unknown) => each)
  expect(kindOf(error)).toBe('busy')
})

test('options that cannot be right are refused, and what stood there is not repeated.', () => {
  const right = config
  expect(options.safeParse(right).success).toBe(true)
  for (const wrong of [
    { admin: 's3cret' },
    { secret: 'with.dot' },
    { alias: 'latest' },
    { alias: '1st' },
    { project: 'a/b' },
    { endpoint: 'https://me:s3cret@example.com' },
  ]) {
    const { success, error } = options.safeParse({ ...right, ...wrong })
    expect([wrong, success, JSON.stringify(error?.issues).includes('s3cret')]).toEqual([wrong, false, false])
  }
})
