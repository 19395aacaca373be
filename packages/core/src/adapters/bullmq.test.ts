import { randomBytes } from 'node:crypto'
import { FlowProducer, type Job, Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createPglite } from '../../../../test/harness/pglite.ts'
import { useDatabase } from '../../../../test/harness/postgres.ts'
import { defineConfig, env } from '../config/config.ts'
import type { Keyturn } from '../keyturn.ts'
import { open } from '../open.ts'
import bullmq, { type JobSecrets } from './bullmq.ts'

const server = useDatabase()
const config = defineConfig({
  refreshMs: 100,
  keyrings: { app: { root: env('ROOT') } },
  fields: {
    'server.secret': { column: 'servers.secret', keyring: 'app', bind: ['id'] },
    'server.keyed': { column: 'servers.keyed', keyId: 'keyedId', keyring: 'app', writes: 'blob' },
    'server.header': { column: 'servers.settings:/headers/*', keyring: 'app' },
    'server.bytes': { column: 'servers.bytes', keyring: 'app' },
  },
})
const keys = { ROOT: 'ab'.repeat(32) }
const connection = { host: '127.0.0.1', port: 6379 }
const prefix = `kt-bullmq-${randomBytes(6).toString('hex')}`
const plaintext = 'the-plaintext-of-the-secret'
let redis: Redis
let keyturn: Keyturn
let jobs: JobSecrets
const queues: Queue[] = []

beforeAll(() => {
  redis = new Redis(connection)
})
beforeEach(async () => {
  await server.pool.query('DROP SCHEMA IF EXISTS keyturn CASCADE; DROP TABLE IF EXISTS servers')
  await server.pool.query(
    'CREATE TABLE servers (id bigint PRIMARY KEY, secret text, keyed text, "keyedId" text, settings jsonb, bytes bytea, tenant int)',
  )
  keyturn = await open(config, { pool: server.pool, env: keys })
  jobs = bullmq(keyturn, server.pool)
})
afterEach(async () => {
  for (const queue of queues.splice(0)) await queue.close()
  await keyturn.close()
  const left = await keysOf()
  if (left.length > 0) await redis.del(...left)
})
afterAll(() => redis.quit())

const newQueue = (name = 'work') => {
  const queue = new Queue(name, { connection, prefix })
  queues.push(queue)
  return queue
}
const keysOf = async () => {
  const found: string[] = []
  let cursor = '0'
  do {
    const [next, some] = await redis.scan(cursor, 'MATCH', `${prefix}:*`, 'COUNT', 1_000)
    cursor = next
    found.push(...some)
  } while (cursor !== '0')
  return [...new Set(found)]
}
/** All that stands in Redis under the prefix, keys included. */
const everything = async () => {
  const parts: string[] = []
  for (const key of (await keysOf()).sort()) {
    const dump = {
      // In an order of their own: Redis may change its order at any time.
      hash: async () => Object.entries(await redis.hgetall(key)).sort(),
      list: () => redis.lrange(key, 0, -1),
      zset: () => redis.zrange(key, 0, -1, 'WITHSCORES'),
    }
    const other = {
      set: () => redis.smembers(key),
      stream: () => redis.xrange(key, '-', '+'),
      string: () => redis.get(key),
      none: async () => null,
    }
    const type = (await redis.type(key)) as keyof typeof dump | keyof typeof other
    parts.push(key, JSON.stringify(await { ...dump, ...other }[type]()))
  }
  return parts.join('\n')
}
/** Runs the jobs of a queue with a worker until one is done, and gives what it returned, which is taken from the process and not from Redis. */
const work = async (name: string, process: (job: Job) => Promise<string>): Promise<string> => {
  let result = ''
  const worker = new Worker(
    name,
    async (job) => {
      result = await process(job)
    },
    { connection, prefix },
  )
  try {
    await new Promise((resolve, reject) => {
      worker.on('completed', resolve)
      worker.on('failed', (_, error) => reject(error))
    })
  } finally {
    await worker.close()
  }
  return result
}
const setSecret = async (id: number, text: string) =>
  await server.pool.query('INSERT INTO servers (id, secret) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET secret = $2', [
    id,
    await keyturn.field('server.secret').encrypt(text, { id }),
  ])

