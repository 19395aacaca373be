import { afterAll, beforeEach, expect, test } from 'vitest'
import { rotatorConformance } from '../../../../test/conformance/secrets/rotator.ts'
import { startGcp } from '../../../../test/doubles/gcp.ts'
import { callOf, worldOf } from '../../../../test/harness/parts.ts'
import { kindOf } from '../outside/failure.ts'
import gcpServiceAccountKey, { options } from './gcp-service-account-key.ts'

const gcp = await startGcp()
const firstId: string = JSON.parse(gcp.keyFile).private_key_id
const first = { id: firstId, parts: { keyFile: gcp.keyFile, keyId: firstId } }
const open = (more: object = {}, admin = gcp.adminKeyFile) => {
  const known = { account: gcp.email, admin: { env: 'ADMIN' }, iam: gcp.origin, token: `${gcp.origin}/token` }
  return gcpServiceAccountKey(options.parse({ ...known, ...more }), worldOf({ ADMIN: admin }))
}

beforeEach(() => {
  gcp.faults.clear()
  gcp.rules.lag = { accept: 0, refuse: 0, list: 0, pointer: 0, state: 0 }
})
afterAll(() => gcp.stop())

rotatorConformance('gcp-service-account-key', async () => {
  const own = await startGcp()
  // The clock of the suite jumps.
  own.rules.skew = Number.POSITIVE_INFINITY
  Object.assign(own.rules.lag, { refuse: 1, list: 1 })
  const at = { iam: own.origin, token: `${own.origin}/token` }
  const parsed = options.parse({ account: own.email, admin: { env: 'ADMIN' }, ...at })
  return {
    config: { rotator: 'gcp-service-account-key', account: own.email, admin: { env: 'ADMIN' }, ...at },
    env: { ADMIN: own.adminKeyFile },
    first: { keyFile: own.keyFile },
    templates: { GOOGLE_CREDENTIALS: '{keyFile}' },
    login: async ({ GOOGLE_CREDENTIALS: keyFile = '' }) =>
      (await gcpServiceAccountKey(parsed, worldOf({})).verify(callOf(), { id: null, parts: { keyFile } })).works,
    live: async () => own.keys.live(own.email).length,
    close: () => own.stop(),
  }
})

test('a key works beside the old one, is switched off and on, and ends by its id.', async () => {
  const [rotator, call] = [open(), callOf()]
  expect(await rotator.check(call, first)).toEqual([])
  const made = await rotator.create(call, null, first)
  expect(await rotator.list!(call)).toContainEqual({ id: made.id, name: null, createdAt: expect.any(Number), used: null, enabled: true })
  for (const key of [first, made]) expect(await rotator.verify(call, key)).toMatchObject({ works: true })
  for (const _ of [1, 2]) await rotator.disable!(call, { id: made.id, parts: {} })
  expect(await rotator.verify(call, made)).toMatchObject({ works: false })
  expect((await rotator.list!(call)).find(({ id }) => id === made.id)?.enabled).toBe(false)
  for (const _ of [1, 2]) await rotator.enable!(call, { id: made.id, parts: {} })
  expect(await rotator.verify(call, made)).toMatchObject({ works: true })
  for (const _ of [1, 2]) await rotator.revoke(call, { id: made.id, parts: {} }, first)
  expect(await rotator.verify(call, made)).toMatchObject({ works: false })
  expect(gcp.keys.live(gcp.email)).toEqual([first.id])
})

test('a new key that Google does not accept yet works later.', async () => {
  const [rotator, call] = [open(), callOf()]
  gcp.rules.lag.accept = 2
  const made = await rotator.create(call, null, first)
  expect(await rotator.verify(call, made)).toMatchObject({ works: false, later: true, sentence: expect.stringContaining('invalid_grant') })
  expect(await rotator.verify(call, made)).toMatchObject({ works: false, later: true })
  expect(await rotator.verify(call, made)).toMatchObject({ works: true })
  await rotator.revoke(call, made, first)
})

test('a key that is enabled again is given to nobody before it is accepted.', async () => {
  const [rotator, call] = [open(), callOf()]
  const made = await rotator.create(call, null, first)
  await rotator.disable!(call, made)
  gcp.rules.lag.accept = 1
  expect(await rotator.enable!(call, made).then(() => 'done', kindOf)).toBe('busy')
  gcp.rules.lag.accept = 0
  await rotator.enable!(call, made)
  expect(await rotator.verify(call, made)).toMatchObject({ works: true })
  await rotator.revoke(call, made, first)
})

