import { fail } from '../../errors.ts'
import { DatabaseError } from '../../rotation/database-error.ts'
import { type Fence, type FenceTarget, type Fencing, fenceName, type Holder } from '../../rotation/fencing.ts'
import type { Sql } from '../../state/sql.ts'
import { bareCondition, comparable, exemptOf, fenceCondition } from './fence-condition.ts'
import { quote, quoteTable } from './identifiers.ts'
import { lockTimeoutMs, withLocks } from './locks.ts'
import type { Connection, PostgresState } from './sql.ts'

/**
 * The fence: CHECK constraints that refuse a key id. Postgres checks them for every new row version, whatever the isolation level, the
 * snapshot or the age of the plan, for COPY and with `session_replication_role = replica`, after all BEFORE triggers; and adding one
 * waits for every transaction that has touched the table. `convalidated` is the server's own word that it has read every row since.
 */
export function postgresFencing(state: PostgresState): Fencing {
  return {
    raise: async (keyId, targets) => {
      if (!/^[a-z2-7]{8}$/.test(keyId)) throw fail('ERR_FENCE_NONE', `key id "${keyId}"`, 'it is not one that Keyturn made')
      for (const [, group] of byTable(targets)) await raiseOn(state, keyId, group)
      return (await list(state)).filter((fence) => fence.keyId === keyId)
    },
    validate: (keyId) => validate(state, keyId),
    list: () => list(state),
    missing: async (keyId, targets, within) => {
      if (within === undefined) return await reading(state, (sql) => missing(sql, keyId, targets))
      // No constraint is dropped before this transaction ends.
      const tables = [...new Set(targets.map(quoteTable))].sort()
      await within.exec(`${plainNames}; SET LOCAL lock_timeout = ${ownLockMs}; LOCK TABLE ${tables.join(', ')} IN ACCESS SHARE MODE`)
      return await missing(within, keyId, targets)
    },
    holders: (targets, limit) => holders(state, targets, limit),
    drop: async (keyId, within) => {
      if (within !== undefined) return await drop(within, keyId)
      await withLocks(state, `the tables with the fence of ${keyId}`, (sql) => drop(sql, keyId))
    },
    unsettled: (since) => unsettled(state, since),
  }
}

/** Names mean what the catalogue says, and definitions are printed in one way, whatever the user's settings are. */
const plainNames = 'SET LOCAL search_path = pg_catalog; SET LOCAL standard_conforming_strings = on; SET LOCAL statement_timeout = 0'

/** Since PostgreSQL 17; setting a parameter that does not exist would be an error. */
const noTransactionTimeout = "SELECT set_config(name, '0', true) FROM pg_settings WHERE name = 'transaction_timeout'"

/**
 * How long the lock that keeps other changes of the table away is waited for. Readers and writers do not queue behind it, and it must be
 * longer than the second after which the server ends an autovacuum that is in the way: there is one after most rotations.
 */
const ownLockMs = 10_000

interface Standing extends Fence {
  readonly schema: string
  readonly name: string
}

const byTable = <T extends { readonly schema: string; readonly table: string }>(items: readonly T[]) =>
  [...Map.groupBy(items, quoteTable)].sort(([a], [b]) => (a < b ? -1 : 1))

/** One condition for each column and kind, whatever the number of fields in a document; one for each value beside a key id. */
function conditionsOf(targets: readonly FenceTarget[]): string[] {
  const groups = Map.groupBy(targets, ({ column, kind, mark, values }) =>
    JSON.stringify([column, kind, Buffer.from(mark).toString('hex'), values?.column]),
  )
  return [...groups.values()].map((group) => {
    const exempt = group.flatMap((target) => target.exempt.map((digest) => Buffer.from(digest).toString('hex')))
    return fenceCondition(group[0] as FenceTarget, exempt)
  })
}

