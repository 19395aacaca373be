import { SecretsManager } from '@aws-sdk/client-secrets-manager'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { storeConformance } from '../../../../test/conformance/secrets/store.ts'
import { startAws } from '../../../../test/doubles/aws/aws.ts'
import { callOf, worldOf } from '../../../../test/harness/parts.ts'
import { kindOf } from '../outside/failure.ts'
import awsSecretsManager, { options } from './aws-secrets-manager.ts'

const aws = await startAws()
const env = { ID: aws.env.AWS_ACCESS_KEY_ID ?? '', SECRET: aws.env.AWS_SECRET_ACCESS_KEY ?? '' }
const client = new SecretsManager({
  region: 'eu-central-1',
  endpoint: aws.endpoint,
  credentials: { accessKeyId: env.ID, secretAccessKey: env.SECRET },
})
const given = (secret: string, more: object = {}) => ({
  region: 'eu-central-1',
  endpoint: aws.endpoint,
  credentials: { accessKeyId: { env: 'ID' }, secretAccessKey: { env: 'SECRET' } },
  secret,
  ...more,
})
let secrets = 0
/** A secret with this content, and a store before it. */
async function made(SecretString: string | null, more: object = {}) {
  const Name = `app/${++secrets}`
  const { VersionId: first = '' } = await client.createSecret({ Name, ...(SecretString !== null && { SecretString }) })
  return { Name, first, store: awsSecretsManager(options.parse(given(Name, more)), worldOf(env)) }
}
const textOf = async (SecretId: string) => (await client.getSecretValue({ SecretId })).SecretString
const labels = async (SecretId: string) => (await client.describeSecret({ SecretId })).VersionIdsToStages
const versions = async (SecretId: string) =>
  (await client.listSecretVersionIds({ SecretId, IncludeDeprecated: true })).Versions?.map(({ VersionId }) => VersionId)
const kind = (work: Promise<unknown> | undefined) =>
  Promise.resolve(work).then(
    () => 'it succeeded',
    (error: unknown) => kindOf(error),
  )

afterEach(() => aws.faults.clear())
afterAll(() => aws.stop())

storeConformance('aws-secrets-manager', async () => {
  const { Name } = await made('{"host": "db.internal", "port": 5432}')
  const read = async (): Promise<Record<string, string>> => JSON.parse((await textOf(Name)) ?? '{}')
  return {
    config: { store: 'aws-secrets-manager', ...given(Name) },
    env,
    names: ['password', 'oldPassword'],
    read: async () => Object.fromEntries(Object.entries(await read()).filter(([name]) => /password/i.test(name))),
    others: async () => {
      const { host, port } = await read()
      return { host, port }
    },
    close: async () => {},
  }
})

test('what is staged is read by nobody until it is written, and becomes the current version then', async () => {
  const { Name, first, store } = await made('{"password":"old","host":"db"}')
  const call = callOf()
  for (const _ of [1, 2]) await store.stage?.(call, { password: 'new' })
  expect(await labels(Name)).toEqual({ [first]: ['AWSCURRENT'], [call.attempt]: [`keyturn-${call.attempt}`] })
  expect(await store.look(call, ['password', 'none'])).toEqual({ password: { value: 'old' }, none: null })
  for (const _ of [1, 2]) expect(await store.write(call, { password: 'new' })).toEqual({ version: call.attempt })
  expect(await textOf(Name)).toBe('{"password":"new","host":"db"}')
  expect(await labels(Name)).toEqual({ [first]: ['AWSPREVIOUS'], [call.attempt]: ['AWSCURRENT'] })
  expect(await versions(Name)).toHaveLength(2)
})

test('what was staged and is given up loses its label, and goes', async () => {
  const { Name, first, store } = await made('{"password":"old"}')
  const call = callOf()
  await store.stage?.(call, { password: 'new' })
  for (const _ of [1, 2]) await store.unstage?.(call)
  expect(await labels(Name)).toEqual({ [first]: ['AWSCURRENT'] })
})

test('going back moves the label to the version from before, however it was written', async () => {
  const { Name, first, store } = await made('{\n  "password": "old",\n  "port": 5432\n}')
  await store.write(callOf(), { password: 'new' })
  const call = callOf()
  for (const _ of [1, 2]) expect(await store.write(call, { password: 'old' })).toEqual({ version: first })
  expect(await labels(Name)).toMatchObject({ [first]: ['AWSCURRENT'] })
  expect(await versions(Name)).toHaveLength(2)
})

test('what somebody else writes at the same time is kept', async () => {
  const { Name, store } = await made('{"password":"old"}')
  const call = callOf()
  await store.stage?.(call, { password: 'new' })
  await client.putSecretValue({ SecretId: Name, SecretString: '{"password":"old","host":"db"}' })
  // The version that was staged does not have it: another one of the same attempt does.
  const { version } = await store.write(call, { password: 'new' })
  expect(version).not.toBe(call.attempt)
  expect(await textOf(Name)).toBe('{"password":"new","host":"db"}')
  for (const stages of Object.values((await labels(Name)) ?? {})) expect(stages.join()).not.toContain('keyturn')
})

test('a write between the look and the move is not overwritten: the label stands somewhere else', async () => {
  const { Name, store } = await made('{"password":"old"}')
  const until = Promise.withResolvers<void>()
  aws.faults.add({ operation: 'PutSecretValue', kind: 'slow', until: until.promise })
  const call = callOf()
  const writing = kind(store.write(call, { password: 'new' }))
  await expect.poll(async () => (await versions(Name))?.length, { timeout: 60_000 }).toBe(2)
  await client.putSecretValue({ SecretId: Name, SecretString: '{"password":"old","host":"db"}' })
  until.resolve()
  expect(await writing).toBe('busy')
  await store.write(call, { password: 'new' })
  expect(await textOf(Name)).toBe('{"password":"new","host":"db"}')
})

