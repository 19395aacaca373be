import { append } from '../../audit/log.ts'
import type { Change, Database, DatabaseTransaction, ExclusiveTransaction, Row, Walk } from '../../rotation/database.ts'
import { DatabaseError } from '../../rotation/database-error.ts'
import { keptKeys } from '../../state/kept-key.ts'
import { advanceRun, sqlRunStore } from '../../state/run-store.ts'
import { isMade } from '../../state/schema.ts'
import type { Sql } from '../../state/sql.ts'
import { postgresFencing } from './fence.ts'
import { hold, holds, liftHold, releaseHold } from './hold.ts'
import { quoteTable } from './identifiers.ts'
import { anyUnique, inspect, keyTypes, tables } from './inspect.ts'
import { withLocks } from './locks.ts'
import type { Connection, PostgresState } from './sql.ts'
import { anyLeftStatement, plainSettings, type Statement, sampleStatements, scanStatement, swapStatement, toRow } from './statements.ts'
import { postgresTokens } from './token-columns.ts'

/** A Database on Postgres or PGlite; they share all SQL and differ in the client. */
export function postgresDatabase(name: string, state: PostgresState): Database {
  const read = <T>(work: (connection: Connection) => Promise<T>) =>
    state.transaction(work, `SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = 0; ${plainSettings}`)
  return {
    name,
    inspect: (locations) => state.transaction((sql) => inspect(sql, locations)),
    tables: () => tables(state),
    walk: async (shape, columns, bound) => ({
      schema: shape.schema,
      table: shape.table,
      key: await keyTypes(state, shape),
      columns,
      bound,
      unique: await anyUnique(
        state,
        shape,
        columns.map(({ column }) => column),
      ),
    }),
    scan: (walk, after, limit) => read((connection) => scan(connection, walk, scanStatement(walk, after, limit))),
    anyLeft: (walk) => read((connection) => anyLeft(connection, anyLeftStatement(walk))),
    sample: (walk, column, limit) => read((connection) => sample(connection, walk, column, limit)),
    prepare: (walk, changes) => {
      if (changes.length > 0) prepared.set(changes, swapStatement(walk, changes))
    },
    transaction: (work) =>
      state.transaction(
        (connection) => work(transaction(connection, state)),
        `SET LOCAL lock_timeout = '200ms'; SET LOCAL statement_timeout = 0; ${plainSettings}`,
      ),
    exclusive: (walks, work) => exclusive(state, walks, work),
    otherSessions: () => otherSessions(state, state),
    sessionNames: () => sessionNames(state, state),
    holds: () => holds(state, state.schema),
    // A trigger is dropped under a lock for which readers wait as well: behind a long query it must not queue for long.
    releaseHold: (rotationId, event) =>
      withLocks(state, 'the tables of the hold', async (sql) => {
        const tables = await releaseHold(sql, state.schema, rotationId)
        if (tables.length > 0 && (await isMade(sql, state.schema))) await append(sql, state.schema, event)
        return tables
      }),
    hasState: () => isMade(state, state.schema),
    keptKey: keptKeys(state, () => isMade(state, state.schema)),
    runs: sqlRunStore(state),
    fencing: postgresFencing(state),
    tokens: postgresTokens(state),
  }
}

async function scan(connection: Connection, walk: Walk, { text, values }: Statement): Promise<Row[]> {
  const rows = await connection.arrays(text, values)
  return rows.map((cells) => toRow(walk, cells))
}

async function anyLeft(connection: Connection, { text, values }: Statement): Promise<boolean> {
  const [row] = await connection.arrays(text, values)
  return row?.[0] === true
}

async function sample(connection: Connection, walk: Walk, column: number, limit: number): Promise<Row[]> {
  const found = new Map<string, Row>()
  for (const statement of sampleStatements(walk, column, limit)) {
    for (const row of await scan(connection, walk, statement)) found.set(JSON.stringify(row.key), row)
  }
  return [...found.values()]
}