async function raiseOn(state: PostgresState, keyId: string, targets: readonly FenceTarget[]): Promise<void> {
  const [first] = targets as readonly [FenceTarget]
  const table = quoteTable(first)
  await withLocks(state, `table "${first.table}"`, async (sql) => {
    await sql.exec(`${plainNames}; SET LOCAL lock_timeout = ${ownLockMs}; LOCK TABLE ${table} IN SHARE UPDATE EXCLUSIVE MODE`)
    const wanted = new Map(conditionsOf(targets).map((condition) => [comparable(condition), condition]))
    const standing = (await standingOf(sql, keyId)).filter((fence) => quoteTable({ schema: fence.schema, table: fence.name }) === table)
    const [kept, replaced] = [new Set<string>(), [] as Standing[]]
    for (const fence of standing) {
      const form = comparable(fence.definition)
      if (wanted.has(form) && !kept.has(form)) kept.add(form)
      else replaced.push(fence)
    }
    const free = freeNumbers(standing)
    const steps = [
      ...replaced.map(({ constraint }) => `DROP CONSTRAINT ${quote(constraint)}`),
      ...[...wanted]
        .filter(([form]) => !kept.has(form))
        .map(([, condition]) => `ADD CONSTRAINT keyturn_${keyId}_${free.next().value} CHECK (${condition}) NOT VALID`),
    ]
    if (steps.length === 0) return
    // Readers queue behind this one: it must be short.
    await sql.exec(`SET LOCAL lock_timeout = ${lockTimeoutMs}; ALTER TABLE ${table} ${steps.join(', ')}`)
  })
}

/** Numbers that no fence of this key has in its table. */
function* freeNumbers(standing: readonly Standing[]): Generator<number, number> {
  const taken = new Set(standing.map(({ constraint }) => Number(constraint.split('_').at(-1))))
  for (let number = 1; ; number++) if (!taken.has(number)) yield number
}

/** Constraints of partitions come from their table and are not listed: they cannot be dropped there, and a partition without them cannot be attached. */
async function standingOf(sql: Sql, keyId: string | null): Promise<Standing[]> {
  const { rows } = await sql.query(
    `SELECT n.nspname AS schema, r.relname AS name, a.attname AS "column", c.conname AS "constraint",
            pg_get_constraintdef(c.oid) AS definition, c.convalidated AS validated
       FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_class r ON r.oid = c.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
       LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
      WHERE c.contype = 'c' AND c.conislocal AND r.relkind IN ('r', 'p') AND c.conname ~ $1 ORDER BY 1, 2, 4`,
    [`^keyturn_${keyId ?? '[a-z2-7]{8}'}_[0-9]+$`],
  )
  return (rows as unknown as Standing[]).map((row) => ({
    ...row,
    keyId: fenceName.exec(row.constraint)?.[1] ?? '',
    table: `${row.schema}.${row.name}`,
  }))
}

const reading = <T>(state: PostgresState, work: (sql: Connection) => Promise<T>): Promise<T> =>
  state.transaction(async (sql) => {
    await sql.exec(`SET TRANSACTION READ ONLY; ${plainNames}`)
    return await work(sql)
  })

async function list(state: PostgresState): Promise<Fence[]> {
  return (await reading(state, (sql) => standingOf(sql, null))).map(({ schema: _schema, name: _name, ...fence }) => fence)
}

async function missing(sql: Sql, keyId: string, targets: readonly FenceTarget[]): Promise<FenceTarget[]> {
  const standing = await standingOf(sql, keyId)
  return targets.filter((target) => {
    const there = standing.filter(({ schema, name, validated }) => schema === target.schema && name === target.table && validated)
    return !there.some(({ definition }) => comparable(fenceCondition(target, exemptOf(definition))) === comparable(definition))
  })
}

