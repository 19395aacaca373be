import { randomBytes } from 'node:crypto'
import { Client } from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { rotatorConformance } from '../../../../test/conformance/secrets/rotator.ts'
import { startAws } from '../../../../test/doubles/aws/aws.ts'
import type { DbInstance } from '../../../../test/doubles/aws/rds.ts'
import { callOf, worldOf } from '../../../../test/harness/parts.ts'
import { useDatabase } from '../../../../test/harness/postgres.ts'
import { kindOf } from '../outside/failure.ts'
import type { Credential } from '../secret/credential.ts'
import rdsMasterPassword, { options } from './rds-master-password.ts'

const aws = await startAws()
const database = useDatabase()
const role = `kt_master_${randomBytes(4).toString('hex')}`
const env = { ID: aws.env.AWS_ACCESS_KEY_ID ?? '', SECRET: aws.env.AWS_SECRET_ACCESS_KEY ?? '' }

/** What RDS does when it applies a password: the role is a real one. */
const setPassword = async (password: string) => {
  await database.pool.query(`ALTER ROLE ${role} PASSWORD '${password.replaceAll("'", "''")}'`)
}
/** The address of the test's database, without a login. */
const address = () => {
  const url = new URL(database.url)
  url.username = ''
  url.password = ''
  return url.href
}
const given = (instance: string) => ({
  region: 'eu-central-1',
  endpoint: aws.endpoint,
  credentials: { accessKeyId: { env: 'ID' }, secretAccessKey: { env: 'SECRET' } },
  instance,
  address: address(),
})
let instances = 0
/** An instance whose master has the password `as it was`. */
async function newInstance(more: Partial<DbInstance> = {}) {
  const id = `db-${++instances}`
  aws.rds.add({ id, engine: 'postgres', masterUserName: role, setPassword, ...more })
  await setPassword(first.parts.password ?? '')
  return rdsMasterPassword(options.parse(given(id)), worldOf(env))
}
const first: Credential = { id: null, parts: { user: role, password: 'as-it-was' } }
const logIn = async (password: string) => {
  const url = new URL(address())
  url.username = role
  url.password = password
  const client = new Client({ connectionString: url.href })
  client.on('error', () => {})
  try {
    await client.connect()
    return true
  } catch {
    return false
  } finally {
    await client.end()
  }
}
const kind = (work: Promise<unknown>) =>
  work.then(
    () => 'it succeeded',
    (error: unknown) => kindOf(error),
  )
/** What the engine does with "later" and "busy": asks again. */
const again = async <T>(work: () => Promise<T>, isDone: (result: T) => boolean): Promise<T> => {
  for (let tries = 0; tries < 20; tries++) {
    const result = await work().catch((error: unknown) => {
      if (kindOf(error) !== 'busy') throw error
      return null
    })
    if (result !== null && isDone(result)) return result
  }
  throw new Error('it does not end')
}
type Rotator = Awaited<ReturnType<typeof newInstance>>
const verified = (rotator: Rotator, credential: Credential) =>
  again(
    () => rotator.verify(callOf(), credential),
    ({ works }) => works,
  )
const modifications = () => aws.calls.filter(({ operation, outcome }) => operation === 'ModifyDBInstance' && outcome === 'ok').length

beforeAll(() => database.pool.query(`CREATE ROLE ${role} LOGIN PASSWORD 'as-it-was'`))
afterEach(() => aws.faults.clear())
afterAll(async () => {
  await database.pool.query(`DROP ROLE IF EXISTS ${role}`)
  await aws.stop()
})

test('the password that is asked for takes effect some time later, and then is the only one', async () => {
  const rotator = await newInstance()
  const call = callOf()
  expect(await rotator.check(call, first)).toEqual([])
  const next = (await rotator.propose?.(call, first)) as Credential
  expect(next).toEqual({ id: null, parts: { user: role, password: expect.stringMatching(/^[A-Za-z0-9]{40}$/) } })
  expect(await rotator.create(call, next, first)).toEqual(next)
  expect(await rotator.verify(call, next)).toMatchObject({ works: false, later: true, sentence: expect.stringContaining('applying') })
  expect(await logIn('as-it-was')).toBe(true)
  await verified(rotator, next)
  expect(await rotator.verify(call, first)).toMatchObject({ works: false })
  const before = modifications()
  await rotator.create(call, next, first)
  await rotator.revoke(call, first, next)
  expect(modifications()).toBe(before)
})

