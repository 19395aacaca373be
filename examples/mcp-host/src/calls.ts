import bullmq, { type JobReference } from '@keyturn/core/adapters/bullmq'
import { Queue, Worker } from 'bullmq'
import { eq } from 'drizzle-orm'
import type { Redis } from 'ioredis'
import type { Pool } from 'pg'
import { type Encryption, fieldName } from './encryption.ts'
import { NotFound } from './refusals.ts'
import { openDatabase, secrets, servers } from './tables.ts'
import { callServer, type ToolCall } from './tool-call.ts'

const queueName = 'calls'
const prefix = 'mcp-host'
const HOUR_S = 3_600

/** What stands in Redis: where the secrets of a call are, and none of them. */
interface CallJob extends ToolCall {
  readonly serverId: string
  readonly headers: { readonly [name: string]: JobReference }
}

/** What both sides of the queue work with. */
export interface CallWorld {
  readonly pool: Pool
  readonly redis: Redis
  readonly encryption: Encryption
}

/** Calls that wait for a worker. */
export class Calls {
  readonly #queue: Queue<CallJob, { readonly status: number }>
  readonly #world: CallWorld

  constructor(world: CallWorld) {
    this.#world = world
    this.#queue = new Queue(queueName, { connection: world.redis, prefix })
  }

  /** @returns the id of the call */
  async add(serverId: string, call: ToolCall): Promise<string> {
    const { pool, encryption } = this.#world
    const jobs = bullmq(encryption.keyturn, pool)
    const found = await secretsOf(pool, serverId)
    const headers = Object.fromEntries(found.map(({ id, name }) => [name, jobs.reference(fieldName, { id })]))
    const kept = { removeOnComplete: { age: HOUR_S }, removeOnFail: { age: 24 * HOUR_S } }
    const job = await this.#queue.add('call', { serverId, ...call, headers }, kept)
    return job.id ?? ''
  }

  async find(id: string): Promise<{ readonly state: string; readonly status: number | null }> {
    const job = await this.#queue.getJob(id)
    if (job === undefined) throw new NotFound('there is no such call')
    return { state: await job.getState(), status: job.returnvalue?.status ?? null }
  }

  close(): Promise<void> {
    return this.#queue.close()
  }
}

/** Works on calls. Each secret is read from the database when it is used: a call that has waited gets the one of today. */
export function startWorker({ pool, redis, encryption }: CallWorld): Worker<CallJob, { readonly status: number }> {
  const jobs = bullmq(encryption.keyturn, pool)
  return new Worker(
    queueName,
    async ({ data: { serverId, tool, arguments: given, headers } }) => {
      const [server] = await openDatabase(pool).select().from(servers).where(eq(servers.id, serverId))
      if (server === undefined) throw new NotFound('the server is gone')
      const own = new Set((await secretsOf(pool, serverId)).map(({ id }) => id))
      const opened: Record<string, string> = {}
      for (const [name, reference] of Object.entries(headers)) {
        // Who can write to Redis must not have the secret of one server sent to another one.
        if (!own.has(String(reference.row.id))) throw new NotFound('the secret is not one of this server')
        opened[name] = await jobs.open(reference, fieldName)
      }
      const status = await callServer(server.url, opened, { tool, arguments: given })
      if (status >= 400) throw new Error(`the server answered ${status}`)
      return { status }
    },
    { connection: redis, prefix, concurrency: 4 },
  )
}

async function secretsOf(pool: Pool, serverId: string) {
  const { id, name } = secrets
  return await openDatabase(pool).select({ id, name }).from(secrets).where(eq(secrets.serverId, serverId))
}
