import { afterAll, beforeAll } from 'vitest'
import type { RefusedSession } from '../../packages/core/src/adapters/express-session.ts'
import { defineConfig, env } from '../../packages/core/src/config/config.ts'
import type { Keyturn } from '../../packages/core/src/keyturn.ts'
import { open } from '../../packages/core/src/open.ts'
import { useDatabase } from '../harness/postgres.ts'
import type { TestRedis } from '../harness/redis.ts'

/** Floh's sessions under a prefix of the test: OIDC tokens as named fields, or the whole record. */
export function useSessions({ client, prefix }: TestRedis) {
  const server = useDatabase()
  let keyturn: Keyturn | undefined
  const told: RefusedSession[] = []
  const config = defineConfig({
    refreshMs: 400,
    keyrings: { sessions: { root: env('ROOT') } },
    fields: {
      'session.tokens': { column: `redis:${prefix}named:*:/tokens/*`, keyring: 'sessions', bind: ['key'] },
      'session.record': { column: `redis:${prefix}whole:*:/sealed`, keyring: 'sessions', bind: ['key'] },
    },
  })
  beforeAll(async () => {
    keyturn = await open(config, { pool: server.pool, redis: client, env: { ROOT: 'ab'.repeat(32) }, warn: () => {} })
  })
  afterAll(() => keyturn?.close())
  return {
    get keyturn(): Keyturn {
      if (keyturn === undefined) throw new Error('the configuration is open once the tests run, not before')
      return keyturn
    },
    /** Sessions that were refused, in their order. */
    told,
    named: { fields: ['session.tokens'], onRefused: (event: RefusedSession) => void told.push(event) },
    whole: { fields: ['session.record'], record: true, onRefused: (event: RefusedSession) => void told.push(event) },
  }
}

export const tokens = { access: 'marked-access-4711', refresh: 'marked-refresh-4712' }
