import { randomBytes } from 'node:crypto'
import { SecretsManager } from '@aws-sdk/client-secrets-manager'
import { Client } from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { rotatorConformance } from '../../../../test/conformance/secrets/rotator.ts'
import { startAws } from '../../../../test/doubles/aws/aws.ts'
import type { Lambda } from '../../../../test/doubles/aws/rotating.ts'
import { callOf, worldOf } from '../../../../test/harness/parts.ts'
import { useDatabase } from '../../../../test/harness/postgres.ts'
import { kindOf } from '../outside/failure.ts'
import type { Credential } from '../secret/credential.ts'
import awsSecretsManagerRotation, { options } from './aws-secrets-manager-rotation.ts'

const aws = await startAws()
const { rotations } = aws.secrets
const database = useDatabase()
const role = `kt_managed_${randomBytes(4).toString('hex')}`
const env = { ID: aws.env.AWS_ACCESS_KEY_ID ?? '', SECRET: aws.env.AWS_SECRET_ACCESS_KEY ?? '' }
const client = new SecretsManager({
  region: 'eu-central-1',
  endpoint: aws.endpoint,
  credentials: { accessKeyId: env.ID, secretAccessKey: env.SECRET },
})
const [pending, current] = ['AWSPENDING', 'AWSCURRENT']

const address = () => {
  const url = new URL(database.url)
  url.username = ''
  url.password = ''
  return url.href
}
async function logIn(user: string, password: string): Promise<boolean> {
  const url = new URL(address())
  url.username = user
  url.password = password
  const session = new Client({ connectionString: url.href })
  session.on('error', () => {})
  try {
    await session.connect()
    return true
  } catch {
    return false
  } finally {
    await session.end()
  }
}
const labels = async (SecretId: string) => (await client.describeSecret({ SecretId })).VersionIdsToStages ?? {}
const holder = async (SecretId: string, label = 'AWSCURRENT') =>
  Object.entries(await labels(SecretId)).find(([, stages]) => stages.includes(label))?.[0] ?? ''
const textOf = async (SecretId: string, VersionId: string): Promise<Record<string, string>> =>
  JSON.parse((await client.getSecretValue({ SecretId, VersionId })).SecretString ?? '{}')

/** What the function of AWS for one user does: a new password, the role changed, tried, and the label moved. */
const singleUser: Lambda = async ({ SecretId, ClientRequestToken, Step }) => {
  const now = await holder(SecretId)
  if (now === ClientRequestToken) return
  if (Step === 'createSecret') {
    if (await client.getSecretValue({ SecretId, VersionId: ClientRequestToken }).catch(() => null)) return
    const value = { ...(await textOf(SecretId, now)), password: randomBytes(20).toString('hex') }
    await client.putSecretValue({ SecretId, ClientRequestToken, SecretString: JSON.stringify(value), VersionStages: [pending ?? ''] })
  }
  const next = Step === 'setSecret' || Step === 'testSecret' ? await textOf(SecretId, ClientRequestToken) : {}
  if (Step === 'setSecret') await database.pool.query(`ALTER ROLE ${next.username} PASSWORD '${next.password}'`)
  if (Step === 'testSecret' && !(await logIn(next.username ?? '', next.password ?? ''))) throw new Error('the new password is not let in')
  if (Step === 'finishSecret')
    await client.updateSecretVersionStage({
      SecretId,
      VersionStage: current,
      MoveToVersionId: ClientRequestToken,
      RemoveFromVersionId: now,
    })
}
const lambda = 'arn:aws:lambda:eu-central-1:111122223333:function:rotate-postgres'
rotations.lambdas.set(lambda, singleUser)

let secrets = 0
const first = { user: role, password: 'as-it-was' }
/** A secret whose role has the password that stands in it, and a rotator before it. */
async function made(more: object = {}) {
  const Name = `db/${++secrets}`
  const SecretString = JSON.stringify({ engine: 'postgres', username: role, password: 'as-it-was', port: 5432 })
  const { VersionId = '' } = await client.createSecret({ Name, SecretString })
  await database.pool.query(`ALTER ROLE ${role} PASSWORD 'as-it-was'`)
  const given = {
    region: 'eu-central-1',
    endpoint: aws.endpoint,
    credentials: { accessKeyId: { env: 'ID' }, secretAccessKey: { env: 'SECRET' } },
    secret: Name,
    address: address(),
    lambda,
    ...more,
  }
  const rotator = awsSecretsManagerRotation(options.parse(given), worldOf(env))
  const before: Credential = { id: VersionId, parts: first }
  return { Name, given, rotator, before }
}
const kind = (work: Promise<unknown> | undefined) =>
  Promise.resolve(work).then(
    () => 'it succeeded',
    (error: unknown) => kindOf(error),
  )
