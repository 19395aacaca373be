import { commandActor, fail, type Keyturn, open } from '@keyturn/core'
import { type Call, caution, say } from './call.ts'
import { findConfig } from './config-file.ts'
import { client, driverOf, type Opened, withDatabase } from './database.ts'
import { labelled } from './failure.ts'
import { declared, declaresFields, type Selection, selected } from './flags/field-config.ts'
import { flagKeys } from './flags/key-source.ts'
import { fitted, presetSelection } from './flags/preset-config.ts'
import { Lines } from './lines.ts'
import { withRedis } from './redis.ts'

/** An opened configuration, and what the command line chose of it. */
export interface Session {
  readonly keyturn: Keyturn
  readonly selection: Selection
  readonly lines: Lines
  readonly database: Opened
  /** Opens the same once more, to write: what was opened for looking makes no schema and no key. */
  write(work: (session: Session) => Promise<number>): Promise<number>
}

/** What the command line and the configuration come to, with the environment that its keys are read from. */
export interface Resolved {
  readonly selection: Selection
  readonly env: { readonly [name: string]: string | undefined }
}

/**
 * What a session is for.
 *
 * - `values`: keyrings and fields with their keys, opened for looking
 * - `overview`: the same, and where neither flags nor a configuration name any, the database alone
 * - `record`: for looking at what was recorded: only the database, because no key is needed
 * - `ending`: to end a rotation or a hold: the same, opened for writing
 * - `signing`: the same, with the key that signs
 */
export type Access = 'values' | 'overview' | 'record' | 'ending' | 'signing'

const databaseOnly: readonly Access[] = ['record', 'ending', 'signing']
const writes: readonly Access[] = ['ending', 'signing']

/**
 * Reads configuration and flags.
 *
 * @throws `ERR_CONFIG_NOT_FOUND` where neither a configuration nor flags say what is meant
 */
export async function resolveCall(call: Call, lines: Lines, access: Access = 'values'): Promise<Resolved> {
  const { io, options } = call
  const base = (await findConfig(io.cwd, options.config))?.config ?? null
  const known = base !== null || (access !== 'values' && options.database !== undefined)
  if (databaseOnly.includes(access) && known) return { selection: databaseAlone(base, access), env: io.env }
  if (declaresFields(options)) {
    const keys = await flagKeys(call, lines)
    const selection = options.preset === undefined ? declared(call, base, keys) : await presetSelection(call, base, keys)
    return { selection, env: { ...io.env, ...keys.env } }
  }
  if (options.to !== undefined) throw fail('ERR_USAGE', '--to needs to know what the values are now: --format, and an old key')
  if (!known) throw fail('ERR_CONFIG_NOT_FOUND', `${io.cwd}, where keyturn.config.ts, .mjs or .json was looked for`)
  return { selection: selected(call, base ?? databaseAlone(null, access).config), env: io.env }
}

/** The database without what needs keys. Ending something must not fail for the key that signs, either. */
function databaseAlone(base: Selection['config'] | null, access: Access): Selection {
  const { signing, ...rest } = base ?? {}
  const signer = access === 'ending' || signing === undefined ? {} : { signing }
  return { config: { ...rest, ...signer, keyrings: {}, fields: {} }, keyring: null, fields: null }
}

/** Opens what the command line means, does the work, and closes it again whatever happens. */
export async function withSession(call: Call, access: Access, work: (session: Session) => Promise<number>): Promise<number> {
  const lines = new Lines(call.io)
  try {
    const resolved = await resolveCall(call, lines, access)
    const warned = new Set<string>()
    return await withDatabase(call, resolved.selection.config, async (database) => {
      const selection = await fitted(call, resolved.selection, driverOf(database, resolved.selection.config.schema))
      return await withRedis(call, selection.config, async (redis) => {
        const opened = (readOnly: boolean, inner: typeof work): Promise<number> =>
          withKeyturn(call, { selection, env: resolved.env, database, redis, warned, readOnly }, (keyturn) =>
            inner({ keyturn, selection, lines, database, write: (later) => opened(false, later) }),
          )
        return await opened(!writes.includes(access), work)
      })
    })
  } finally {
    lines.close()
  }
}

/** What a configuration is opened with. */
export interface Opening extends Resolved {
  readonly database: Opened
  /** Null, and for looking absent, where no field stands in Redis. */
  readonly redis?: Awaited<Parameters<Parameters<typeof withRedis>[2]>[0]>
  readonly readOnly: boolean
  /** Warnings that were said already: a second opening does not repeat them. */
  readonly warned: Set<string>
}

/** Opens a configuration as the command does: named in the audit log, warnings on standard error. */
export async function withKeyturn<T>(call: Call, opening: Opening, work: (keyturn: Keyturn) => Promise<T>): Promise<T> {
  const { selection, env, database, redis, readOnly, warned } = opening
  const warn = (sentence: string) => {
    if (!warned.has(sentence)) caution(call, labelled(sentence, call.labels))
    warned.add(sentence)
  }
  // A head that is signed and stands in the log of whoever ran this is out of reach of whoever can write the database.
  const signs = selection.config.signing !== undefined && call.verb.name !== 'audit checkpoint'
  const sink = signs ? { sink: (line: string) => say(call, `checkpoint: ${line}`) } : {}
  const beside = redis == null ? {} : { redis }
  const keyturn = await open(selection.config, { ...client(database), ...beside, ...sink, env, warn, actor: commandActor(), readOnly })
  try {
    return await work(keyturn)
  } finally {
    await keyturn.close()
  }
}
