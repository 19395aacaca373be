import { fail } from '../errors.ts'
import { redisStore } from '../field/reference.ts'
import type { Database, DatabaseTransaction, TableShape, Walk } from '../rotation/database.ts'
import type { RedisClient } from './redis/client.ts'
import { Keyspace } from './redis/keyspace.ts'

export type { RedisClient } from './redis/client.ts'

/** What Redis is opened with. */
export interface RedisOptions {
  /** A connected client of ioredis 5 or of node-redis, on one server. Null: fields in Redis can be used, and not be walked. */
  readonly client: RedisClient | null
  /** The database with all other fields and with Keyturn's own state. */
  readonly over: Database
}

/**
 * A database with Redis beside it: keys of a pattern (`redis:floh:session:*`) are the rows, everything else is as it is in `over`.
 *
 * A swap compares with the value read and keeps the time to live, in one step of the server: what others have written stays, what has
 * expired or was destroyed does not come back. It is done at once and not rolled back, and the run's progress is committed in `over`
 * after it: where the process dies in between, the values are found current by whoever goes on.
 *
 * @throws `ERR_USAGE` for a client of a cluster, or with a key prefix of its own
 */
export default function redis({ client, over }: RedisOptions): Database {
  const keyspace = client === null ? null : new Keyspace(client)
  const given = () => {
    if (keyspace === null)
      throw fail(
        'ERR_USAGE',
        'a field stands in Redis and there is no client: open(config, { redis }), or --redis redis://… for the command',
      )
    return keyspace
  }
  return {
    ...over,
    inspect: async (locations) => {
      const elsewhere = locations.filter(({ store }) => store === undefined)
      const shapes = elsewhere.length === 0 ? [] : await over.inspect(elsewhere)
      return await Promise.all(
        locations.map(async (location) => {
          if (location.store === undefined) return shapes[elsewhere.indexOf(location)] ?? null
          return await shapeOf(location.table, keyspace)
        }),
      )
    },
    walk: async (shape, columns, bound) => {
      if (shape.store === undefined) return await over.walk(shape, columns, bound)
      await given().assertUsable()
      return { store: redisStore, schema: shape.schema, table: shape.table, key: [{ name: 'key', type: 'string' }], columns, bound }
    },
    scan: (walk, after, limit) => (inRedis(walk) ? given().scan(walk, after, limit) : over.scan(walk, after, limit)),
    ...(over.anyLeft && { anyLeft: async (walk) => inRedis(walk) || (await over.anyLeft?.(walk)) !== false }),
    sample: (walk, column, limit) => (inRedis(walk) ? given().sample(walk, limit) : over.sample(walk, column, limit)),
    prepare: (walk, changes) => (inRedis(walk) ? undefined : over.prepare?.(walk, changes)),
    transaction: (work) => over.transaction((tx) => work(beside(tx, given))),
    exclusive: (walks, work) => {
      if (walks.some(inRedis)) throw fail('ERR_USAGE', noTransaction)
      return over.exclusive(walks, work)
    },
    keys: {
      lives: (pattern) => given().lives(pattern),
      count: (pattern) => given().count(pattern),
      end: (pattern, options) => given().end(pattern, options),
    },
  }
}

const noTransaction = 'Redis has no part in a transaction of the database: rotate its fields online'

const inRedis = ({ store }: Pick<Walk, 'store'>): boolean => store === redisStore

function beside(tx: DatabaseTransaction, keyspace: () => Keyspace): DatabaseTransaction {
  return {
    swap: (walk, changes) => (inRedis(walk) ? keyspace().swap(changes) : tx.swap(walk, changes)),
    advance: (lease, progress, setAside) => tx.advance(lease, progress, setAside),
  }
}

async function shapeOf(pattern: string, keyspace: Keyspace | null): Promise<TableShape> {
  const refusal = (await keyspace?.refusal(pattern)) ?? null
  const column = { type: 'string', maxLength: null, nullable: false, assigned: false }
  return {
    store: redisStore,
    schema: redisStore,
    table: pattern,
    kind: 'table',
    columns: [
      { ...column, name: 'value', holds: 'text', boundType: null },
      { ...column, name: 'key', holds: null, boundType: 'text' },
    ],
    key: ['key'],
    rows: (await keyspace?.estimate(pattern)) ?? 0,
    bytes: 0,
    missingPrivileges: [],
    owned: false,
    lockable: false,
    ...(refusal === null ? {} : { refusesWrites: refusal }),
    notes: ['Redis cannot refuse an old key: a keyring with values here is rotated, and its keys are not retired'],
  }
}
