import { STS } from '@aws-sdk/client-sts'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { rotatorConformance } from '../../../../test/conformance/secrets/rotator.ts'
import { startAws } from '../../../../test/doubles/aws/aws.ts'
import { AwsError } from '../../../../test/doubles/aws/aws-error.ts'
import { callOf, worldOf } from '../../../../test/harness/parts.ts'
import { kindOf } from '../outside/failure.ts'
import type { Credential } from '../secret/credential.ts'
import awsIamAccessKey, { options } from './aws-iam-access-key.ts'

const day = 86_400_000
let now = Date.parse('2026-03-01T00:00:00Z')
const aws = await startAws({ clock: () => new Date(now) })
const env = { ID: aws.env.AWS_ACCESS_KEY_ID ?? '', SECRET: aws.env.AWS_SECRET_ACCESS_KEY ?? '' }
const signedWith = {
  region: 'eu-central-1',
  endpoint: aws.endpoint,
  credentials: { accessKeyId: { env: 'ID' }, secretAccessKey: { env: 'SECRET' } },
}
const open = (user: string, more: object = {}) =>
  awsIamAccessKey(
    options.parse({ ...signedWith, user, ...more }),
    worldOf(env, () => now),
  )

let users = 0
/** A user with a key that is in use. */
function newUser() {
  const { name } = aws.account.addUser(`app-${++users}`)
  const { id, secret } = aws.account.addKey(name)
  const current: Credential = { id, parts: { accessKeyId: id, secretAccessKey: secret } }
  return { name, current, rotator: open(name) }
}
const keysOf = (name: string) => aws.account.keysOf(name).map(({ id, status }) => `${id} ${status}`)
/** What a failure means to the engine; a success is a failure of the test. */
const kind = (work: Promise<unknown>) =>
  work.then(
    () => 'it succeeded',
    (error: unknown) => kindOf(error),
  )
const useKey = (accessKeyId: string, secretAccessKey: string) =>
  new STS({ ...signedWith, maxAttempts: 1, credentials: { accessKeyId, secretAccessKey } }).getCallerIdentity({})

afterEach(() => {
  aws.faults.clear()
  aws.account.perPage = 100
  Object.assign(aws.account.propagation, { activated: [], ended: [], unlisted: 0, lastUsed: 0 })
})
afterAll(() => aws.stop())

test('a second key is made and works beside the first, which is turned off, back on, and deleted', async () => {
  const { name, current, rotator } = newUser()
  const call = callOf()
  expect(await rotator.check(call, current)).toEqual([])
  const made = await rotator.create(call, null, current)
  expect(made).toEqual({ id: made.parts.accessKeyId, parts: { accessKeyId: made.id, secretAccessKey: expect.any(String) } })
  for (const credential of [current, made]) expect(await rotator.verify(call, credential)).toMatchObject({ works: true })
  for (const _ of [1, 2]) await rotator.disable?.(call, current)
  expect(await rotator.verify(call, current)).toMatchObject({ works: false, sentence: 'STS refused the key (InvalidClientTokenId)' })
  for (const _ of [1, 2]) await rotator.enable?.(call, current)
  expect(await rotator.verify(call, current)).toMatchObject({ works: true })
  await rotator.disable?.(call, current)
  for (const _ of [1, 2]) await rotator.revoke(call, current, made)
  await rotator.disable?.(call, current)
  expect(keysOf(name)).toEqual([`${made.id} Active`])
  expect(await kind(Promise.resolve(rotator.enable?.(call, current)))).toBe('refused')
  expect(await kind(rotator.revoke(call, made, made))).toBe('refused')
})

describe('where there are two keys already', () => {
  test('nothing is deleted and nothing is made: a person is told which ones', async () => {
    const { name, current, rotator } = newUser()
    const other = aws.account.addKey(name)
    other.status = 'Inactive'
    const [finding] = await rotator.check(callOf(), current)
    expect(finding).toMatchObject({
      severity: 'fault',
      sentence: expect.stringContaining(`${current.id} (active) and ${other.id} (inactive)`),
    })
    await expect(rotator.create(callOf(), null, current)).rejects.toMatchObject({
      code: 'ERR_OUTSIDE_REFUSED',
      message: expect.stringContaining(other.id),
    })
    expect(keysOf(name)).toHaveLength(2)
  })

  test('one that is inactive and long unused is deleted, if the configuration allows it', async () => {
    const { name, current } = newUser()
    const rotator = open(name, { deleteInactiveAfter: '30d' })
    const other = aws.account.addKey(name)
    other.lastUsed = { at: new Date(now), service: 's3' }
    now += 29 * day
    other.status = 'Inactive'
    expect(await kind(rotator.create(callOf(), null, current))).toBe('refused')
    now += 2 * day
    other.status = 'Active'
    expect(await kind(rotator.create(callOf(), null, current))).toBe('refused')
    other.status = 'Inactive'
    // Which of the two is in use is not known.
    expect(await kind(rotator.create(callOf(), null, null))).toBe('refused')
    expect(await rotator.check(callOf(), current)).toMatchObject([{ severity: 'warning', sentence: expect.stringContaining(other.id) }])
    const made = await rotator.create(callOf(), null, current)
    expect(keysOf(name)).toEqual([`${current.id} Active`, `${made.id} Active`])
  })

  test('the current one is never deleted, however long it was not used', async () => {
    const { name, current } = newUser()
    const rotator = open(name, { deleteInactiveAfter: '1d' })
    aws.account.addKey(name)
    const [first] = aws.account.keysOf(name)
    if (first !== undefined) first.status = 'Inactive'
    now += 100 * day
    expect(await kind(rotator.create(callOf(), null, current))).toBe('refused')
    expect(keysOf(name)).toHaveLength(2)
  })
})

