import type { ChainableCommander, Redis } from 'ioredis'
import postgres, { type PgPool } from '../../packages/core/src/databases/postgres.ts'
import redis, { type RedisClient } from '../../packages/core/src/databases/redis.ts'
import type { Stored } from '../../packages/core/src/field/codec.ts'
import type { Field, FieldDefinition } from '../../packages/core/src/field/field.ts'
import type { Database } from '../../packages/core/src/rotation/database.ts'
import { fieldOf, writeOld } from '../rotation/world.ts'

/** Sessions as Floh keeps them: a record of JSON with OIDC tokens, of which two are encrypted. */
export const lifeMs = 24 * 3_600_000

/** Postgres with Keyturn's state, and Redis with the sessions. */
export const sessionsDatabase = (pool: PgPool, client: RedisClient): Database => redis({ client, over: postgres({ pool }) })

/** The access token in every session of a prefix. Values of the old key are hex-colon, those of the new one kt1. */
export function tokenField(prefix: string, more: Partial<FieldDefinition> = {}): Field {
  return fieldOf(`redis:${prefix}*:/tokens/access`, { name: 'session.access', sensitive: ['key'], ...more })
}

/** The record of a session, as an application writes it whose spelling no printer would keep. */
export function record(id: string, token: Stored): string {
  return `{ "cookie":{"originalMaxAge":${lifeMs}},"user":"${id}", "tokens":{"access":${JSON.stringify(token)},"scope":"openid\\u0020email"},"n":1.0 }`
}

export const tokenOf = (text: string): string => (JSON.parse(text) as { tokens: { access: string } }).tokens.access

/** What a session's token decrypts to; null where it does not open. */
export function opened(field: Field, text: string): string | null {
  try {
    return Buffer.from(field.open(tokenOf(text), []).plaintext).toString()
  } catch {
    return null
  }
}

/** Fills a prefix with sessions under the old key. @returns when each expires, by its id */
export async function fill(client: Redis, prefix: string, sessions: number): Promise<Map<string, number>> {
  const ends = new Map<string, number>()
  const now = Date.now()
  for (let from = 0; from < sessions; from += 5_000) {
    const pipeline: ChainableCommander = client.pipeline()
    for (let n = from; n < Math.min(sessions, from + 5_000); n++) {
      const [id, end] = [`s${n}`, now + lifeMs + n]
      ends.set(id, end)
      pipeline.call('SET', `${prefix}${id}`, record(id, writeOld(`token of ${id}`)), 'PXAT', String(end))
    }
    await pipeline.exec()
  }
  return ends
}

/** What stands under a prefix: by session, its text and when it expires (-1: never). */
export async function contents(client: Redis, prefix: string): Promise<Map<string, { readonly text: string; readonly end: number }>> {
  const found = new Map<string, { readonly text: string; readonly end: number }>()
  let cursor = '0'
  do {
    const [next, keys] = await client.scan(cursor, 'MATCH', `${prefix}*`, 'COUNT', 1_000)
    cursor = next
    const pipeline = client.pipeline()
    for (const key of keys) pipeline.get(key).call('PEXPIRETIME', key)
    const replies = (await pipeline.exec()) ?? []
    keys.forEach((key, index) => {
      const [text, end] = [replies[2 * index]?.[1], replies[2 * index + 1]?.[1]]
      // Between the scan and this look a session may have ended.
      if (typeof text === 'string') found.set(key.slice(prefix.length), { text, end: Number(end) })
    })
  } while (cursor !== '0')
  return found
}