const started = () => aws.calls.filter(({ operation, outcome }) => operation === 'RotateSecret' && outcome === 'ok').length

beforeAll(() => database.pool.query(`CREATE ROLE ${role} LOGIN PASSWORD 'as-it-was'`))
afterEach(() => {
  aws.faults.clear()
  rotations.cleansPending = true
})
afterAll(async () => {
  await database.pool.query(`DROP ROLE IF EXISTS ${role}`)
  await aws.stop()
})

rotatorConformance('aws-secrets-manager-rotation', async () => {
  const { given } = await made()
  return {
    config: { rotator: 'aws-secrets-manager-rotation', ...given },
    env,
    first: { password: first.password },
    templates: { PASSWORD: '{password}' },
    login: ({ PASSWORD = '' }) => logIn(role, PASSWORD),
    live: async () => 1,
    close: async () => {},
  }
})

test('rotation is turned on and triggered, watched until it has ended, and what came of it logs in', async () => {
  const { Name, rotator, before } = await made({ everyDays: 90 })
  const call = callOf()
  expect(await rotator.check(call, before)).toMatchObject([{ severity: 'warning', sentence: expect.stringContaining('turns that on') }])
  const next = await rotator.create(call, null, before)
  expect(next).toEqual({ id: call.attempt, parts: { user: role, password: expect.stringMatching(/^[0-9a-f]{40}$/) } })
  expect(await rotator.verify(call, next)).toMatchObject({ works: true, sentence: expect.stringContaining('logged in') })
  expect(await rotator.verify(call, before)).toMatchObject({ works: false })
  expect(await client.describeSecret({ SecretId: Name })).toMatchObject({
    RotationEnabled: true,
    RotationLambdaARN: lambda,
    RotationRules: { AutomaticallyAfterDays: 90 },
  })
  expect(await rotator.check(callOf(), next)).toEqual([])
})

test.each([true, false])('AWSPENDING may stay on the current version: %s', async (cleans) => {
  rotations.cleansPending = cleans
  const { Name, rotator, before } = await made()
  const next = await rotator.create(callOf(), null, before)
  expect(await holder(Name)).toBe(next.id)
  expect((await rotator.create(callOf(), null, next)).id).not.toBe(next.id)
})

describe('what has begun already is not begun again', () => {
  test('an answer that was lost, also for another attempt', async () => {
    const { rotator, before } = await made()
    const calls = [callOf(), callOf()]
    const count = started()
    aws.faults.add({ operation: 'RotateSecret', kind: 'drop' })
    expect(await kind(rotator.create(calls[0]!, null, before))).toBe('uncertain')
    expect(await rotator.list?.(callOf())).toEqual([])
    expect((await rotator.create(calls[1]!, null, before)).id).toBe(calls[0]!.attempt)
    expect(started() - count).toBe(1)
  })

  test('a rotation by the schedule of AWS', async () => {
    const { Name, rotator, before } = await made()
    await client.rotateSecret({ SecretId: Name, RotationLambdaARN: lambda })
    const count = started()
    const next = await rotator.create(callOf(), null, before)
    expect(next.id).toBe(await holder(Name))
    expect(await rotator.verify(callOf(), next)).toMatchObject({ works: true })
    expect(started()).toBe(count)
    expect(await rotator.check(callOf(), before)).toMatchObject([
      { severity: 'warning', sentence: expect.stringContaining('rotated it since') },
    ])
  })
})