describe('a reference', () => {
  test('the worker reads the secret when it uses it, and no plaintext and no ciphertext of it was ever in Redis', async () => {
    await setSecret(7, 'the one of yesterday')
    const queue = newQueue()
    await queue.add('deploy', { server: 'web', token: jobs.reference('server.secret', { id: 7n }) }, { removeOnComplete: false })
    await setSecret(7, plaintext)
    const inRedis = [await everything()]
    expect(await work('work', (job) => jobs.open(job.data.token, 'server.secret'))).toBe(plaintext)
    inRedis.push(await everything())
    for (const text of inRedis) {
      expect(text).toContain(String.raw`\"keyturn\":\"reference\"`)
      expect(text).not.toMatch(/the-plaintext|kt1\./)
      expect(text).not.toContain(Buffer.from(plaintext).toString('base64'))
    }
    // What the scan would find.
    await queue.add('careless', { token: plaintext })
    expect(await everything()).toContain(plaintext)
  })

  test('it opens in the middle of a rotation and after the old key is destroyed: there is nothing in Redis to rotate', async () => {
    await setSecret(7, plaintext)
    const reference = JSON.parse(JSON.stringify(jobs.reference('server.secret', { id: 7 })))
    await keyturn.rotate('app')
    const retirements = await retireKeyless()
    await keyturn.destroy('app', retirements[0]?.versionId ?? '', { now: true })
    expect(await jobs.open(reference, 'server.secret')).toBe(plaintext)
  })

  test('fields of every kind are read: with a key id beside them, in documents, as bytes', async () => {
    const keyed = await keyturn.field('server.keyed').encryptKeyed('keyed')
    const header = keyturn.field('server.header')
    const settings = { headers: { a: await header.encrypt('first'), b: await header.encrypt('second') } }
    const bytes = await keyturn.field('server.bytes').encrypt('in bytes')
    await server.pool.query('INSERT INTO servers VALUES (1, NULL, $1, $2, $3, $4, 5)', [
      keyed.value,
      keyed.keyId,
      JSON.stringify(settings),
      bytes,
    ])
    const row = { id: 1, tenant: 5 }
    expect(await jobs.open(jobs.reference('server.keyed', row), 'server.keyed')).toBe('keyed')
    expect(await jobs.open(jobs.reference('server.header', row, '/headers/b'), 'server.header')).toBe('second')
    expect(await jobs.open(jobs.reference('server.bytes', row), 'server.bytes')).toBe('in bytes')
    await expect(jobs.open(jobs.reference('server.header', row), 'server.header')).rejects.toThrow('several values')
    await expect(jobs.open(jobs.reference('server.header', row, '/headers/c'), 'server.header')).rejects.toMatchObject({
      code: 'ERR_JOB_ROW',
    })
    await expect(jobs.open(jobs.reference('server.secret', row), 'server.secret')).rejects.toMatchObject({ code: 'ERR_JOB_ROW' })
    await expect(jobs.open(jobs.reference('server.secret', { id: 2 }), 'server.secret')).rejects.toMatchObject({ code: 'ERR_JOB_ROW' })
    await expect(jobs.open(jobs.reference('server.keyed', { tenant: 6, id: 1 }), 'server.keyed')).rejects.toMatchObject({
      code: 'ERR_JOB_ROW',
    })
  })

  test('PGlite is read as well', async () => {
    const pglite = await createPglite()
    await pglite.query('CREATE TABLE servers (id bigint PRIMARY KEY, secret text, keyed text, "keyedId" text, settings jsonb, bytes bytea)')
    const embedded = await open(config, { pglite, env: keys })
    await pglite.query('INSERT INTO servers (id, secret) VALUES (3, $1)', [
      await embedded.field('server.secret').encrypt(plaintext, { id: 3 }),
    ])
    const here = bullmq(embedded, pglite)
    expect(await here.open(here.reference('server.secret', { id: 3 }), 'server.secret')).toBe(plaintext)
    expect(await here.open(here.reference('server.secret', { id: '3' }), 'server.secret')).toBe(plaintext)
    await embedded.close()
    await pglite.close()
  })

  test('what names no row, several rows, or anything that JSON would change, is refused', async () => {
    await setSecret(1, 'one')
    await setSecret(2, 'two')
    await server.pool.query('UPDATE servers SET tenant = 1')
    expect(() => jobs.reference('server.secret', { id: new Date() })).toThrow('a job names rows by')
    expect(() => jobs.reference('server.secret', { id: 2 ** 60 })).toThrow('a job names rows by')
    expect(() => jobs.reference('server.secrets', { id: 1 })).toThrow('server.secret')
    expect(() => jobs.reference('server.secret', { id: 1 }, '/x')).toThrow('leave out "at"')
    await expect(jobs.open(jobs.reference('server.secret', {}), 'server.secret')).rejects.toThrow('names a row')
    await expect(jobs.open(jobs.reference('server.secret', { tenant: 1 }), 'server.secret')).rejects.toThrow('more than one row')
  })
})

