import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import { defineConfig, env, type Keyturn, open } from '../../packages/core/src/index.ts'
import { findRedis } from '../../test/harness/redis-server.ts'
import { environment, timedRotation } from '../application.ts'
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
  const [floors, rewriting, verifying]: [number[], number[], number[]] = [[], [], []]
  say(`${rows} sessions`)
  await fill(place, keys)
  for (let round = 1; round <= rounds; round++) {
    globalThis.gc?.()
    floors.push(await timed(() => floor(place, keys)))
    globalThis.gc?.()
    const took = await timedRotation(place.keyturn, rows, { throttle: { share: 1 } })
    rewriting.push(took.rewritingMs)
    verifying.push(took.verifyingMs)
    say(`round ${round}: floor ${floors.at(-1)?.toFixed(0)} ms, rewriting ${took.rewritingMs.toFixed(0)} ms`)
  }
  const [floorMs, rewritingMs, verifyingMs] = [median(floors), median(rewriting), median(verifying)]
  return {
    ratios: [
      { name: 'rewriting / floor', value: rewritingMs / floorMs, limit: { atMost: 2 } },
      { name: '(rewriting + verification) / floor', value: (rewritingMs + verifyingMs) / floorMs },
    ],
    measured: {
      floorMs,
      rewritingMs,
      verifyingMs,
      floorPerSessionUs: (floorMs * 1000) / rows,
      rewritingPerSessionUs: (rewritingMs * 1000) / rows,
      rewrittenPerSecond: (rows * 1000) / rewritingMs,
    },
  }
}

async function fill({ keyturn, client }: Place, keys: readonly string[]): Promise<void> {
  const field = keyturn.field('session.token')
  for (let from = 0; from < keys.length; from += together) {
    const pipeline = client.pipeline()
    for (const key of keys.slice(from, from + together)) {
      const access = await field.encrypt(`token of ${key}`.padEnd(200, 'x'), { key })
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
