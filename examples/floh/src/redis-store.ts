import type { SessionStore } from '@fastify/session'
import type { Session } from 'fastify'
import type { Redis } from 'ioredis'

/** Sessions as JSON in Redis, which forgets them when they have expired. */
export class RedisStore implements SessionStore {
  readonly #redis: Redis
  readonly #prefix: string

  constructor(redis: Redis, prefix: string) {
    this.#redis = redis
    this.#prefix = prefix
  }

  get(sid: string, callback: (error: unknown, session?: Session | null) => void): void {
    this.#read(sid).then((session) => callback(null, session), callback)
  }

  async #read(sid: string): Promise<Session | null> {
    const text = await this.#redis.get(this.#prefix + sid)
    return text === null ? null : (JSON.parse(text) as Session)
  }

  set(sid: string, session: Session, callback: (error?: unknown) => void): void {
    const { expires, originalMaxAge } = session.cookie
    const lifeMs = expires ? new Date(expires).getTime() - Date.now() : (originalMaxAge ?? 0)
    this.#redis.set(this.#prefix + sid, JSON.stringify(session), 'PX', Math.max(1, Math.round(lifeMs))).then(() => callback(), callback)
  }

  destroy(sid: string, callback: (error?: unknown) => void): void {
    this.#redis.del(this.#prefix + sid).then(() => callback(), callback)
  }
}
