import type { Pool } from 'pg'
import { afterEach, beforeEach } from 'vitest'
import type { LoggedEvent } from '../../packages/core/src/audit/chain.ts'
import kt1 from '../../packages/core/src/codecs/kt1.ts'
import type { Config } from '../../packages/core/src/config/config.ts'
import postgres, { pgState } from '../../packages/core/src/databases/postgres.ts'
import { Field } from '../../packages/core/src/field/field.ts'
import local from '../../packages/core/src/key-wrappers/local.ts'
import { openStoredKeyring } from '../../packages/core/src/keyring/stored-keyring.ts'
import postgresKeyrings from '../../packages/core/src/keyring-stores/postgres.ts'
import type { Keyturn } from '../../packages/core/src/keyturn.ts'
import { type OpenOptions, open } from '../../packages/core/src/open.ts'
import type { Retiring } from '../../packages/core/src/rotation/retire.ts'
import { useDatabase } from '../harness/postgres.ts'
import { fast, keys, oneField, things } from './fields.ts'

export { everyKind, fast, keys, oneField, things } from './fields.ts'
export { watchedPool } from './watched-pool.ts'

/** A database of the file, empty for each test; what is opened is closed after it. */
export function useThings() {
  const server = useDatabase()
  const opened: Keyturn[] = []
  beforeEach(async () => {
    await server.pool.query('DROP SCHEMA IF EXISTS keyturn CASCADE; DROP TABLE IF EXISTS things CASCADE')
    await server.pool.query(things)
  })
  afterEach(async () => {
    for (const keyturn of opened.splice(0)) await keyturn.close()
  })
  const versions = async (keyturn: Keyturn) => (await keyturn.status('app')).keyrings[0]?.versions ?? []
  return {
    server,
    versions,
    open: async (config: Config = oneField, more: Partial<OpenOptions> = {}): Promise<Keyturn> => {
      const keyturn = await open(config, { pool: server.pool, env: keys, leaseMs: 2_000, ...more })
      opened.push(keyturn)
      return keyturn
    },
    /** Ids of versions in this state, the oldest first. */
    inState: async (keyturn: Keyturn, wanted: string) =>
      (await versions(keyturn)).filter(({ state }) => state === wanted).map(({ id }) => id),
    constraints: async () => {
      const { rows } = await server.pool.query(
        `SELECT conname AS name, convalidated AS validated FROM pg_constraint WHERE conname LIKE 'keyturn\\_%' AND conislocal ORDER BY 1`,
      )
      return rows as { name: string; validated: boolean }[]
    },
    events: async (keyturn: Keyturn) => {
      const events: LoggedEvent[] = []
      for await (const event of keyturn.audit.events()) events.push(event)
      return events
    },
  }
}

/** Fills the table: `secret N` in each field of row N. */
export async function fill(
  keyturn: Keyturn,
  pool: { query(text: string, values: unknown[]): Promise<unknown> },
  rows: number,
): Promise<void> {
  for (let id = 1; id <= rows; id++) {
    const document = async (name: string) => JSON.stringify({ keys: [await keyturn.field(name).encrypt(`secret ${id}`)], other: 1.5 })
    const legacy = await keyturn.field('things.legacy').encryptKeyed(`secret ${id}`)
    await pool.query('INSERT INTO things VALUES ($1, $2, $3, $4, $5, $6, $7, $8)', [
      id,
      await keyturn.field('things.token').encrypt(`secret ${id}`, { id }),
      await keyturn.field('things.bin').encrypt(`secret ${id}`),
      await document('things.j'),
      await document('things.jb'),
      await document('things.jt'),
      legacy.value,
      legacy.keyId,
    ])
  }
}

/** Fills the column `token` only. */
export async function fillTokens(
  keyturn: Keyturn,
  pool: { query(text: string, values: unknown[]): Promise<unknown> },
  rows: number,
): Promise<void> {
  const ids = Array.from({ length: rows }, (_, index) => index + 1)
  const tokens = await Promise.all(ids.map((id) => keyturn.field('things.token').encrypt(`secret ${id}`, { id })))
  await pool.query('INSERT INTO things (id, token) SELECT * FROM unnest($1::bigint[], $2::text[])', [ids, tokens])
}

/** What `Keyturn.retire` of `oneField` works with, for what it has no option for. */
export async function retiringOf(pool: Pool): Promise<Retiring> {
  const [state, database] = [pgState(pool), postgres({ pool })]
  const store = postgresKeyrings(state)
  const refreshMs = 200
  const keyring = await openStoredKeyring({ store, name: 'app', wrappers: [local({ key: keys.ROOT, label: 'ROOT' })], refreshMs })
  const none = () => Promise.reject(new Error('not here'))
  const versions = { addPending: none, activate: none, now: () => store.now(), refreshMs }
  const field = new Field({
    name: 'things.token',
    location: { schema: null, table: 'things', column: 'token' },
    keyring,
    writes: kt1(),
    reads: [],
    bind: [{ column: 'id', type: 'int' }],
    empty: 'refuse',
  })
  const rotation = { database, keyring, versions, fields: [field], options: {}, actor: 'test', leaseMs: 2_000 }
  return { rotation, keyring, versions, fields: [field], places: async () => [], options: fast }
}