test('a function that fails: the rotation does not end, which is said, and another one cannot begin', async () => {
  const broken = `${lambda}-broken`
  rotations.lambdas.set(broken, async () => {
    throw new Error('the function does not work')
  })
  const { Name, rotator, before, given } = await made({ lambda: broken })
  let now = 0
  const hurried = awsSecretsManagerRotation(
    options.parse(given),
    worldOf(env, () => (now += 100_000)),
  )
  await expect(hurried.create(callOf(), null, before)).rejects.toMatchObject({
    code: 'ERR_OUTSIDE_BUSY',
    message: expect.stringContaining('logs of its function'),
  })
  expect(await rotator.check(callOf(), before)).toMatchObject([{ severity: 'fault', sentence: expect.stringContaining('AWSPENDING') }])
  expect(await kind(rotator.reinstate?.(callOf(), before))).toBe('busy')
  expect(await logIn(role, 'as-it-was')).toBe(true)
  // Mended, and tried again by AWS: that is the rotation that was begun.
  rotations.lambdas.set(broken, singleUser)
  const ended = new AbortController()
  const waiting = rotator.create(callOf({ signal: ended.signal }), null, before)
  rotations.reattempt(aws.secrets.secret(Name))
  expect((await waiting).id).toBe(await holder(Name))
})

test('a call that is ended while it watches changed nothing that is not found again', async () => {
  const slow = `${lambda}-slow`
  const goOn = Promise.withResolvers<void>()
  rotations.lambdas.set(slow, async (event) => {
    await goOn.promise
    await singleUser(event)
  })
  const { Name, rotator, before } = await made({ lambda: slow })
  const ended = new AbortController()
  const watching = kind(rotator.create(callOf({ signal: ended.signal }), null, before))
  await expect.poll(() => holder(Name, 'AWSPENDING'), { timeout: 60_000 }).not.toBe('')
  ended.abort()
  expect(['busy', 'uncertain']).toContain(await watching)
  goOn.resolve()
  expect((await rotator.create(callOf(), null, before)).id).toBe(await holder(Name))
})

test('going back gives the role its old password, as a verifier, and moves the label back', async () => {
  const { Name, rotator, before } = await made()
  const next = await rotator.create(callOf(), null, before)
  for (const _ of [1, 2]) await rotator.reinstate?.(callOf(), before)
  expect([await logIn(role, 'as-it-was'), await logIn(role, next.parts.password ?? '')]).toEqual([true, false])
  expect(await holder(Name)).toBe(before.id)
  const again = await rotator.create(callOf(), null, before)
  expect(await rotator.verify(callOf(), again)).toMatchObject({ works: true })
})

test('without an address, what Secrets Manager gives out is what counts; with two users nothing is revoked', async () => {
  const { given, before } = await made()
  const { address: _, ...rest } = given
  const rotator = awsSecretsManagerRotation(options.parse(rest), worldOf(env))
  expect(rotator.reinstate).toBeUndefined()
  const next = await rotator.create(callOf(), null, before)
  expect(await rotator.verify(callOf(), next)).toMatchObject({ works: true })
  expect(await rotator.verify(callOf(), before)).toMatchObject({ works: false, later: false })
  expect(rotator).toMatchObject({ overlap: false, parts: { user: 'public', password: 'secret' } })
  expect(awsSecretsManagerRotation(options.parse({ ...rest, users: 'two' }), worldOf(env))).toMatchObject({ overlap: true, issuer: false })
  expect(await kind(rotator.revoke(callOf(), next, null))).toBe('refused')
})

test('what is in use at the first rotation is what AWS holds', async () => {
  const { rotator, before } = await made()
  expect(await rotator.adopt?.(callOf(), {})).toEqual(before)
  expect(await rotator.adopt?.(callOf(), first)).toEqual(before)
  expect(await kind(rotator.adopt?.(callOf(), { password: 'another' }))).toBe('refused')
})

test('what cannot work is said before', async () => {
  const sentences = async ({ rotator, before }: Awaited<ReturnType<typeof made>>) =>
    (await rotator.check(callOf(), before)).map(({ severity, sentence }) => `${severity}: ${sentence}`).join()
  expect(await sentences(await made({ lambda: undefined }))).toContain('fault: AWS Secrets Manager')
  expect(await sentences(await made({ parts: { password: 'secret' } }))).toContain('no member "secret"')
  expect(await sentences(await made({ secret: 'nothing' }))).toContain('ResourceNotFoundException')
  const deleted = await made()
  await client.deleteSecret({ SecretId: deleted.Name })
  expect(await sentences(deleted)).toContain('scheduled for deletion')
  const changed = await made()
  await database.pool.query(`ALTER ROLE ${role} PASSWORD 'by-hand'`)
  expect(await sentences(changed)).toContain('is not let in (28P01)')
})