test('lost answers: a repetition makes no version twice', async () => {
  const { Name, store } = await made('{"password":"old"}')
  const call = callOf()
  for (const operation of ['PutSecretValue', 'UpdateSecretVersionStage']) {
    aws.faults.add({ operation, kind: 'drop' })
    expect(await kind(store.write(call, { password: 'new' }))).toBe('uncertain')
  }
  await store.write(call, { password: 'new' })
  expect(await versions(Name)).toHaveLength(2)
  expect(await labels(Name)).toMatchObject({ [call.attempt]: ['AWSCURRENT'] })
})

test('other members keep every digit, and a name that is removed is gone', async () => {
  const { Name, store } = await made('{"big":12345678901234567890,"exact":1.10,"password":"old","deep":{"a":[1.0]}}')
  await store.write(callOf(), { password: null, token: 'x"y' })
  expect(await textOf(Name)).toBe('{"big":12345678901234567890,"exact":1.10,"deep":{"a":[1.0]},"token":"x\\"y"}')
  expect(await store.look(callOf(), ['exact', 'deep', 'token'])).toEqual({
    exact: { value: '1.10' },
    deep: { value: '{"a":[1.0]}' },
    token: { value: 'x"y' },
  })
})

test('a secret without a value gets its first; the order of names changes nothing', async () => {
  const { Name, store } = await made(null)
  const call = callOf()
  expect(await store.look(call, ['a'])).toEqual({ a: null })
  for (const _ of [1, 2]) expect(await store.write(call, { a: '1', b: '2' })).toEqual({ version: call.attempt })
  expect(await labels(Name)).toEqual({ [call.attempt]: ['AWSCURRENT'] })
  expect(await store.write(callOf(), { b: '2', a: '1' })).toEqual({ version: call.attempt })
})

test('a text is one value, whatever its name', async () => {
  const { Name, store } = await made('old', { format: 'text' })
  const call = callOf()
  await store.stage?.(call, { VALUE: 'new' })
  await store.write(call, { VALUE: 'new' })
  expect(await textOf(Name)).toBe('new')
  expect(await store.look(call, ['VALUE'])).toEqual({ VALUE: { value: 'new' } })
  expect(await kind(store.write(callOf(), { VALUE: null }))).toBe('refused')
  expect(await kind(store.write(callOf(), { A: 'a', B: 'b' }))).toBe('refused')
  expect(await store.check(callOf(), ['A', 'B'])).toMatchObject([{ severity: 'fault', sentence: expect.stringContaining('one name') }])
})

test('a rotation by AWS is not blocked by what is staged, and not disturbed by a write', async () => {
  const { Name, store } = await made('{"password":"old"}')
  await store.stage?.(callOf(), { password: 'new' })
  const arn = 'arn:aws:lambda:eu-central-1:111122223333:function:rotate'
  aws.secrets.rotations.lambdas.set(arn, async () => {})
  const { VersionId = '' } = await client.rotateSecret({ SecretId: Name, RotationLambdaARN: arn })
  await store.write(callOf(), { password: 'newer' })
  expect(await labels(Name)).toMatchObject({ [VersionId]: ['AWSPENDING'] })
  expect(await store.check(callOf(), ['password'])).toMatchObject([
    { severity: 'warning', sentence: expect.stringContaining('AWS rotates') },
  ])
})

describe('what cannot work is said before', () => {
  const sentences = async (store: Awaited<ReturnType<typeof made>>['store']) =>
    (await store.check(callOf(), ['password'])).map(({ severity, sentence }) => `${severity}: ${sentence}`).join()

  test('a secret that is fine; one that is not there, is to be deleted, holds something else', async () => {
    expect(await sentences((await made('{"password":"x"}')).store)).toBe('')
    expect(await sentences((await made(null)).store)).toBe('')
    expect(await sentences(awsSecretsManager(options.parse(given('nothing')), worldOf(env)))).toContain('ResourceNotFoundException')
    expect(await sentences((await made('no json')).store)).toContain('fault: AWS Secrets Manager')
    expect(await sentences((await made('[1]')).store)).toContain('JSON object')
    const deleted = await made('{}')
    await client.deleteSecret({ SecretId: deleted.Name })
    expect(await sentences(deleted.store)).toContain('scheduled for deletion')
    const binary = await made(null)
    await client.putSecretValue({ SecretId: binary.Name, SecretBinary: Uint8Array.of(1) })
    expect(await sentences(binary.store)).toContain('bytes')
    expect(await kind(binary.store.write(callOf(), { password: 'x' }))).toBe('refused')
  })
})

test.each([
  ['throttle', 'busy'],
  ['fail', 'uncertain'],
  ['drop', 'uncertain'],
  ['reset', 'uncertain'],
] as const)('%s is %s, and no error has a value in it', async (fault, expected) => {
  const { store } = await made('{"password":"old-s3cret"}')
  aws.faults.add({ operation: 'PutSecretValue', kind: fault })
  const error = await store.write(callOf(), { password: 'new-s3cret' }).catch((thrown: unknown) => thrown)
  expect(kindOf(error)).toBe(expected)
  expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain('s3cret')
})
