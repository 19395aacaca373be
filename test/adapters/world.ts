import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach } from 'vitest'
import { defineConfig, env } from '../../packages/core/src/config/config.ts'
import type { Keyturn } from '../../packages/core/src/keyturn.ts'
import { open } from '../../packages/core/src/open.ts'
import { useDatabase } from '../harness/postgres.ts'

const keys = { ROOT: 'ab'.repeat(32) }
const oneHour = 3_600_000
/** A process that has loaded its keyrings less than a second ago does not load them again for an id that it does not know. */
const youngMs = 1_100

/** Users with configurations, and encrypted columns of each kind: bound or not, text or bytes. */
const configOf = (refreshMs: number) =>
  defineConfig({
    refreshMs,
    keyrings: { app: { root: env('ROOT') } },
    fields: {
      'user.token': { column: 'users.token', keyring: 'app', bind: ['id'], insertedFirst: true },
      'user.note': { column: 'users.note', keyring: 'app', keep: 'none' },
      'user.picture': { column: 'users.picture', keyring: 'app' },
      'config.secret': { column: 'configs.encrypted_secret', keyring: 'app', bind: ['id'] },
    },
  })

const tables = `
CREATE TABLE users (id serial PRIMARY KEY, email text NOT NULL UNIQUE, token text, note text, picture bytea);
CREATE TABLE configs (id uuid PRIMARY KEY, user_id int NOT NULL REFERENCES users (id), encrypted_secret text, label text);`

/** A database of the file, its tables empty for each test. What is opened is closed after it. */
export function useUsers() {
  const server = useDatabase()
  const opened: Keyturn[] = []
  beforeEach(async () => {
    await server.pool.query('DROP SCHEMA IF EXISTS keyturn CASCADE; DROP TABLE IF EXISTS configs, users')
    await server.pool.query(tables)
  })
  afterEach(async () => {
    for (const keyturn of opened.splice(0)) await keyturn.close()
  })
  let openedAt = 0
  const openWith = async (refreshMs: number) => {
    const keyturn = await open(configOf(refreshMs), { pool: server.pool, env: keys })
    opened.push(keyturn)
    return keyturn
  }
  return {
    server,
    newId: randomUUID,
    /** As an application that hears of no change by itself: what it learns, it has asked for. */
    open: async () => {
      const keyturn = await openWith(oneHour)
      openedAt = performance.now()
      return keyturn
    },
    /** Somebody else gives the keyring a new key, and rewrites every value under it. */
    rotate: async () => {
      await sleep(Math.max(0, openedAt + youngMs - performance.now()))
      const operator = await openWith(50)
      const { state } = await operator.rotate('app', { throttle: { share: 1 }, accept: true })
      if (state !== 'completed') throw new Error(`the rotation is ${state}`)
      return operator
    },
    /** The same, and the database refuses the key before. @returns its id */
    async retire(): Promise<string> {
      const operator = await this.rotate()
      const [retired] = await operator.retire('app')
      if (retired === undefined) throw new Error('nothing was retired')
      return retired.versionId
    },
    /** What stands in a column, as it is stored, in the order of the emails. */
    stored: async (column: string): Promise<(string | Buffer | null)[]> =>
      (await server.pool.query(`SELECT ${column} AS stored FROM users ORDER BY email`)).rows.map(({ stored }) => stored),
  }
}
