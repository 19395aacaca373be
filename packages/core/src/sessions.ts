import type { Config } from './config/config.ts'
import { nearest } from './config/nearest.ts'
import { fail } from './errors.ts'
import { parseReference, redisStore } from './field/reference.ts'
import { type Evidence, recorded } from './rotation/certify.ts'
import type { Database, Keys } from './rotation/database.ts'

/** The sessions of one pattern of keys in Redis. */
export interface SessionCount {
  readonly pattern: string
  readonly sessions: number
}
export interface EndOptions {
  /** Only the sessions of these fields; of all fields in Redis unless given. */
  readonly fields?: readonly string[]
  /** Aborted: stops after its batch. What has ended stays so. */
  readonly signal?: AbortSignal
  /** Told how many have ended so far. */
  readonly onEnded?: (sessions: number) => void
}
/** The sessions that fields in Redis stand in, all of them together. */
export interface Sessions {
  /** How many there are. Changes nothing. @throws `ERR_USAGE` where no field stands in Redis */
  count(options?: Pick<EndOptions, 'fields'>): Promise<readonly SessionCount[]>
  /**
   * Ends every session that is there when it begins: its key is deleted, whatever it holds, and everybody has to log in again. Only keys of
   * the patterns that the fields declare are touched. A session that begins meanwhile may stay.
   *
   * The event `sessions.end` is written before, `sessions.ended` after. A process that dies in between leaves some ended: say it again.
   *
   * @returns how many ended
   * @throws `ERR_INTERRUPTED` when the signal was aborted
   */
  end(options?: EndOptions): Promise<readonly SessionCount[]>
}

/** What sessions are ended with. */
export interface SessionsOf {
  readonly config: Config
  readonly database: Database
  readonly evidence: Evidence
}

/** See `Keyturn.sessions`. */
export function sessionsOf({ config, database, evidence }: SessionsOf): Sessions {
  const count = async (patterns: readonly string[]) => {
    const counts: SessionCount[] = []
    for (const pattern of patterns) counts.push({ pattern, sessions: await keysOf(database).count(pattern) })
    return counts
  }
  return {
    count: ({ fields } = {}) => count(patternsOf(config, fields)),
    end: async ({ fields, signal, onEnded } = {}) => {
      const ended: SessionCount[] = []
      for (const pattern of patternsOf(config, fields)) {
        const subject = `${redisStore}/${pattern}`
        const { actor, log } = evidence
        await recorded(evidence, { action: 'sessions.end', subject }, async () => {
          const before = ended.reduce((sum, { sessions }) => sum + sessions, 0)
          await log.record({ actor, action: 'sessions.end', subject, data: { sessions: await keysOf(database).count(pattern) } })
          const sessions = await keysOf(database).end(pattern, { signal, onBatch: (some) => onEnded?.(before + some) })
          await log.record({ actor, action: 'sessions.ended', subject, data: { sessions, all: signal?.aborted !== true } })
          ended.push({ pattern, sessions })
        })
        if (signal?.aborted) throw fail('ERR_INTERRUPTED', 'ending sessions')
      }
      return ended
    },
  }
}

function keysOf({ keys }: Database): Keys {
  if (keys === undefined) throw fail('ERR_USAGE', 'this database has no sessions')
  return keys
}

/** The patterns of some fields, each once. */
function patternsOf({ fields }: Config, names: readonly string[] | undefined): string[] {
  const inRedis = new Map(
    Object.entries(fields).flatMap(([name, { column }]) => {
      const { store, table } = parseReference(column)
      return store === undefined ? [] : [[name, table] as const]
    }),
  )
  if (inRedis.size === 0) throw fail('ERR_USAGE', 'no field of the configuration stands in Redis: there are no sessions to end')
  for (const name of names ?? []) {
    if (inRedis.has(name)) continue
    if (Object.hasOwn(fields, name)) throw fail('ERR_USAGE', `field "${name}" does not stand in Redis: it has no sessions`)
    throw fail('ERR_UNKNOWN_NAME', 'field', name, nearest(name, [...inRedis.keys()]))
  }
  return [...new Set([...inRedis].flatMap(([name, pattern]) => (names?.includes(name) === false ? [] : [pattern])))]
}