describe('what AWS knows late', () => {
  test('a new key is asked for until every server knows it', async () => {
    aws.account.propagation.activated = [false, false, false, true, false, false, true, true]
    const { current, rotator } = newUser()
    const made = await rotator.create(callOf(), null, current)
    expect(await rotator.verify(callOf(), made)).toMatchObject({ works: false, later: true })
    expect(await kind(rotator.verify(callOf(), made))).toBe('busy')
    expect(await rotator.verify(callOf(), made)).toMatchObject({ works: true })
  })

  test('a key that is turned off is not taken for refused while some server still takes it', async () => {
    aws.account.propagation.ended = [true, true, true, true]
    const { current, rotator } = newUser()
    await rotator.disable?.(callOf(), current)
    expect(await rotator.verify(callOf(), current)).toMatchObject({ works: true })
    expect(await kind(rotator.verify(callOf(), current))).toBe('busy')
    expect(await rotator.verify(callOf(), current)).toMatchObject({ works: false })
  })

  test('a key that is turned on again is not back before every server takes it', async () => {
    const { current, rotator } = newUser()
    await rotator.disable?.(callOf(), current)
    aws.account.propagation.activated = [false, false, false, true]
    expect(await kind(Promise.resolve(rotator.enable?.(callOf(), current)))).toBe('busy')
    await rotator.enable?.(callOf(), current)
    expect(await rotator.verify(callOf(), current)).toMatchObject({ works: true })
  })

  test('a key that IAM counts and does not list is one that nobody knows of', async () => {
    const { current, rotator } = newUser()
    aws.account.propagation.unlisted = 1
    aws.faults.add({ operation: 'CreateAccessKey', kind: 'drop' })
    expect(await kind(rotator.create(callOf(), null, current))).toBe('uncertain')
    expect(await kind(rotator.create(callOf(), null, current))).toBe('uncertain')
    expect(await rotator.list?.(callOf())).toHaveLength(2)
  })
})

test('the list says what was used: a key whose answer was lost is known by that', async () => {
  const { current, rotator } = newUser()
  await useKey(current.parts.accessKeyId ?? '', current.parts.secretAccessKey ?? '')
  aws.faults.add({ operation: 'CreateAccessKey', kind: 'drop' })
  expect(await kind(rotator.create(callOf(), null, current))).toBe('uncertain')
  expect(await rotator.list?.(callOf())).toMatchObject([
    { id: current.id, name: null, used: true, enabled: true, createdAt: now },
    { name: null, used: false, enabled: true },
  ])
  expect(await rotator.lastUsed?.(callOf(), current)).toBe(now)
  aws.faults.add({
    operation: 'GetAccessKeyLastUsed',
    kind: 'refuse',
    error: new AwsError('AccessDenied', 403),
  })
  expect(await rotator.lastUsed?.(callOf(), current)).toBeUndefined()
})

describe('verification', () => {
  test('a wrong secret, and a key of another user or account, do not work, now or later', async () => {
    const [{ current, name }, { rotator }] = [newUser(), newUser()]
    const wrong = { id: current.id, parts: { ...current.parts, secretAccessKey: 'x'.repeat(40) } }
    expect(await open(name).verify(callOf(), wrong)).toMatchObject({ works: false, later: false })
    expect(await rotator.verify(callOf(), current)).toMatchObject({
      works: false,
      later: false,
      sentence: expect.stringContaining('not one of'),
    })
    expect(await open(name, { account: '999999999999' }).verify(callOf(), current)).toMatchObject({ works: false, later: false })
    expect(await open(name, { account: '111122223333' }).verify(callOf(), current)).toMatchObject({ works: true })
  })

  test('each try has a connection of its own', async () => {
    const { current, rotator } = newUser()
    const before = aws.connections
    await rotator.verify(callOf(), current)
    expect(aws.connections - before).toBe(3)
  })
})