function transaction(connection: Connection, state: PostgresState): DatabaseTransaction {
  return {
    swap: (walk, changes) => swap(connection, walk, changes),
    advance: (lease, progress, setAside) => advanceRun(connection, state.schema, lease, progress, setAside),
  }
}

/** Statements made ahead, by the changes that they are for; gone with them. */
const prepared = new WeakMap<readonly Change[], Statement>()

async function swap(connection: Connection, walk: Walk, changes: readonly Change[]): Promise<number[]> {
  if (changes.length === 0) return []
  const { text, values } = prepared.get(changes) ?? swapStatement(walk, changes)
  const missed = await connection.arrays(text, values)
  if (missed.some(([, altered]) => altered)) throw new DatabaseError('data', 'a trigger stored another value', 'replacing values')
  // WITH ORDINALITY counts from 1.
  return missed.map(([ord]) => Number(ord) - 1)
}

/** Takes the locks of all tables at once or of none, so that it never waits while it holds one. */
async function exclusive<T>(state: PostgresState, walks: readonly Walk[], work: (tx: ExclusiveTransaction) => Promise<T>): Promise<T> {
  const tables = walks.map(quoteTable).sort()
  const names = walks.map(({ table }) => table).join(', ')
  return await withLocks(state, names, async (connection, locked) => {
    await connection.exec(`SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; ${plainSettings}`)
    // Since PostgreSQL 17; setting a parameter that does not exist would be an error.
    await connection.exec("SELECT set_config(name, '0', true) FROM pg_settings WHERE name = 'transaction_timeout'")
    await connection.exec(`LOCK TABLE ${tables.join(', ')} IN EXCLUSIVE MODE`)
    locked()
    await connection.exec('SET LOCAL lock_timeout = 0')
    return await work(exclusiveTransaction(connection, state))
  })
}

function exclusiveTransaction(connection: Connection, state: PostgresState): ExclusiveTransaction {
  return {
    ...transaction(connection, state),
    scan: (walk, after, limit) => scan(connection, walk, scanStatement(walk, after, limit)),
    hold: (walks, rotationId) => hold(connection, state.schema, walks, rotationId),
    liftHold: (rotationId) => liftHold(connection, state.schema, rotationId),
    attempt: async (work) => {
      await connection.exec('SAVEPOINT keyturn_attempt')
      try {
        const result = await work()
        await connection.exec('RELEASE SAVEPOINT keyturn_attempt')
        return result
      } catch (error) {
        // The connection may be gone; then the first error says more.
        await connection.exec('ROLLBACK TO SAVEPOINT keyturn_attempt; RELEASE SAVEPOINT keyturn_attempt').catch(() => {})
        throw error
      }
    },
    otherSessions: async () => {
      // Within a transaction the list of sessions stays as it was first read, unless it is forgotten.
      await connection.exec('SELECT pg_stat_clear_snapshot()')
      return await otherSessions(connection, state)
    },
  }
}

/** Client sessions that are not ours. Of those of other users an unprivileged user sees only that they are there: they count. */
const others = `FROM pg_stat_activity
  WHERE datname = current_database() AND usesysid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'
    AND pid <> pg_backend_pid() AND NOT pid = ANY($1::int4[])`
const oursOf = ({ sessions }: PostgresState) => `{${[...sessions].join(',')}}`

async function otherSessions(sql: Sql, state: PostgresState): Promise<number> {
  const { rows } = await sql.query(`SELECT count(*)::int4 AS others ${others}`, [oursOf(state)])
  return Number(rows[0]?.others ?? 0)
}

/** A name is whatever the client says: what cannot be printed is taken out. */
async function sessionNames(sql: Sql, state: PostgresState): Promise<{ name: string; sessions: number }[]> {
  const { rows } = await sql.query(
    `SELECT left(regexp_replace(coalesce(application_name, ''), '[^[:print:]]', '', 'g'), 63) AS name, count(*)::int4 AS sessions ${others}
      GROUP BY 1 ORDER BY 2 DESC, 1`,
    [oursOf(state)],
  )
  return rows.map(({ name, sessions }) => ({ name: String(name), sessions: Number(sessions) }))
}