describe('attacks by who can write to Redis', () => {
  test('Attack: another field in the job. The worker says which one it expects.', async () => {
    await setSecret(1, plaintext)
    await expect(jobs.open(jobs.reference('server.bytes', { id: 1 }), 'server.secret')).rejects.toThrow('the job is about another one')
    await expect(jobs.open(await jobs.seal('server.bytes', 'x'), 'server.secret')).rejects.toThrow('the job is about another one')
  })

  test('Attack: SQL in the name of a column, and in its value. Neither is run, and neither is repeated.', async () => {
    await setSecret(1, plaintext)
    for (const row of [{ 'id" = 1 OR "id': 1 }, { id: "1' OR '1'='1" }, { 'id"; DROP TABLE servers; --': 1 }]) {
      const error: Error = await jobs.open({ keyturn: 'reference', field: 'server.secret', row }, 'server.secret').then(
        () => Promise.reject(new Error('it opened')),
        (thrown) => thrown,
      )
      expect(error).toMatchObject({ code: 'ERR_DATABASE' })
      expect(error.message).not.toMatch(/OR|DROP/)
    }
    expect(await jobs.open(jobs.reference('server.secret', { id: 1 }), 'server.secret')).toBe(plaintext)
  })

  test('Attack: a sealed part with other bound columns, or of another shape. It does not open.', async () => {
    const sealed = await jobs.seal('server.secret', plaintext, { id: 1 })
    await expect(jobs.open({ ...sealed, bound: { id: 2 } }, 'server.secret')).rejects.toMatchObject({ code: 'ERR_DECRYPT' })
    const shapes = [null, 'text', {}, { ...sealed, value: 7 }, { ...sealed, bound: { id: [1] } }, { ...sealed, keyturn: 'other' }, [sealed]]
    for (const shape of shapes) await expect(jobs.open(shape, 'server.secret')).rejects.toThrow('neither a reference nor sealed')
  })
})

/** Retires the versions that are retiring, of the fields whose values name their key. */
async function retireKeyless() {
  await keyturn.retire('app')
  const versions = (await keyturn.status('app')).keyrings[0]?.versions ?? []
  return versions.filter(({ state }) => state === 'retired').map(({ id }) => ({ versionId: id }))
}

