import { fail, type Sql, type SqlState } from '@keyturn/core'
import type { Run, StepRecord } from './run.ts'

/** SQL for a time in milliseconds since 1970, and back: whole milliseconds, so that nothing is lost between them. */
export const fromMs = (parameter: string) => `to_timestamp((${parameter}::text)::double precision / 1000)`
export const toMs = (column: string) => `round(extract(epoch FROM ${column}) * 1000)::text`

const runColumns = `id, secret, rotator, state, direction, steps, position::text AS position, attempt, facts, old_value, new_value, note, started_by,
  ${toMs('created_at')} AS created_at, ${toMs('ended_at')} AS ended_at, ${toMs('wake_at')} AS wake_at, ${toMs('sweep_at')} AS sweep_at, epoch::text AS epoch`

const text = (value: unknown): string | null => (typeof value === 'string' ? value : null)
const number = (value: unknown): number | null => (typeof value === 'string' ? Number(value) : null)

function toRun(row: Record<string, unknown>): Run {
  return {
    id: String(row.id),
    secret: String(row.secret),
    rotator: String(row.rotator),
    state: row.state as Run['state'],
    direction: row.direction as Run['direction'],
    steps: JSON.parse(String(row.steps)),
    position: Number(row.position),
    attempt: String(row.attempt),
    facts: JSON.parse(String(row.facts)),
    oldValue: text(row.old_value),
    newValue: text(row.new_value),
    note: text(row.note),
    startedBy: String(row.started_by),
    createdAt: Number(row.created_at),
    endedAt: number(row.ended_at),
    wakeAt: number(row.wake_at),
    sweepAt: number(row.sweep_at),
    epoch: Number(row.epoch),
  }
}

/** A part of a SELECT on runs, with its parameters. */
interface Query {
  readonly where: string
  readonly values: readonly unknown[]
  readonly limit?: number
}

/** Runs, the newest first. */
export async function selectRuns({ query, schema }: SqlState, { where, values, limit = 200 }: Query): Promise<Run[]> {
  const { rows } = await query(
    `SELECT ${runColumns} FROM ${schema}.secret_run WHERE ${where} ORDER BY secret_run.created_at DESC, secret_run.id DESC LIMIT ${limit}`,
    values,
  )
  return rows.map(toRun)
}

/** @throws `ERR_UNKNOWN_NAME` */
export async function selectRun(state: SqlState, id: string): Promise<Run> {
  const [run] = await selectRuns(state, { where: 'id = $1::text', values: [id] })
  if (run === undefined) throw fail('ERR_UNKNOWN_NAME', 'run', id, '')
  return run
}

/** The steps of a run as they were done, in their order. */
export async function selectSteps({ query, schema }: SqlState, runId: string): Promise<StepRecord[]> {
  const { rows } = await query(
    `SELECT number::text AS number, step, state, tries::text AS tries, ${toMs('begun_at')} AS begun_at, ${toMs('ended_at')} AS ended_at, evidence, problem
     FROM ${schema}.secret_step WHERE run_id = $1::text ORDER BY secret_step.number`,
    [runId],
  )
  return rows.map((row) => ({
    number: Number(row.number),
    step: row.step as StepRecord['step'],
    state: row.state as StepRecord['state'],
    tries: Number(row.tries),
    begunAt: Number(row.begun_at),
    endedAt: number(row.ended_at),
    evidence: JSON.parse(String(row.evidence)),
    problem: text(row.problem),
  }))
}

/** The time of the state, in milliseconds. */
export async function readNow(sql: Sql): Promise<number> {
  const { rows } = await sql.query(`SELECT ${toMs('clock_timestamp()')} AS now`)
  return Number(rows[0]?.now)
}

/** Puts a new run on record. @throws `ERR_RUN_RUNNING` where the secret has one */
export async function insertRun(sql: Sql, schema: string, run: Run, callMs: number): Promise<void> {
  const { rows } = await sql.query(
    `INSERT INTO ${schema}.secret_run (id, secret, rotator, state, direction, steps, position, attempt, facts, old_value, started_by, created_at, epoch, call_ms)
     VALUES ($1::text, $2::text, $3::text, 'running', 'forward', $4::text, 0, $5::text, $6::text, $7::text, $8::text, ${fromMs('$9')}, 0, $10::text::integer)
     ON CONFLICT (secret) WHERE state IN ('running','waiting','paused') DO NOTHING RETURNING id`,
    [
      run.id,
      run.secret,
      run.rotator,
      JSON.stringify(run.steps),
      run.attempt,
      JSON.stringify(run.facts),
      run.oldValue,
      run.startedBy,
      String(run.createdAt),
      String(callMs),
    ],
  )
  if (rows.length > 0) return
  const found = await sql.query(
    `SELECT id, state FROM ${schema}.secret_run WHERE secret = $1::text AND state IN ('running','waiting','paused')`,
    [run.secret],
  )
  throw fail('ERR_RUN_RUNNING', run.secret, String(found.rows[0]?.id ?? 'which has just ended'), String(found.rows[0]?.state ?? 'running'))
}

/**
 * Saves what a run has become, if nobody has taken it over.
 *
 * @throws `ERR_RUN_LEASE`
 */
