import type { Sql, SqlResult, SqlState } from '../../state/sql.ts'
import { databaseError } from './errors.ts'
import { quote } from './identifiers.ts'

/** The part of a `pg` Pool that we use; any object of this shape will do. */
export interface PgPool {
  connect(): Promise<PgClient>
}
/** The part of a `pg` client that we use. */
export interface PgClient {
  query(query: { text: string; values?: unknown[]; rowMode?: 'array' }): Promise<PgResult>
  release(destroy?: boolean | Error): void
  /** The server's process id of this session. */
  readonly processID?: number | null
  on?(event: 'error', listener: (error: Error) => void): unknown
  off?(event: 'error', listener: (error: Error) => void): unknown
}
interface PgResult {
  // biome-ignore lint/suspicious/noExplicitAny: rows are arrays or objects by the row mode, as pg's own types have it
  rows: any[]
  rowCount: number | null
}

/** The part of a PGlite database that we use. One session: everything waits its turn. */
export interface PGliteDatabase extends PGliteSession {
  transaction<T>(work: (tx: PGliteSession) => Promise<T>): Promise<T>
}
interface PGliteSession {
  query(
    text: string,
    values?: unknown[],
    options?: { rowMode?: 'array' | 'object' },
    // biome-ignore lint/suspicious/noExplicitAny: rows are arrays or objects by the row mode, as PGlite's own types have it
  ): Promise<{ rows: any[]; affectedRows?: number }>
  exec(text: string): Promise<unknown>
}

/** A connection of this family: statements whose rows come as arrays, because a scan reads many. */
export interface Connection extends Sql {
  arrays(text: string, values?: readonly unknown[]): Promise<unknown[][]>
}

/** Our own state in Postgres or PGlite, and the transactions in which rows change with it. */
export interface PostgresState extends SqlState {
  /** @param settings - statements that go before `work`, in the message that begins the transaction */
  transaction<T>(work: (connection: Connection) => Promise<T>, settings?: string): Promise<T>
  /** Process ids of the server's sessions that states of the same pool have used. */
  readonly sessions: ReadonlySet<number>
}

// By pool: what one state has opened and left idle in the pool is ours for the next state, too.
const sessionsOf = new WeakMap<PgPool, Set<number>>()

/**
 * State and transactions on a `pg` Pool. Every call takes a connection for as long as it lasts.
 *
 * @param schema - name of the schema of our tables, unquoted
 */
export function pgState(pool: PgPool, schema = 'keyturn'): PostgresState {
  const sessions = sessionsOf.get(pool) ?? new Set<number>()
  sessionsOf.set(pool, sessions)
  const withClient = async <T>(work: (connection: Connection) => Promise<T>, finish: (client: PgClient) => Promise<void>): Promise<T> => {
    // A client that breaks while it is ours would otherwise end the process with an unhandled 'error' event.
    const ignore = () => {}
    const client = await connect(pool, ignore)
    if (typeof client.processID === 'number') sessions.add(client.processID)
    let broken: unknown
    try {
      const result = await work(pgConnection(client))
      await finish(client)
      return result
    } catch (error) {
      broken = error
      throw error
    } finally {
      const lost = broken !== undefined && isConnectionLost(broken)
      // A connection that is thrown away may still report how it ended; in the pool again, it is the pool's to listen.
      if (!lost) client.off?.('error', ignore)
      client.release(lost)
    }
  }
  const none = async () => {}
  return {
    schema: quote(schema),
    sessions,
    query: (text, values) => withClient((sql) => sql.query(text, values), none),
    exec: (text) => withClient((sql) => sql.exec(text), none),
    transaction: (work, settings = '') =>
      withClient(async (sql) => {
        let result: Awaited<ReturnType<typeof work>>
        try {
          await sql.exec(`BEGIN ISOLATION LEVEL READ COMMITTED; ${settings}`)
          result = await work(sql)
        } catch (error) {
          // The connection may be gone; then there is nothing left to roll back, and the first error says more.
          await sql.exec('ROLLBACK').catch(() => {})
          throw error
        }
        try {
          await sql.exec('COMMIT')
        } catch (error) {
          throw databaseError(error, 'committing', { commit: true })
        }
        return result
      }, none),
  }
}

type Connected = (error: unknown, client: PgClient | undefined) => void

/**
 * A client that `onError` listens to from the moment it is ours. A promise would come too late: what a server sends right after the
 * greeting, such as that it ends the session, is read before the promise is continued. A callback of `pg` is called at once.
 */
async function connect(pool: PgPool, onError: () => void): Promise<PgClient> {
  try {
    return await new Promise<PgClient>((resolve, reject) => {
      const connected: Connected = (error, client) => {
        if (client === undefined) return reject(error)
        client.on?.('error', onError)
        resolve(client)
      }
      if (pool.connect.length === 0) pool.connect().then((client) => connected(undefined, client), reject)
      else (pool as unknown as { connect(callback: Connected): void }).connect(connected)
    })
  } catch (error) {
    throw databaseError(error, 'connecting')
  }
}

function isConnectionLost(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'kind' in error && error.kind !== 'data' && error.kind !== 'contention'
}

function pgConnection(client: PgClient): Connection {
  const run = async (query: { text: string; values?: unknown[]; rowMode?: 'array' }) => {
    try {
      return await client.query(query)
    } catch (error) {
      throw databaseError(error, 'running a statement')
    }
  }
  return {
    query: async (text, values = []): Promise<SqlResult> => {
      const { rows, rowCount } = await run({ text, values: [...values] })
      return { rows, count: rowCount ?? 0 }
    },
    arrays: async (text, values = []) => (await run({ text, values: [...values], rowMode: 'array' })).rows,
    exec: async (text) => {
      await run({ text })
    },
  }
}

/**
 * State and transactions on a PGlite database.
 *
 * @param schema - name of the schema of our tables, unquoted
 */
export function pgliteState(db: PGliteDatabase, schema = 'keyturn'): PostgresState {
  const outer = pgliteConnection(db)
  return {
    schema: quote(schema),
    sessions: new Set(),
    query: outer.query,
    exec: outer.exec,
    transaction: (work, settings) =>
      db.transaction(async (tx) => {
        const connection = pgliteConnection(tx)
        if (settings !== undefined) await connection.exec(settings)
        return await work(connection)
      }),
  }
}

function pgliteConnection(session: PGliteSession): Connection {
  const guard = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      throw databaseError(error, 'running a statement')
    }
  }
  return {
    query: async (text, values = []) => {
      const { rows, affectedRows } = await guard(() => session.query(text, [...values]))
      // For statements that return rows and change none, PGlite reports 0 affected.
      return { rows, count: affectedRows === undefined || affectedRows === 0 ? rows.length : affectedRows }
    },
    arrays: async (text, values = []) => (await guard(() => session.query(text, [...values], { rowMode: 'array' }))).rows,
    exec: async (text) => {
      await guard(() => session.exec(text))
    },
  }
}
