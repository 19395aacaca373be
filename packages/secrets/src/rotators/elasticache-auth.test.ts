import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { rotatorConformance } from '../../../../test/conformance/secrets/rotator.ts'
import { type AwsDouble, startAws } from '../../../../test/doubles/aws/aws.ts'
import { callOf, worldOf } from '../../../../test/harness/parts.ts'
import { canStartRedis, type RedisServer, startRedis } from '../../../../test/harness/redis-server.ts'
import { kindOf } from '../outside/failure.ts'
import type { Credential } from '../secret/credential.ts'
import elasticacheAuth, { options } from './elasticache-auth.ts'

if (!canStartRedis) console.warn('redis-server is not installed: the tests of elasticache-auth are passed over.')

describe.skipIf(!canStartRedis)('elasticache-auth', () => {
  let aws: AwsDouble
  const env = { ID: '', SECRET: '' }
  const first: Credential = { id: null, parts: { token: 'the-token-from-before' } }
  let server: RedisServer
  let admin: Redis
  let groups = 0

  /** What ElastiCache does when it applies tokens: they are those of a real Redis. */
  const setTokens = async (tokens: readonly string[], open: boolean) => {
    const all = open || tokens.length === 0 ? ['nopass'] : tokens.map((token) => `>${token}`)
    await admin.acl('SETUSER', 'default', 'reset', 'on', '~*', '&*', '+@all', ...all)
  }
  const given = (group: string) => ({
    region: 'eu-central-1',
    endpoint: aws.endpoint,
    credentials: { accessKeyId: { env: 'ID' }, secretAccessKey: { env: 'SECRET' } },
    group,
    address: server.url,
  })
  /** A group with one token, `first` unless another is given. */
  async function newGroup({
    token = first.parts.token ?? null,
    transitEncryption = true,
  }: {
    token?: string | null
    transitEncryption?: boolean
  } = {}) {
    const id = `group-${++groups}`
    aws.elasticache.addGroup({ id, token, transitEncryption, setTokens })
    await setTokens(token === null ? [] : [token], false)
    return elasticacheAuth(options.parse(given(id)), worldOf(env))
  }
  type Rotator = Awaited<ReturnType<typeof newGroup>>
  const proposed = async (rotator: Rotator): Promise<Credential> => (await rotator.propose?.(callOf(), first)) as Credential
  const kind = (work: Promise<unknown>) =>
    work.then(
      () => 'it succeeded',
      (error: unknown) => kindOf(error),
    )
  /** What the engine does with "busy": asks again. */
  async function patiently<T>(work: () => Promise<T>): Promise<T> {
    for (let tries = 0; tries < 30; tries++) {
      try {
        return await work()
      } catch (error) {
        if (kindOf(error) !== 'busy') throw error
      }
    }
    throw new Error('it does not end')
  }
  const verified = (rotator: Rotator, credential: Credential) => patiently(() => rotator.verify(callOf(), credential))
  const works = async (rotator: Rotator, ...credentials: readonly Credential[]) => {
    const all = []
    for (const credential of credentials) all.push((await verified(rotator, credential)).works)
    return all
  }
  const strategies = (group: string) =>
    aws.calls
      .filter(({ ids, outcome }) => ids.ReplicationGroupId === group && ids.AuthTokenUpdateStrategy !== undefined && outcome === 'ok')
      .map(({ ids }) => ids.AuthTokenUpdateStrategy)

  beforeAll(async () => {
    aws = await startAws()
    Object.assign(env, { ID: aws.env.AWS_ACCESS_KEY_ID, SECRET: aws.env.AWS_SECRET_ACCESS_KEY })
    server = await startRedis()
    const url = new URL(server.url)
    const setup = new Redis(server.url)
    await setup.acl('SETUSER', 'admin', 'on', '>root', '~*', '&*', '+@all')
    setup.disconnect()
    admin = new Redis({ host: url.hostname, port: Number(url.port), username: 'admin', password: 'root' })
  })
  beforeEach(() => {
    Object.assign(aws.elasticache, { rotatesToKnown: true, pendingDescriptions: 2 })
  })
  afterEach(() => aws.faults.clear())
  afterAll(async () => {
    admin.disconnect()
    await server.stop()
    await aws.stop()
  })

  test('both tokens work until the old one is revoked, which leaves the new one alone', async () => {
    const rotator = await newGroup()
    expect(await rotator.check(callOf(), first)).toEqual([])
    const next = await proposed(rotator)
    expect(next.parts.token).toMatch(/^[A-Za-z0-9]{64}$/)
    expect(await rotator.create(callOf(), next, first)).toEqual(next)
    // Some nodes may know it and some not.
    expect(await kind(rotator.verify(callOf(), next))).toBe('busy')
    expect(await works(rotator, first, next)).toEqual([true, true])
    for (const _ of [1, 2]) await patiently(() => rotator.revoke(callOf(), first, next))
    expect(await works(rotator, first, next)).toEqual([false, true])
    expect(strategies(`group-${groups}`)).toEqual(['ROTATE', 'SET'])
  })

  test('a new token that is given up ends: the old one is rotated in once more, and set', async () => {
    const rotator = await newGroup()
    const next = await proposed(rotator)
    await rotator.create(callOf(), next, first)
    await patiently(() => rotator.revoke(callOf(), next, first))
    expect(await works(rotator, first, next)).toEqual([true, false])
    expect(strategies(`group-${groups}`)).toEqual(['ROTATE', 'ROTATE', 'SET'])
  })

  test('where AWS does not take the old token once more, a person is told, and both go on working', async () => {
    aws.elasticache.rotatesToKnown = false
    const rotator = await newGroup()
    const next = await proposed(rotator)
    await rotator.create(callOf(), next, first)
    await expect(patiently(() => rotator.revoke(callOf(), next, first))).rejects.toMatchObject({
      code: 'ERR_OUTSIDE_REFUSED',
      message: expect.stringContaining('by hand'),
    })
    expect(await works(rotator, first, next)).toEqual([true, true])
  })

  test('a lost answer: what was asked for is found and not asked for again, whether or not it has taken effect', async () => {
    const rotator = await newGroup()
    const next = await proposed(rotator)
    aws.faults.add({ operation: 'ModifyReplicationGroup', kind: 'drop' })
    expect(await kind(rotator.create(callOf(), next, first))).toBe('uncertain')
    await patiently(() => rotator.create(callOf(), next, first))
    await patiently(() => rotator.create(callOf(), next, first))
    expect(strategies(`group-${groups}`)).toEqual(['ROTATE'])
    aws.faults.add({ operation: 'ModifyReplicationGroup', kind: 'drop' })
    expect(await kind(rotator.revoke(callOf(), first, next))).toBe('uncertain')
    await patiently(() => rotator.revoke(callOf(), first, next))
    expect(strategies(`group-${groups}`)).toEqual(['ROTATE', 'SET'])
    expect(await works(rotator, first, next)).toEqual([false, true])
  })

  test('nothing is rotated in where the token in use is not known: it would be driven out', async () => {
    const rotator = await newGroup()
    const stranger = { id: null, parts: { token: 'a-token-of-somebody-else' } }
    expect(await kind(rotator.create(callOf(), await proposed(rotator), stranger))).toBe('refused')
    expect(strategies(`group-${groups}`)).toEqual([])
  })

  test('nothing is revoked without a token that remains and works', async () => {
    const rotator = await newGroup()
    expect(await kind(rotator.revoke(callOf(), first, null))).toBe('refused')
    expect(await kind(rotator.revoke(callOf(), first, await proposed(rotator)))).toBe('refused')
    expect(await works(rotator, first)).toEqual([true])
  })

  test('what cannot work is said before', async () => {
    const sentences = async (rotator: Rotator, current: Credential | null = first) =>
      (await rotator.check(callOf(), current)).map(({ sentence }) => sentence).join()
    expect(await sentences(await newGroup({ transitEncryption: false }))).toContain('encryption in transit')
    expect(await sentences(await newGroup({ token: null }))).toContain('no token')
    const rotator = await newGroup()
    expect(await sentences(rotator, await proposed(rotator))).toContain('does not know the token in use')
    await setTokens([], true)
    expect(await sentences(rotator)).toContain('lets in everybody')
    expect(await rotator.verify(callOf(), first)).toMatchObject({ works: false, later: false })
    await rotator.create(callOf(), await proposed(rotator), null)
    expect(await sentences(rotator)).toContain('rotating a token')
    expect(await sentences(elasticacheAuth(options.parse(given('nothing')), worldOf(env)))).toContain('ReplicationGroupNotFoundFault')
  })

  test('the token in use at the first rotation has to be let in', async () => {
    const rotator = await newGroup()
    expect(await rotator.adopt?.(callOf(), first.parts)).toEqual(first)
    expect(await kind(Promise.resolve(rotator.adopt?.(callOf(), { token: 'another-token-altogether' })))).toBe('refused')
  })

  test.each([
    ['throttle', 'busy'],
    ['fail', 'uncertain'],
    ['drop', 'uncertain'],
  ] as const)('%s is %s, and no error has a token in it', async (fault, expected) => {
    const rotator = await newGroup()
    const next = await proposed(rotator)
    aws.faults.add({ operation: 'ModifyReplicationGroup', kind: fault })
    const error = await rotator.create(callOf(), next, first).catch((thrown: unknown) => thrown)
    expect(kindOf(error)).toBe(expected)
    const text = JSON.stringify(error, Object.getOwnPropertyNames(error))
    for (const { parts } of [first, next]) expect(text).not.toContain(parts.token)
  })

  rotatorConformance('elasticache-auth', async () => {
    await newGroup()
    const id = `group-${groups}`
    let live: readonly string[] = [first.parts.token ?? '']
    aws.elasticache.addGroup({
      id,
      token: live[0] ?? null,
      setTokens: async (tokens, open) => {
        live = tokens
        await setTokens(tokens, open)
      },
    })
    return {
      config: { rotator: 'elasticache-auth', ...given(id) },
      env,
      first: { token: first.parts.token ?? '' },
      templates: { REDIS_TOKEN: '{token}' },
      login: async ({ REDIS_TOKEN = '' }) => {
        const consumer = new Redis(server.url, { lazyConnect: true, enableReadyCheck: false, retryStrategy: () => null })
        consumer.on('error', () => {})
        try {
          await consumer.connect()
          await consumer.call('AUTH', REDIS_TOKEN)
          return true
        } catch {
          return false
        } finally {
          consumer.disconnect()
        }
      },
      live: async () => live.length,
      // A change is over when it is looked at: the suite wants calls that it can count.
      rest: async () => {
        aws.elasticache.pendingDescriptions = 0
      },
      close: async () => {},
    }
  })
})
