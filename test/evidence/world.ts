import type { Pool } from 'pg'
import type { LoggedEvent } from '../../packages/core/src/audit/chain.ts'
import { type Config, defineConfig, env } from '../../packages/core/src/config/config.ts'
import type { Keyturn, RotateOptions } from '../../packages/core/src/keyturn.ts'
import { type OpenOptions, open } from '../../packages/core/src/open.ts'
import { signingKey } from '../../packages/core/src/signing/signing-key.ts'
import { damaged, insertOld } from '../rotation/world.ts'

/** A stored keyring and a signing key, whose processes learn of a new version within a second. */
export const config: Config = defineConfig({
  refreshMs: 400,
  signing: { key: env('SIGNING_KEY') },
  keyrings: { app: { root: env('ROOT') } },
  fields: {
    'tokens.token': {
      column: 'tokens.token',
      keyring: 'app',
      bind: ['id'],
      reads: [{ codec: 'hex-colon', key: env('OLD'), keyRule: 'hex' }],
    },
  },
})
export const environment = { ROOT: 'ab'.repeat(32), OLD: '11'.repeat(32), SIGNING_KEY: 'c3'.repeat(32) }
export const { publicKey } = signingKey(environment.SIGNING_KEY, 'SIGNING_KEY')
export const fast: RotateOptions = { throttle: { share: 1 }, accept: true }

/** An empty database with `rows` values under the old key, and one that does not open where `broken` is given. */
export async function refill(pool: Pool, rows: number, broken?: number): Promise<void> {
  await pool.query(
    'DROP SCHEMA IF EXISTS keyturn CASCADE; DROP TABLE IF EXISTS tokens; CREATE TABLE tokens (id bigint PRIMARY KEY, token text)',
  )
  await insertOld(pool, 'tokens', rows)
  if (broken !== undefined) await pool.query('UPDATE tokens SET token = $1 WHERE id = $2', [damaged(), broken])
}

/** Opens the configuration for as long as `work` takes. */
export async function opened<T>(
  pool: Pool,
  work: (keyturn: Keyturn) => Promise<T>,
  options: OpenOptions & { config?: Config } = {},
): Promise<T> {
  const keyturn = await open(options.config ?? config, { pool, env: environment, leaseMs: 5_000, warn: () => {}, ...options })
  try {
    return await work(keyturn)
  } finally {
    await keyturn.close()
  }
}

/** The whole audit log. */
export async function eventsOf(keyturn: Keyturn): Promise<LoggedEvent[]> {
  const events: LoggedEvent[] = []
  for await (const event of keyturn.audit.events()) events.push(event)
  return events
}
