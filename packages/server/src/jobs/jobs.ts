import { fail, isKeyturnError } from '@keyturn/core'
import type { PGliteDatabase } from '@keyturn/core/databases/pglite'
import type { PgPool } from '@keyturn/core/databases/postgres'
import type { FastifyBaseLogger } from 'fastify'
import { type Db, fromPglite, PgBoss } from 'pg-boss'

/** The application's database, as the server is given it. */
export type Client = { readonly pool: PgPool } | { readonly pglite: PGliteDatabase }

/** What is done when a job wakes a server. Both may be called again at any time: what is true stands in the rotations. */
export interface Wakes {
  /** Somebody should look at this rotation. */
  readonly rotation: (rotationId: string) => Promise<void>
  /** Somebody should look at everything, once a minute. */
  readonly sweep: () => Promise<void>
}

const rotationQueue = 'keyturn-rotation'
const sweepQueue = 'keyturn-sweep'
const everyMinute = '* * * * *'

/** Wake-ups in pg-boss, of which each comes to one server: never state. One that is lost is made up for by the next sweep. */
export class Jobs {
  readonly #boss: PgBoss
  readonly #log: FastifyBaseLogger

  private constructor(boss: PgBoss, log: FastifyBaseLogger) {
    this.#boss = boss
    this.#log = log
  }

  /** @throws `ERR_DATABASE` where its schema cannot be made or read */
  static async open(client: Client, { log, schema, wakes }: { log: FastifyBaseLogger; schema: string; wakes: Wakes }): Promise<Jobs> {
    const boss = new PgBoss({
      schema,
      db: 'pool' in client ? poolDb(client.pool) : fromPglite(client.pglite as unknown as Parameters<typeof fromPglite>[0]),
      ...('pool' in client ? {} : { backend: 'pglite' as const }),
      // Our queues hold a handful of jobs.
      reindex: false,
      monitorVacuum: false,
    })
    const jobs = new Jobs(boss, log)
    boss.on('error', (error) => log.warn({ code: kindOf(error) }, 'a look for jobs failed'))
    try {
      await startBeside(boss)
      await jobs.#work(wakes)
    } catch (error) {
      await boss.stop({ graceful: false }).catch(() => {})
      throw isKeyturnError(error) ? error : fail('ERR_DATABASE', kindOf(error), `preparing the jobs in schema "${schema}"`)
    }
    return jobs
  }

  async #work(wakes: Wakes): Promise<void> {
    const boss = this.#boss
    const brief = { retryLimit: 0, deleteAfterSeconds: 3_600, expireInSeconds: 60 }
    await boss.createQueue(rotationQueue, { policy: 'short', ...brief })
    await boss.createQueue(sweepQueue, { policy: 'short', ...brief })
    await boss.schedule(sweepQueue, everyMinute)
    await boss.work<{ rotationId: string }>(rotationQueue, { pollingIntervalSeconds: 1 }, async (given) => {
      for (const { data } of given) await this.#attempt(() => wakes.rotation(data.rotationId))
    })
    await boss.work(sweepQueue, { pollingIntervalSeconds: 5 }, () => this.#attempt(wakes.sweep))
  }

  /** Wakes a server for a rotation after a while; once, however often it is asked. Never throws. */
  async wake(rotationId: string, afterMs: number): Promise<void> {
    const options = { singletonKey: rotationId, startAfter: Math.max(1, Math.ceil(afterMs / 1_000)) }
    await this.#attempt(async () => void (await this.#boss.send(rotationQueue, { rotationId }, options)))
  }

  async close(): Promise<void> {
    await this.#boss.stop({ graceful: true, timeout: 5_000, close: false }).catch(() => {})
  }

  /** A job that fails is not tried again as such: the next sweep looks anew. */
  async #attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.#log.warn({ code: isKeyturnError(error) ? error.code : kindOf(error) }, 'a job failed')
    }
  }
}

const uniqueViolation = '23505'

/**
 * Starts, while other servers may start on the same empty database. pg-boss makes its schema under a lock; a session that waited for it may
 * still see the catalog as it was before, and makes the schema a second time. That is refused, and by then the schema is there.
 */
async function startBeside(boss: PgBoss): Promise<void> {
  try {
    await boss.start()
  } catch (error) {
    if (kindOf(error) !== uniqueViolation) throw error
    await boss.start()
  }
}

/** A `pg` Pool of the application's as pg-boss takes it. Some of its calls are several statements with a transaction among them. */
function poolDb(pool: PgPool): Db {
  return {
    executeSql: async (text, values) => {
      const client = await pool.connect()
      try {
        const result: unknown = await client.query({ text, ...(values?.length ? { values: [...values] } : {}) })
        const results = (Array.isArray(result) ? result : [result]) as { rows?: unknown[] }[]
        return { rows: results.flatMap(({ rows = [] }) => rows) }
      } catch (error) {
        // What failed in the middle of a transaction leaves its connection in it.
        await client.query({ text: 'ROLLBACK' }).catch(() => {})
        throw error
      } finally {
        client.release()
      }
    },
  }
}

function kindOf(error: unknown): string {
  const { code, name } = (typeof error === 'object' && error !== null ? error : {}) as { code?: unknown; name?: unknown }
  return [code, name].find((word): word is string => typeof word === 'string' && /^[A-Za-z0-9_]{1,40}$/.test(word)) ?? 'no code'
}