async function validate(state: PostgresState, keyId: string): Promise<{ fences: Fence[]; position: string }> {
  const standing = await reading(state, (sql) => standingOf(sql, keyId))
  for (const [, fences] of byTable(standing.map((fence) => ({ ...fence, table: fence.name })))) {
    const open = fences.filter(({ validated }) => !validated)
    const [first] = open
    if (first === undefined) continue
    const steps = open.map(({ constraint }) => `VALIDATE CONSTRAINT ${quote(constraint)}`)
    try {
      await withLocks(state, `table "${first.name}"`, (sql) =>
        sql.exec(
          `${plainNames}; ${noTransactionTimeout}; SET LOCAL lock_timeout = ${ownLockMs}; ALTER TABLE ${quoteTable(first)} ${steps.join(', ')}`,
        ),
      )
    } catch (error) {
      if (error instanceof DatabaseError && error.detail === '23514') throw fail('ERR_FENCE_VALUES', keyId, `${first.schema}.${first.name}`)
      throw error
    }
  }
  return { fences: (await list(state)).filter((fence) => fence.keyId === keyId), position: await position(state) }
}

/** A standby has no position of its own to give. */
async function position(state: PostgresState): Promise<string> {
  const { rows } = await state.query('SELECT pg_is_in_recovery() AS standby')
  if (rows[0]?.standby === true) return ''
  return String((await state.query('SELECT pg_current_wal_lsn()::text AS position')).rows[0]?.position ?? '')
}

async function holders(state: PostgresState, targets: readonly FenceTarget[], limit: number): Promise<Holder[]> {
  return await reading(state, async (sql) => {
    const found: Holder[] = []
    for (const target of targets) {
      const column = quote(target.values?.column ?? target.column)
      const bytes = target.kind === 'bytes' || target.values?.holds === 'bytes'
      const rows = await sql.arrays(
        `SELECT ${bytes ? column : `${column}::text`} FROM ${quoteTable(target)} WHERE NOT (${bareCondition(target)}) AND ${column} IS NOT NULL LIMIT $1`,
        [limit],
      )
      for (const [stored] of rows) found.push({ target, stored: stored as Holder['stored'] })
    }
    return found
  })
}

/** All of them at once or none, within a transaction that has to be tried again after contention. */
async function drop(sql: Sql, keyId: string): Promise<void> {
  const standing = await standingOf(sql, keyId)
  for (const [table, fences] of byTable(standing.map((fence) => ({ ...fence, table: fence.name })))) {
    await sql.exec(`SET LOCAL lock_timeout = ${ownLockMs}; LOCK TABLE ${table} IN SHARE UPDATE EXCLUSIVE MODE`)
    const steps = fences.map(({ constraint }) => `DROP CONSTRAINT IF EXISTS ${quote(constraint)}`)
    await sql.exec(`SET LOCAL lock_timeout = ${lockTimeoutMs}; ALTER TABLE ${table} ${steps.join(', ')}`)
  }
}

/**
 * When a session's transaction began is visible to its own user and to `pg_read_all_stats`; of others it is not counted. Nothing is lost
 * by that: adding the constraint waits for every transaction that has touched the table. When a prepared transaction began is nowhere to
 * be read, so each of them counts.
 */
async function unsettled(sql: Sql, since: Date): Promise<string | null> {
  const { rows } = await sql.query(
    `SELECT left(regexp_replace(coalesce(application_name, ''), '[^A-Za-z0-9 ._:/@-]', '', 'g'), 60) AS name, count(*)::int4 AS open
       FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
        AND xact_start < $1::text::timestamptz GROUP BY 1
     UNION ALL SELECT NULL, count(*)::int4 FROM pg_prepared_xacts WHERE database = current_database() HAVING count(*) > 0 ORDER BY 1`,
    [since.toISOString()],
  )
  const parts = rows.map(({ name, open }) =>
    name === null ? `${open} prepared for a two-phase commit` : `${open} of ${name === '' ? 'sessions without a name' : `"${name}"`}`,
  )
  return parts.length === 0 ? null : parts.join(', ')
}
