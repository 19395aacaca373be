import { setTimeout as sleep } from 'node:timers/promises'
import { append } from '../audit/log.ts'
import { fail } from '../errors.ts'
import { DatabaseError } from '../rotation/database-error.ts'
import type { Lease, Progress, RotationMode, RotationState, Run, RunStore, SetAside } from '../rotation/run.ts'
import { assertStep, endsRequest, isOver } from './run-states.ts'
import { listSetAside, saveSetAside } from './set-aside.ts'
import type { Sql, SqlState } from './sql.ts'

const utc = (column: string) => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS ${column}`

// Everything is read as text: what a driver makes of bigint, jsonb and timestamps can be changed by the application.
export const runColumns = `id, keyring, mode, state, plan, fields::text AS fields, version_id, key_check, progress::text AS progress,
  ${utc('created_at')}, ${utc('ended_at')}, note, requested`

// Stands word for word in the partial index, so that an insert can name it.
const unfinished = `state IN ('planned','running','paused','waiting','verifying')`

const orNull = (value: unknown): string | null => (value === null || value === undefined ? null : String(value))

/** A row of `runColumns`. */
export function toRun(row: Record<string, unknown>): Run {
  return {
    id: String(row.id),
    keyring: String(row.keyring),
    mode: String(row.mode) as RotationMode,
    state: String(row.state) as RotationState,
    plan: String(row.plan),
    fields: JSON.parse(String(row.fields)),
    versionId: orNull(row.version_id),
    keyCheck: String(row.key_check),
    progress: JSON.parse(String(row.progress)),
    createdAt: new Date(String(row.created_at)),
    endedAt: row.ended_at === null ? null : new Date(String(row.ended_at)),
    note: orNull(row.note),
    requested: orNull(row.requested) as Run['requested'],
  }
}

/**
 * Saves progress and the values set aside within the caller's transaction, and renews the lease. One statement, and a second one
 * where a value was set aside: it runs with every batch.
 *
 * @param schema - a quoted identifier
 * @returns what another process asked for
 * @throws `ERR_LEASE_LOST` when the lease's epoch has passed: the transaction must be rolled back
 */
export async function advanceRun(
  sql: Sql,
  schema: string,
  lease: Lease,
  progress: Progress,
  setAside: readonly SetAside[],
): Promise<'pause' | 'cancel' | null> {
  const { rows } = await sql.query(
    `UPDATE ${schema}.rotation
     SET progress = $3::text::jsonb, lease_until = clock_timestamp() + $4::text::float8 * interval '1 millisecond'
     WHERE id = $1::text AND lease_epoch = $2::text::bigint AND (progress->>'sequence')::bigint < $5::text::bigint RETURNING requested`,
    [lease.rotationId, String(lease.epoch), JSON.stringify(progress), String(lease.ttlMs), String(progress.sequence)],
  )
  const [row] = rows
  if (row === undefined) throw await notAdvanced(sql, schema, lease)
  await saveSetAside(sql, schema, lease, setAside)
  return orNull(row.requested) as 'pause' | 'cancel' | null
}

/** Why nothing was saved: the lease is lost, or what a lost connection was committing has been committed after all. */
async function notAdvanced(sql: Sql, schema: string, { rotationId, epoch }: Lease): Promise<Error> {
  const { rows } = await sql.query(`SELECT 1 FROM ${schema}.rotation WHERE id = $1::text AND lease_epoch = $2::text::bigint`, [
    rotationId,
    String(epoch),
  ])
  return rows.length === 0 ? fail('ERR_LEASE_LOST', rotationId) : new DatabaseError('unknown-commit', 'committed before', 'saving progress')
}

async function create(state: SqlState, run: Run, insert: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 5; attempt++) {
    if (await insert()) return
    const other = await one(state, state.schema, `keyring = $1::text AND ${unfinished}`, run.keyring)
    if (other !== null) throw fail('ERR_ROTATION_RUNNING', run.keyring, other.id, other.state, other.id)
    // The rival ended between the two statements: the way is free.
  }
  throw fail('ERR_ROTATION_RUNNING', run.keyring, 'which ends at this moment', 'unknown', run.id)
}

async function insertRun(sql: Sql, schema: string, run: Run): Promise<boolean> {
  const { rows } = await sql.query(
    `INSERT INTO ${schema}.rotation (id, keyring, mode, state, plan, fields, version_id, key_check, progress, created_at, note)
     VALUES ($1::text, $2::text, $3::text, $4::text, $5::text, $6::text::jsonb, $7::text, $8::text, $9::text::jsonb, $10::text::timestamptz, $11::text)
     ON CONFLICT (keyring) WHERE ${unfinished} DO NOTHING RETURNING id`,
    [
      run.id,
      run.keyring,
      run.mode,
      run.state,
      run.plan,
      JSON.stringify(run.fields),
      run.versionId,
      run.keyCheck,
      JSON.stringify(run.progress),
      run.createdAt.toISOString(),
      run.note,
    ],
  )
  return rows.length === 1
}

async function one(sql: Sql, schema: string, where: string, value: string): Promise<Run | null> {
  const { rows } = await sql.query(`SELECT ${runColumns} FROM ${schema}.rotation WHERE ${where}`, [value])
  return rows[0] === undefined ? null : toRun(rows[0])
}

const lockTries = 10
const lockTryMs = 100

/**
 * A pause that was asked of a process that died has been answered; a cancellation still stands.
 *
 * A lease that is over can be renewed by a transaction that has not committed yet: of a process that was stopped just then, the row
 * stays locked. So nobody waits for the row; a lock that does not go away is somebody who has the run.
 */
async function acquire(state: SqlState, id: string, ttlMs: number): Promise<Lease> {
  for (let attempt = 1; ; attempt++) {
    const { rows } = await state.query(
      `WITH free AS (
         SELECT id FROM ${state.schema}.rotation
         WHERE id = $1::text AND (lease_until IS NULL OR lease_until <= clock_timestamp()) FOR UPDATE SKIP LOCKED)
       UPDATE ${state.schema}.rotation r
       SET lease_epoch = lease_epoch + 1, lease_until = clock_timestamp() + $2::text::float8 * interval '1 millisecond',
         requested = nullif(requested, 'pause')
       FROM free WHERE r.id = free.id RETURNING lease_epoch::text AS epoch`,
      [id, String(ttlMs)],
    )
    if (rows[0] !== undefined) return { rotationId: id, epoch: Number(rows[0].epoch), ttlMs }
    const { rows: held } = await state.query(
      `SELECT ceil(extract(epoch FROM lease_until - clock_timestamp()))::text AS seconds FROM ${state.schema}.rotation WHERE id = $1::text`,
      [id],
    )
    if (held[0] === undefined) throw unknown(id)
    const seconds = Number(orNull(held[0].seconds) ?? 0)
    if (seconds > 0 || attempt === lockTries) throw fail('ERR_LEASE_HELD', id, Math.max(1, seconds))
    await sleep(lockTryMs)
  }
}

/** One change of state, under its row's lock; the audit event comes last. */
async function change(sql: Sql, schema: string, lease: Lease, step: { to: RotationState; note: string | null }): Promise<void> {
  const { rows } = await sql.query(
    `SELECT state FROM ${schema}.rotation WHERE id = $1::text AND lease_epoch = $2::text::bigint FOR UPDATE`,
    [lease.rotationId, String(lease.epoch)],
  )
  if (rows[0] === undefined) throw fail('ERR_LEASE_LOST', lease.rotationId)
  const from = String(rows[0].state) as RotationState
  const { to, note } = step
  assertStep(lease.rotationId, from, to)
  await sql.query(
    `UPDATE ${schema}.rotation SET state = $2::text, note = $3::text, ended_at = CASE WHEN $4::text = 'yes' THEN clock_timestamp() END,
       requested = CASE WHEN $5::text = 'yes' THEN NULL ELSE requested END
     WHERE id = $1::text`,
    [lease.rotationId, to, note, isOver(to) ? 'yes' : 'no', endsRequest(from, to) ? 'yes' : 'no'],
  )
}

const unknown = (id: string) => fail('ERR_UNKNOWN_NAME', 'rotation', id, '')

/** Keeps runs in Postgres or PGlite. Leases are measured on the database's clock. `migrate` must have run. */
export function sqlRunStore(state: SqlState): RunStore {
  const { schema } = state
  return {
    create: (run, event) =>
      create(state, run, () =>
        state.transaction(async (sql) => {
          if (!(await insertRun(sql, schema, run))) return false
          await append(sql, schema, event)
          return true
        }),
      ),
    get: (id) => one(state, schema, 'id = $1::text', id),
    unfinished: (keyring) => one(state, schema, `keyring = $1::text AND ${unfinished}`, keyring),
    list: async (limit) => {
      const { rows } = await state.query(
        `SELECT ${runColumns} FROM ${schema}.rotation ORDER BY rotation.created_at DESC, id DESC LIMIT $1::text::bigint`,
        [String(limit)],
      )
      return rows.map(toRun)
    },
    acquire: (id, ttlMs) => acquire(state, id, ttlMs),
    renew: async ({ rotationId, epoch, ttlMs }) => {
      const { rows } = await state.query(
        `UPDATE ${schema}.rotation SET lease_until = clock_timestamp() + $3::text::float8 * interval '1 millisecond'
         WHERE id = $1::text AND lease_epoch = $2::text::bigint RETURNING requested`,
        [rotationId, String(epoch), String(ttlMs)],
      )
      if (rows[0] === undefined) throw fail('ERR_LEASE_LOST', rotationId)
      return orNull(rows[0].requested) as Run['requested']
    },
    // The epoch goes up as well, so that nothing can be written under a lease that was given back.
    surrender: async ({ rotationId, epoch }) => {
      await state.query(
        `UPDATE ${schema}.rotation SET lease_until = NULL, lease_epoch = lease_epoch + 1 WHERE id = $1::text AND lease_epoch = $2::text::bigint`,
        [rotationId, String(epoch)],
      )
    },
    change: (lease, to, note, event) =>
      state.transaction(async (sql) => {
        await change(sql, schema, lease, { to, note })
        await append(sql, schema, event)
      }),
    request: (id, what, event) =>
      state.transaction(async (sql) => {
        // Whoever is stopped between saving its progress and the commit holds the row: nobody should wait for that without end.
        await sql.exec(`SET LOCAL lock_timeout = '5s'`)
        // A cancellation is not taken back by somebody who asks for a pause.
        const { rows } = await sql.query(
          `UPDATE ${schema}.rotation SET requested = CASE WHEN requested = 'cancel' THEN requested ELSE $2::text END
           WHERE id = $1::text AND ${unfinished} RETURNING id`,
          [id, what],
        )
        if (rows.length === 0) {
          const run = await one(sql, schema, 'id = $1::text', id)
          throw run === null ? unknown(id) : fail('ERR_ROTATION_STATE', id, run.state, what === 'pause' ? 'paused' : 'cancelled')
        }
        await append(sql, schema, event)
      }),
    setAside: (id, limit) => listSetAside(state, schema, id, limit),
    replaceSetAside: (lease, values) =>
      state.transaction(async (sql) => {
        const { rows } = await sql.query(
          `SELECT 1 FROM ${schema}.rotation WHERE id = $1::text AND lease_epoch = $2::text::bigint FOR UPDATE`,
          [lease.rotationId, String(lease.epoch)],
        )
        if (rows.length === 0) throw fail('ERR_LEASE_LOST', lease.rotationId)
        await sql.query(`DELETE FROM ${schema}.set_aside WHERE rotation_id = $1::text`, [lease.rotationId])
        await saveSetAside(sql, schema, lease, values)
      }),
  }
}
