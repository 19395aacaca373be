import { hostname, userInfo } from 'node:os'
import type { Config } from './config/config.ts'
import { openFields } from './config/open-fields.ts'
import { type KeyringWorld, openKeyrings } from './config/open-keyrings.ts'
import { openSigning } from './config/open-signing.ts'
import { validateConfig } from './config/validate.ts'
import pglite, { type PGliteDatabase, pgliteState } from './databases/pglite.ts'
import postgres, { type PgPool, pgState } from './databases/postgres.ts'
import redis, { type RedisClient } from './databases/redis.ts'
import { fail } from './errors.ts'
import { openEvidence } from './evidence.ts'
import type { FieldEvent } from './field/event.ts'
import { parseReference } from './field/reference.ts'
import postgresKeyrings from './keyring-stores/postgres.ts'
import type { Keyturn } from './keyturn.ts'
import { OpenedKeyturn } from './opened-keyturn.ts'
import { recorded } from './rotation/certify.ts'
import type { Database } from './rotation/database.ts'
import type { TokenEvent } from './signing/token-ledger.ts'
import { freezeFields } from './state/frozen-fields.ts'
import { assertKnown, migrate } from './state/schema.ts'
import type { SqlState } from './state/sql.ts'
import { sqlTokenCounts } from './state/token-counts.ts'

/** What a configuration is opened with. */
export interface OpenOptions {
  /** A `pg` Pool on the application's database; or `pglite`. Both stay the caller's: they are not ended by `close`. */
  readonly pool?: PgPool
  readonly pglite?: PGliteDatabase
  /** For fields in Redis: a connected client of ioredis 5 or node-redis, of one server. Without it they encrypt and decrypt, and cannot be rotated. */
  readonly redis?: RedisClient
  /** Where keys are read from; `process.env` unless given. */
  readonly env?: { readonly [name: string]: string | undefined }
  /** Told of each warning, a sentence without secrets; `process.emitWarning` unless given. */
  readonly warn?: (sentence: string) => void
  /** Who is named in the audit log; `library` unless given. */
  readonly actor?: string
  /** Writes nothing: no schema, no key version. For looking. */
  readonly readOnly?: boolean
  /** How long a killed rotation cannot be resumed, in milliseconds; 15,000 unless given. */
  readonly leaseMs?: number
  /** Told of each checkpoint of the audit log, one line: after each completed rotation, retirement and destruction. Nobody unless given. */
  readonly sink?: (line: string) => unknown
  /** Told of each read of the application that needed an older key, format or name: at most once a read, never with a value. */
  readonly onEvent?: (event: FieldEvent) => void
  /** Told at most once every `refreshMs` how many tokens were refused because their key is retired or not known. Never a token. */
  readonly onTokens?: (event: TokenEvent) => void
}

const defaultRefreshMs = 5_000
const defaultLeaseMs = 15_000

/**
 * Opens a configuration on the application's own database: loads the keyrings, makes the first version of those that are new (once,
 * however many processes start together), and finds the fields.
 *
 * @throws rather than serve without keys: every refusal of the configuration, of the keys and of the state
 * @example
 * const keyturn = await open(config, { pool })
 * const token = keyturn.field('jira.token')
 * const stored = await token.encrypt('secret', { id: 42 })
 * const plain = await token.decrypt(stored, { id: 42 })
 */
export async function open<C extends Config>(config: C, options: OpenOptions): Promise<Keyturn<C>> {
  const checked = validateConfig(config)
  const { state, database } = openDatabase(checked, options)
  const stored = Object.values(checked.keyrings).some((keyring) => 'root' in keyring)
  const readOnly = options.readOnly ?? false
  const hasState = await database.hasState()
  if (stored && !readOnly && !hasState) await rehearse(checked, options, { state, database })
  if (hasState) await (readOnly ? assertKnown(state) : migrate(state))
  else if (stored && !readOnly) await migrate(state)
  const world = worldOf(checked, options, { state, hasState: hasState || (stored && !readOnly) })
  const keyrings = await openKeyrings(checked, world)
  try {
    const fields = await openFields(checked, database, keyrings, world)
    if (stored && !readOnly)
      await freezeFields(
        state,
        [...fields.values()].filter(({ keyring }) => keyrings.get(keyring.name)?.kind === 'stored'),
      )
    const evidence = openEvidence(checked, { ...world, state, database, sink: options.sink })
    const leaseMs = options.leaseMs ?? defaultLeaseMs
    const signing = openSigning(checked, keyrings, {
      ...world,
      counts: sqlTokenCounts(state),
      listener: options.onTokens,
      recorded: (action, keyring, work) => recorded(evidence, { action, subject: `keyring/${keyring}` }, work),
    })
    return new OpenedKeyturn({ config: checked, state, database, keyrings, fields, signing, world, leaseMs, evidence })
  } catch (error) {
    for (const { live } of keyrings.values()) live.close()
    throw error
  }
}

/** Finds what is wrong with the configuration before anything is made: a schema or a keyring that nobody wants would stay. */
async function rehearse(config: Config, options: OpenOptions, { state, database }: ReturnType<typeof openDatabase>): Promise<void> {
  const world = worldOf(config, { ...options, warn: () => {}, readOnly: true }, { state, hasState: false })
  // A field on a table of ours, which is made with the others.
  const own = (column: string) => parseReference(column).schema === (config.schema ?? 'keyturn')
  const fields = Object.fromEntries(Object.entries(config.fields).filter(([, { column }]) => !own(column)))
  await openFields({ ...config, fields }, database, await openKeyrings(config, world), world)
}

function openDatabase(config: Config, options: OpenOptions) {
  if (options.pool !== undefined) {
    const pooled = { pool: options.pool, ...(config.schema === undefined ? {} : { schema: config.schema }) }
    return { state: pgState(pooled.pool, config.schema), database: withRedis(postgres(pooled), options) }
  }
  if (options.pglite !== undefined) {
    const embedded = { pglite: options.pglite, ...(config.schema === undefined ? {} : { schema: config.schema }) }
    return { state: pgliteState(embedded.pglite, config.schema), database: withRedis(pglite(embedded), options) }
  }
  throw fail('ERR_USAGE', 'open needs a database: give { pool } or { pglite }')
}

const withRedis = (over: Database, options: OpenOptions): Database => redis({ client: options.redis ?? null, over })

function worldOf(
  config: Config,
  options: OpenOptions,
  { state, hasState }: { readonly state: SqlState; readonly hasState: boolean },
): KeyringWorld {
  const env = options.env ?? process.env
  const store = postgresKeyrings(state)
  return {
    env,
    // Keys may come from elsewhere than the process's environment; where it runs is said by that.
    production: (env.NODE_ENV ?? process.env.NODE_ENV) === 'production',
    warn: options.warn ?? ((sentence) => process.emitWarning(sentence, { type: 'KeyturnWarning' })),
    store: hasState ? store : { ...store, load: async () => null, list: async () => [] },
    sql: state,
    refreshMs: config.refreshMs ?? defaultRefreshMs,
    actor: options.actor ?? 'library',
    readOnly: options.readOnly ?? false,
    ...(options.onEvent === undefined ? {} : { onEvent: options.onEvent }),
  }
}

/** Who a command runs as: `command:root@host`. */
export function commandActor(): string {
  return `command:${userName()}@${hostname()}`
}

function userName(): string {
  try {
    return userInfo().username
  } catch {
    // In a container a process may run as a user that has no name.
    return `uid-${process.getuid?.() ?? 'unknown'}`
  }
}