describe('failures', () => {
  test.each([
    ['throttle', 'busy'],
    ['fail', 'uncertain'],
    ['fail-late', 'uncertain'],
    ['drop', 'uncertain'],
  ] as const)('%s is %s', async (fault, expected) => {
    const { current, rotator } = newUser()
    aws.faults.add({ operation: 'CreateAccessKey', kind: fault })
    expect(await kind(rotator.create(callOf(), null, current))).toBe(expected)
  })

  test('an answer that never comes ends with the call, and is uncertain', async () => {
    const { name, current, rotator } = newUser()
    aws.faults.add({ operation: 'CreateAccessKey', kind: 'silent-late' })
    const ended = new AbortController()
    const creating = kind(rotator.create(callOf({ signal: ended.signal }), null, current))
    await expect.poll(() => keysOf(name).length, { timeout: 60_000 }).toBe(2)
    ended.abort()
    expect(await creating).toBe('uncertain')
  })

  test('nobody there is busy; a user who is not, and no right, are refused, without a word of the answer', async () => {
    const { current, rotator } = newUser()
    await aws.stop()
    expect(await kind(rotator.create(callOf(), null, current))).toBe('busy')
    await aws.start()
    const [finding] = await open('nobody').check(callOf(), null)
    expect(finding).toMatchObject({ severity: 'fault', sentence: expect.stringContaining('NoSuchEntity') })
    const message = 'User arn:… is not authorized, and other things'
    aws.faults.add({ kind: 'refuse', error: new AwsError('AccessDenied', 403, message) })
    await expect(rotator.create(callOf(), null, current)).rejects.toMatchObject({
      code: 'ERR_OUTSIDE_REFUSED',
      message: expect.not.stringContaining('authorized'),
    })
    const stranger = awsIamAccessKey(options.parse({ ...signedWith, user: 'app' }), worldOf({ ...env, SECRET: 'x' }))
    const error = await stranger.list?.(callOf()).catch((thrown) => thrown)
    expect(error).toMatchObject({ code: 'ERR_OUTSIDE_REFUSED', message: expect.stringContaining('SignatureDoesNotMatch') })
  })
})

test('the key in use at the first rotation has to be one of the user, and to work; its id need not be given', async () => {
  const [{ name, current, rotator }, other] = [newUser(), newUser()]
  aws.account.addKey(name)
  const { secretAccessKey = '' } = current.parts
  expect(await rotator.adopt?.(callOf(), current.parts)).toEqual(current)
  expect(await rotator.adopt?.(callOf(), { secretAccessKey })).toEqual(current)
  const wrong = [other.current.parts, { secretAccessKey: 'x' }, { ...current.parts, secretAccessKey: 'x' }, {}]
  for (const parts of wrong) expect(await kind(Promise.resolve(rotator.adopt?.(callOf(), parts)))).toBe('refused')
  expect(await open(name, { deleteInactiveAfter: '1d' }).check(callOf(), other.current)).toMatchObject([
    { severity: 'fault', sentence: expect.stringContaining('is not one of the user') },
    { severity: 'fault' },
  ])
})

test.each([
  ['no user', {}],
  ['a key in the open', { user: 'app', credentials: { accessKeyId: 'AKIA', secretAccessKey: 'x' } }],
  ['an account that is none', { user: 'app', account: '12' }],
  ['a login in the address', { user: 'app', endpoint: 'https://a:b@iam.example' }],
])('%s is refused before anything is asked', (_, given) => {
  expect(options.safeParse(given).success).toBe(false)
})

rotatorConformance('aws-iam-access-key', async () => {
  const { name, current } = newUser()
  return {
    config: { rotator: 'aws-iam-access-key', ...signedWith, user: name },
    env,
    first: { secretAccessKey: current.parts.secretAccessKey ?? '' },
    templates: { AWS_KEY: '{accessKeyId}:{secretAccessKey}' },
    login: ({ AWS_KEY = '' }) =>
      useKey(AWS_KEY.slice(0, 20), AWS_KEY.slice(21)).then(
        () => true,
        () => false,
      ),
    live: async () => aws.account.keysOf(name).length,
    // A key that has ended is let in for a while. (A new one that is refused at first would be given up after a crash of twenty minutes.)
    rest: async () => void Object.assign(aws.account.propagation, { ended: [true, true, true] }),
    close: async () => {},
  }
})

test('a list in pieces is read to its end, and one that is cut short is none.', async () => {
  const { name, current, rotator } = newUser()
  const other = aws.account.addKey(name)
  aws.account.perPage = 1
  expect((await rotator.list?.(callOf()))?.map(({ id }) => id).toSorted()).toEqual([current.id, other.id].toSorted())
  expect(await rotator.check(callOf(), current)).toMatchObject([{ severity: 'fault', sentence: expect.stringContaining(other.id) }])
})

test('a key that would be turned off with its own right is found before: it could not be turned on again.', async () => {
  const { name, current } = newUser()
  const own = worldOf({ ID: current.id ?? '', SECRET: current.parts.secretAccessKey ?? '' }, () => now)
  const rotator = (credentials: object) => awsIamAccessKey(options.parse({ ...signedWith, user: name, credentials }), own)
  expect(await rotator(signedWith.credentials).check(callOf(), current)).toMatchObject([{ severity: 'fault' }])
})
