import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import { defineConfig, env, type Keyturn, open } from '../../packages/core/src/index.ts'
import { findRedis } from '../../test/harness/redis-server.ts'
import { environment, type Phase, timedRotation } from '../application.ts'
import { threeBareOperations } from '../bare-crypto.ts'
import type { Bench, Benchmark, Outcome } from '../benchmark.ts'
import { median, timed } from '../numbers.ts'

/** Keys of one pipeline of the floor. */
const together = 1_000
/** What a session holds beside its token. */
const rest = { user: { name: 'ann', roles: ['admin', 'editor'] }, cookie: { originalMaxAge: 86_400_000 }, notes: 'x'.repeat(300) }

/** Sessions in Redis, against the least that rewriting them costs a client: a GET and a SET of each key, in pipelines. */
export const sessions: Benchmark = {
  name: 'sessions',
  about: 'rotating a token in each session in Redis, against a bare pipeline of GET and SET of the same keys',
  rows: 200_000,
  async run(bench) {
    const redis = await findRedis()
    if (redis === null) throw new Error('this needs a Redis: name one in KEYTURN_TEST_REDIS, or install redis-server')
    const { pool, drop } = await (await bench.postgres()).createDatabase()
    const client = new Redis(redis.url)
    const prefix = `bench-${randomBytes(6).toString('hex')}:`
    const config = defineConfig({
      refreshMs: 500,
      keyrings: { app: { root: env('BENCH_ROOT') } },
      fields: { 'session.token': { column: `redis:${prefix}*:/tokens/access`, keyring: 'app', bind: ['key'] } },
    })
    const keyturn = await open(config, { pool, redis: client, env: environment })
    try {
      return await measure(bench, { keyturn, client, prefix })
    } finally {
      await keyturn.sessions.end()
      await keyturn.close()
      client.disconnect()
      await redis.stop?.()
      await drop()
    }
  },
}

interface Place {
  readonly keyturn: Keyturn
  readonly client: Redis
  readonly prefix: string
}

async function measure({ rows, rounds, say }: Bench, place: Place): Promise<Outcome> {
  const keys = Array.from({ length: rows }, (_, n) => `${place.prefix}${n}`)
  const [floors, rewriting]: [Took[], Took[]] = [[], []]
  const [bare, verifying]: [number[], number[]] = [[], []]
  say(`${rows} sessions`)
  await fill(place, keys)
  for (let round = 1; round <= rounds; round++) {
    globalThis.gc?.()
    floors.push(await took(place, () => floor(place, keys)))
    globalThis.gc?.()
    bare.push(threeBareOperations(keys.map((key) => ({ plaintext: tokenOf(key), aad: key }))))
    globalThis.gc?.()
    rewriting.push(await rotated(place, rows, verifying))
    const [floorMs, bareMs, ms] = [floors.at(-1)?.ms, bare.at(-1), rewriting.at(-1)?.ms].map((each) => each?.toFixed(0))
    say(`round ${round}: floor ${floorMs} ms, three bare operations ${bareMs} ms, rewriting ${ms} ms`)
  }
  const of = (list: readonly Took[], part: keyof Took) => median(list.map((each) => each[part]))
  const [floorMs, bareMs, rewritingMs, verifyingMs] = [of(floors, 'ms'), median(bare), of(rewriting, 'ms'), median(verifying)]
  const cpu = (list: readonly Took[]) => of(list, 'nodeMs') + of(list, 'redisMs')
  const each = (ms: number) => (ms * 1000) / rows
  return {
    ratios: [
      { name: 'rewriting / floor', value: rewritingMs / floorMs, limit: { atMost: 2 } },
      { name: '(rewriting + verification) / floor', value: (rewritingMs + verifyingMs) / floorMs },
      { name: '(floor + three operations of bare node:crypto) / floor', value: (floorMs + bareMs) / floorMs },
      { name: 'rewriting / (floor + three operations of bare node:crypto)', value: rewritingMs / (floorMs + bareMs) },
      { name: 'processor time of Node and Redis, rewriting / floor', value: cpu(rewriting) / cpu(floors) },
    ],
    measured: {
      floorMs,
      rewritingMs,
      verifyingMs,
      floorPerSessionUs: each(floorMs),
      bareCryptoPerSessionUs: each(bareMs),
      rewritingPerSessionUs: each(rewritingMs),
      floorNodeCpuUs: each(of(floors, 'nodeMs')),
      floorRedisCpuUs: each(of(floors, 'redisMs')),
      rewritingNodeCpuUs: each(of(rewriting, 'nodeMs')),
      rewritingRedisCpuUs: each(of(rewriting, 'redisMs')),
      rewrittenPerSecond: (rows * 1000) / rewritingMs,
    },
  }
}

/** How long something took: by the clock, and of the processors. */
interface Took {
  readonly ms: number
  readonly nodeMs: number
  readonly redisMs: number
}

async function took(place: Place, work: () => unknown): Promise<Took> {
  const [redis, node] = [await redisCpuMs(place), process.cpuUsage()]
  const ms = await timed(work)
  const { user, system } = process.cpuUsage(node)
  return { ms, nodeMs: (user + system) / 1000, redisMs: (await redisCpuMs(place)) - redis }
}

async function rotated(place: Place, rows: number, verifying: number[]): Promise<Took> {
  // Asked when a phase begins, and answered in its turn: between the last command of one and the first of the next.
  const asked = new Map<Phase, Promise<number>>()
  const times = await timedRotation(place.keyturn, rows, { throttle: { share: 1 } }, (phase) => asked.set(phase, redisCpuMs(place)))
  verifying.push(times.verifyingMs)
  const redisMs = ((await asked.get('verifying')) ?? Number.NaN) - ((await asked.get('rewriting')) ?? Number.NaN)
  return { ms: times.rewritingMs, nodeMs: times.rewritingCpuMs, redisMs }
}

/** What the server has used of the processor since it was started, in milliseconds. */
async function redisCpuMs({ client }: Place): Promise<number> {
  const info = await client.info('cpu')
  const seconds = (name: string) => Number(new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1])
  return (seconds('used_cpu_user') + seconds('used_cpu_sys')) * 1000
}

const tokenOf = (key: string): string => `token of ${key}`.padEnd(200, 'x')

async function fill({ keyturn, client }: Place, keys: readonly string[]): Promise<void> {
  const field = keyturn.field('session.token')
  for (let from = 0; from < keys.length; from += together) {
    const pipeline = client.pipeline()
    for (const key of keys.slice(from, from + together)) {
      const access = await field.encrypt(tokenOf(key), { key })
      pipeline.set(key, JSON.stringify({ ...rest, tokens: { access } }), 'PX', 86_400_000)
    }
    await pipeline.exec()
  }
}

/** Reads each value and writes it back, with nothing compared and nothing kept but its time to live. */
async function floor({ client }: Place, keys: readonly string[]): Promise<void> {
  for (let from = 0; from < keys.length; from += together) {
    const some = keys.slice(from, from + together)
    const reading = client.pipeline()
    for (const key of some) reading.get(key)
    const read = (await reading.exec()) ?? []
    const writing = client.pipeline()
    for (const [index, key] of some.entries()) writing.set(key, read[index]?.[1] as string, 'KEEPTTL')
    await writing.exec()
  }
}