describe('a sealed part', () => {
  test('a secret that is in no table is sealed, opens in the worker, and its plaintext is not in Redis', async () => {
    const queue = newQueue()
    await queue.add(
      'invite',
      { to: 'a@example.com', link: await jobs.seal('server.secret', plaintext, { id: 9 }) },
      { removeOnComplete: false },
    )
    expect(await everything()).not.toContain(plaintext)
    expect(await work('work', (job) => jobs.open(job.data.link, 'server.secret'))).toBe(plaintext)
    expect(await everything()).not.toContain(plaintext)
  })

  test('reseal moves what waits, is delayed, failed or kept to the active key, and leaves everything else of the jobs as it is', async () => {
    const queue = newQueue()
    const other = newQueue('work2')
    const sealed = () => jobs.seal('server.secret', plaintext, { id: 9 })
    const keyed = await jobs.seal('server.keyed', 'keyed')
    const bytes = await jobs.seal('server.bytes', 'bytes')
    const waiting = await queue.add('waiting', { n: 1.5, deep: [{ token: await sealed() }], keyed, bytes })
    const delayed = await queue.add('delayed', { token: await sealed() }, { delay: 3_600_000 })
    const reference = await queue.add('reference', { token: jobs.reference('server.secret', { id: 9 }) })
    await other.add('of another queue', { token: await sealed() })
    await keyturn.rotate('app')
    const before = { jobs: await queue.getJobCounts(), reference: await redis.hgetall(`${prefix}:work:${reference.id}`) }

    expect(await jobs.reseal({ client: redis, queue: 'work', prefix })).toEqual({ sealed: 4, resealed: 4, conflicts: 0, failed: [] })
    expect(await jobs.reseal({ client: redis, queue: 'work', prefix })).toEqual({ sealed: 4, resealed: 0, conflicts: 0, failed: [] })
    expect({ jobs: await queue.getJobCounts(), reference: await redis.hgetall(`${prefix}:work:${reference.id}`) }).toEqual(before)
    const active = (await keyturn.status('app')).keyrings[0]?.versions.find(({ state }) => state === 'active')?.id
    const data = (await queue.getJob(waiting.id ?? ''))?.data
    expect(data).toMatchObject({
      n: 1.5,
      keyed: { keyId: active },
      deep: [{ token: { value: expect.stringContaining(`kt1.${active}.`) } }],
    })
    expect(await jobs.open(data.deep[0].token, 'server.secret')).toBe(plaintext)
    expect(await jobs.open(data.keyed, 'server.keyed')).toBe('keyed')
    expect(await jobs.open(data.bytes, 'server.bytes')).toBe('bytes')
    expect(await jobs.open((await queue.getJob(delayed.id ?? ''))?.data.token, 'server.secret')).toBe(plaintext)
    const second = createClient({ url: 'redis://127.0.0.1:6379' })
    await second.connect()
    expect(await jobs.reseal({ client: second, queue: 'work2', prefix })).toMatchObject({ sealed: 1, resealed: 1 })
    await second.close()
  })

  test('reseal moves the template of a repeated job and what waits of a flow', async () => {
    const queue = newQueue()
    const flows = new FlowProducer({ connection, prefix })
    const sealed = () => jobs.seal('server.secret', plaintext, { id: 9 })
    await queue.upsertJobScheduler('hourly', { every: 3_600_000 }, { name: 'sync', data: { token: await sealed() } })
    const child = { name: 'child', queueName: 'work', data: { token: await sealed() } }
    const flow = await flows.add({ name: 'parent', queueName: 'work', data: { token: await sealed() }, children: [child] })
    await keyturn.rotate('app')
    // Of the repeated job there is a template, and the next one of its jobs.
    expect(await jobs.reseal({ client: redis, queue: 'work', prefix })).toEqual({ sealed: 4, resealed: 4, conflicts: 0, failed: [] })
    const active = (await keyturn.status('app')).keyrings[0]?.versions.find(({ state }) => state === 'active')?.id
    const carried = [
      (await queue.getJobScheduler('hourly'))?.template?.data.token,
      (await queue.getJob(flow.job.id ?? ''))?.data.token,
      (await queue.getJob(flow.children?.[0]?.job.id ?? ''))?.data.token,
    ]
    for (const part of carried) {
      expect(part.value).toContain(`kt1.${active}.`)
      expect(await jobs.open(part, 'server.secret')).toBe(plaintext)
    }
    await flows.close()
  })

  test('a job that somebody changes meanwhile stays as they left it, and comes again', async () => {
    const queue = newQueue()
    const job = await queue.add('busy', { step: 1, token: await jobs.seal('server.secret', plaintext, { id: 9 }) })
    await keyturn.rotate('app')
    const racing = {
      call: async (command: string, ...args: string[]) => {
        const answer = await redis.call(command, ...args)
        if (command === 'HGET' && args[0]?.endsWith(`:${job.id}`)) await job.updateData({ ...job.data, step: 2 })
        return answer
      },
    }
    expect(await jobs.reseal({ client: racing, queue: 'work', prefix })).toMatchObject({ resealed: 0, conflicts: 1 })
    expect((await queue.getJob(job.id ?? ''))?.data.step).toBe(2)
    expect(await jobs.reseal({ client: redis, queue: 'work', prefix })).toMatchObject({ resealed: 1, conflicts: 0 })
    expect((await queue.getJob(job.id ?? ''))?.data.step).toBe(2)
  })

  test('a retired key still opens what waits in a queue; a destroyed one does not, and reseal lists the jobs', async () => {
    const queue = newQueue()
    const job = await queue.add('late', { token: await jobs.seal('server.secret', plaintext, { id: 9 }) })
    await keyturn.rotate('app')
    const [retired] = await retireKeyless()
    expect(await jobs.open(job.data.token, 'server.secret')).toBe(plaintext)
    await keyturn.destroy('app', retired?.versionId ?? '', { now: true })
    await expect(jobs.open(job.data.token, 'server.secret')).rejects.toMatchObject({ code: 'ERR_KEY_NOT_FOUND' })
    expect(await jobs.reseal({ client: redis, queue: 'work', prefix })).toEqual({
      sealed: 1,
      resealed: 0,
      conflicts: 0,
      failed: [{ job: job.id, field: 'server.secret', reason: 'ERR_KEY_NOT_FOUND' }],
    })
  })

  test('a part of a field that is not declared, or one that somebody damaged, is listed and stays', async () => {
    const queue = newQueue()
    const sealed = await jobs.seal('server.secret', plaintext, { id: 9 })
    await queue.add('unknown', { token: { ...sealed, field: 'no.such.field' } })
    await queue.add('damaged', { token: { ...sealed, value: `${sealed.value.slice(0, -4)}AAAA` } })
    await queue.add('unbound', { token: { ...sealed, bound: {} } })
    await keyturn.rotate('app')
    const before = await everything()
    const { failed, ...counts } = await jobs.reseal({ client: redis, queue: 'work', prefix })
    expect(counts).toEqual({ sealed: 3, resealed: 0, conflicts: 0 })
    expect(failed.map(({ reason }) => reason).sort()).toEqual(['ERR_BOUND_VALUE', 'ERR_DECRYPT', 'ERR_UNKNOWN_NAME'])
    expect(await everything()).toBe(before)
  })
})