test('going back asks for the old password again, also while the new one is being applied', async () => {
  const rotator = await newInstance()
  const next = (await rotator.propose?.(callOf(), first)) as Credential
  await rotator.create(callOf(), next, first)
  // The old one works still, and would not for long.
  expect(await kind(Promise.resolve(rotator.reinstate?.(callOf(), first)))).toBe('busy')
  await again(
    async () => await rotator.reinstate?.(callOf(), first),
    () => true,
  )
  expect(await logIn('as-it-was')).toBe(true)
  for (const _ of [1, 2]) await rotator.reinstate?.(callOf(), first)
  expect(await rotator.verify(callOf(), next)).toMatchObject({ works: false })
})

test('a lost answer: the next call finds what was asked for, and asks for nothing else', async () => {
  const rotator = await newInstance()
  const next = (await rotator.propose?.(callOf(), first)) as Credential
  const before = modifications()
  aws.faults.add({ operation: 'ModifyDBInstance', kind: 'drop' })
  expect(await kind(rotator.create(callOf(), next, first))).toBe('uncertain')
  await again(
    () => rotator.create(callOf(), next, first),
    () => true,
  )
  await verified(rotator, next)
  expect(modifications() - before).toBe(1)
})

describe('what cannot work is said before', () => {
  test.each([
    [{ engine: 'mysql' }, 'its engine is mysql'],
    [{ engine: 'aurora-postgresql' }, 'not Aurora'],
    [{ managesPassword: true }, 'aws-secrets-manager-rotation'],
    [{ masterUserName: 'somebody' }, 'not its master'],
  ] as const)('%o', async (more, words) => {
    const rotator = await newInstance(more)
    expect(await rotator.check(callOf(), first)).toContainEqual({ severity: 'fault', sentence: expect.stringContaining(words) })
  })

  test('an instance that is busy, one that is not there, and a password that is not in use', async () => {
    const rotator = await newInstance()
    const wrong = { id: null, parts: { user: role, password: 'wrong-password' } }
    expect(await rotator.check(callOf(), wrong)).toMatchObject([{ severity: 'fault', sentence: expect.stringContaining('28P01') }])
    aws.rds.setStatus(`db-${instances}`, 'backing-up')
    expect(await rotator.check(callOf(), first)).toMatchObject([{ severity: 'fault', sentence: expect.stringContaining('backing-up') }])
    expect(await kind(rotator.create(callOf(), wrong, first))).toBe('busy')
    const nowhere = rdsMasterPassword(options.parse(given('nothing')), worldOf(env))
    expect(await nowhere.check(callOf(), first)).toMatchObject([{ sentence: expect.stringContaining('DBInstanceNotFoundFault') }])
  })
})

test('the password in use at the first rotation has to be let in', async () => {
  const rotator = await newInstance()
  expect(await rotator.adopt?.(callOf(), { password: 'as-it-was' })).toEqual(first)
  expect(await kind(Promise.resolve(rotator.adopt?.(callOf(), { password: 'wrong-password' })))).toBe('refused')
})

test('a master always has a password: without a successor nothing is revoked', async () => {
  const rotator = await newInstance()
  expect(await kind(rotator.revoke(callOf(), first, null))).toBe('refused')
  expect(await logIn('as-it-was')).toBe(true)
})

test.each([
  ['throttle', 'busy'],
  ['fail', 'uncertain'],
  ['drop', 'uncertain'],
] as const)('%s is %s, and no error has the password in it', async (fault, expected) => {
  const rotator = await newInstance()
  const next = (await rotator.propose?.(callOf(), first)) as Credential
  aws.faults.add({ operation: 'ModifyDBInstance', kind: fault })
  const error = await rotator.create(callOf(), next, first).catch((thrown: unknown) => thrown)
  expect(kindOf(error)).toBe(expected)
  expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain(next.parts.password)
})

test('the address has no login in it, and the rest is what it should be', () => {
  expect(options.safeParse({ ...given('db'), address: 'postgres://app:secret@db/app' }).success).toBe(false)
  expect(options.safeParse({ ...given('db'), instance: '' }).success).toBe(false)
  expect(options.safeParse({ ...given('db'), password: 'x' }).success).toBe(false)
})

rotatorConformance('rds-master-password', async () => {
  await newInstance()
  return {
    config: { rotator: 'rds-master-password', ...given(`db-${instances}`) },
    env,
    first: { password: 'as-it-was' },
    templates: { PASSWORD: '{password}' },
    login: ({ PASSWORD = '' }) => logIn(PASSWORD),
    live: async () => 1,
    close: async () => {},
  }
})