export async function updateRun(sql: Sql, schema: string, run: Run): Promise<void> {
  const { count } = await sql.query(
    `UPDATE ${schema}.secret_run SET state = $3::text, direction = $4::text, steps = $5::text, position = $6::text::integer, attempt = $7::text,
       facts = $8::text, new_value = $9::text, note = $10::text, ended_at = ${fromMs('$11')}, wake_at = ${fromMs('$12')}, sweep_at = ${fromMs('$13')}
     WHERE id = $1::text AND epoch = $2::text::bigint`,
    [
      run.id,
      String(run.epoch),
      run.state,
      run.direction,
      JSON.stringify(run.steps),
      String(run.position),
      run.attempt,
      JSON.stringify(run.facts),
      run.newValue,
      run.note,
      ...[run.endedAt, run.wakeAt, run.sweepAt].map((ms) => (ms === null ? null : String(ms))),
    ],
  )
  if (count !== 1) throw fail('ERR_RUN_LEASE', run.id)
}

/**
 * Takes the lease of a run, or makes it longer.
 *
 * @param epoch - of the holder, to make it longer; null to take it: free only when the lease is over and, after it, the longest call that its holder may
 * have made
 * @returns the epoch; null where another holds it
 */
export async function lease(
  { query, schema }: SqlState,
  runId: string,
  { epoch, now, forMs, callMs }: { readonly epoch: number | null; readonly now: number; readonly forMs: number; readonly callMs: number },
): Promise<number | null> {
  const until = String(now + forMs)
  const { rows } = await query(
    `UPDATE ${schema}.secret_run SET lease_until = ${fromMs('$2')}, call_ms = $4::text::integer,
       epoch = CASE WHEN $3::text IS NULL THEN epoch + 1 ELSE epoch END
     WHERE id = $1::text AND (epoch::text = $3::text OR
       ($3::text IS NULL AND (lease_until IS NULL OR lease_until + call_ms * interval '1 millisecond' < ${fromMs('$5')})))
     RETURNING epoch::text AS epoch`,
    [runId, until, epoch === null ? null : String(epoch), String(callMs), String(now)],
  )
  return rows[0] === undefined ? null : Number(rows[0].epoch)
}

/**
 * Gives the lease back, so that whoever comes next need not wait.
 *
 * @returns false where it was lost, or somebody has wished something
 */
export async function release({ query, schema }: SqlState, run: Pick<Run, 'id' | 'epoch'>): Promise<boolean> {
  const { count } = await query(
    `UPDATE ${schema}.secret_run SET lease_until = NULL WHERE id = $1::text AND epoch = $2::text::bigint AND wish IS NULL`,
    [run.id, String(run.epoch)],
  )
  return count === 1
}

/** Records a step: as begun before it is done, and with what came of it. */
export async function putStep(sql: Sql, schema: string, runId: string, record: StepRecord): Promise<void> {
  await sql.query(
    `INSERT INTO ${schema}.secret_step (run_id, number, step, state, tries, begun_at, ended_at, evidence, problem)
     VALUES ($1::text, $2::text::integer, $3::text, $4::text, $5::text::integer, ${fromMs('$6')}, ${fromMs('$7')}, $8::text, $9::text)
     ON CONFLICT (run_id, number) DO UPDATE SET state = excluded.state, tries = excluded.tries, ended_at = excluded.ended_at,
       evidence = excluded.evidence, problem = excluded.problem`,
    [
      runId,
      String(record.number),
      record.step,
      record.state,
      String(record.tries),
      String(record.begunAt),
      record.endedAt === null ? null : String(record.endedAt),
      JSON.stringify(record.evidence),
      record.problem,
    ],
  )
}

/**
 * Asks whoever works on a run to take it back at the next step.
 *
 * @returns false where nobody works on it, or the old credential is being ended
 */
export async function wishBack({ query, schema }: SqlState, runId: string, now: number): Promise<boolean> {
  const { count } = await query(
    `UPDATE ${schema}.secret_run SET wish = 'back'
     WHERE id = $1::text AND direction = 'forward' AND lease_until >= ${fromMs('$2')} AND (facts::jsonb ->> 'revoking') IS DISTINCT FROM 'true'`,
    [runId, String(now)],
  )
  return count === 1
}

/**
 * Records that the old credential is being ended: from then on nobody can wish the run back.
 *
 * @returns false where somebody has, just before
 * @throws `ERR_RUN_LEASE`
 */
export async function beginRevoking(state: SqlState, { id, epoch, facts }: Pick<Run, 'id' | 'epoch' | 'facts'>): Promise<boolean> {
  const { count } = await state.query(
    `UPDATE ${state.schema}.secret_run SET facts = $3::text WHERE id = $1::text AND epoch = $2::text::bigint AND wish IS NULL`,
    [id, String(epoch), JSON.stringify(facts)],
  )
  if (count === 1) return true
  if (await hasWish(state, id)) return false
  throw fail('ERR_RUN_LEASE', id)
}

/** Whether somebody has asked for the run back. */
export async function hasWish({ query, schema }: SqlState, runId: string): Promise<boolean> {
  const { rows } = await query(`SELECT wish IS NOT NULL AS wished FROM ${schema}.secret_run WHERE id = $1::text`, [runId])
  return rows[0]?.wished === true
}

/** Takes the wish: it is granted once, or cannot be. */
export async function takeWish(sql: Sql, schema: string, { id, epoch }: Pick<Run, 'id' | 'epoch'>): Promise<boolean> {
  const { count } = await sql.query(
    `UPDATE ${schema}.secret_run SET wish = NULL WHERE id = $1::text AND epoch = $2::text::bigint AND wish IS NOT NULL`,
    [id, String(epoch)],
  )
  return count === 1
}