test('an account that has ten keys is found before anything changes, and the eleventh is refused.', async () => {
  const [rotator, call] = [open(), callOf()]
  const made: string[] = []
  while (gcp.keys.live(gcp.email).length < 10) made.push((await rotator.create(call, null, first)).id!)
  expect(await rotator.check(call, first)).toMatchObject([{ severity: 'fault', sentence: expect.stringContaining('10 keys') }])
  const error = await rotator.create(call, null, first).catch((each: unknown) => each)
  expect([kindOf(error), String(error)]).toEqual(['refused', expect.stringContaining('FAILED_PRECONDITION')])
  for (const id of made) await rotator.revoke(call, { id, parts: {} }, first)
})

test('the key in use is known by the id in its file, which must be one of the account.', async () => {
  const [rotator, call] = [open(), callOf()]
  expect(await rotator.adopt!(call, { keyFile: gcp.keyFile })).toEqual(first)
  for (const keyFile of [gcp.adminKeyFile, 'not a key file', '{}']) {
    const error = await rotator.adopt!(call, { keyFile }).catch((each: unknown) => each)
    expect([kindOf(error), String(error).includes('PRIVATE KEY')]).toEqual(['refused', false])
  }
})

test('what stands in the way is found before anything changes, and no key is repeated.', async () => {
  const call = callOf()
  const broken = JSON.stringify({ ...JSON.parse(gcp.adminKeyFile), private_key: '-----BEGIN PRIVATE KEY-----\nbroken' })
  const found: string[] = []
  for (const admin of [gcp.keyFile, broken, 'no file']) {
    const [fault] = await open({}, admin).check(call, first)
    expect(fault?.severity).toBe('fault')
    found.push(fault?.sentence ?? '')
  }
  expect(found).toEqual([
    expect.stringContaining('403, PERMISSION_DENIED'),
    expect.stringContaining('cannot be read'),
    expect.stringContaining('has not the form'),
  ])
  expect(found.join()).not.toContain('PRIVATE KEY')
  const own = await open({ account: `admin@${gcp.project}.iam.gserviceaccount.com` }).check(call, null)
  expect(own).toMatchObject([{ severity: 'warning' }])
  expect(await open({ account: 'none@example.com' }).check(call, null)).toMatchObject([{ sentence: expect.stringContaining('NOT_FOUND') }])
})

test('a lost answer is uncertain, a throttled call busy.', async () => {
  const [rotator, call] = [open(), callOf()]
  gcp.faults.next('createKey', 'drop')
  gcp.faults.next('createKey', { status: 429, headers: { 'retry-after': '1' } })
  const kinds: unknown[] = []
  for (const _ of [1, 2]) kinds.push(await rotator.create(call, null, first).then(() => 'done', kindOf))
  expect(kinds).toEqual(['uncertain', 'busy'])
  const lost = (await rotator.list!(call)).find(({ id }) => id !== first.id)
  await rotator.revoke(call, { id: lost!.id, parts: {} }, first)
  expect(gcp.keys.live(gcp.email)).toEqual([first.id])
})

test('options that cannot be right are refused, and what stood there is not repeated.', () => {
  const right = { account: gcp.email, admin: { env: 'ADMIN' } }
  expect(options.safeParse(right).success).toBe(true)
  for (const wrong of [{ admin: 's3cret' }, { account: 'app' }, { account: 'a/b@example.com' }, { iam: 'https://me:s3cret@example.com' }]) {
    const { success, error } = options.safeParse({ ...right, ...wrong })
    expect([wrong, success, JSON.stringify(error?.issues).includes('s3cret')]).toEqual([wrong, false, false])
  }
})

test('a page of a proxy is no sign that a key works, and the key that remains is not ended.', async () => {
  gcp.faults.next('token', { status: 200, body: '<html>Sign in to the network</html>' })
  expect(
    await open()
      .verify(callOf(), first)
      .then(() => 'done', kindOf),
  ).toBe('uncertain')
  expect(
    await open()
      .revoke(callOf(), first, first)
      .then(() => 'done', kindOf),
  ).toBe('refused')
  expect(gcp.keys.live(gcp.email)).toContain(first.id)
})
