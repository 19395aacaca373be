import { randomUUID } from 'node:crypto'
import type { SqlState } from '@keyturn/core'
import { utc } from './time.ts'

/** Long work that is no rotation, as every server sees it. */
export interface Operation {
  readonly id: string
  readonly kind: OperationKind
  readonly keyring: string | null
  readonly state: 'running' | 'done' | 'failed'
  readonly startedAt: string
  readonly endedAt: string | null
  readonly problem: unknown
  readonly result: unknown
}
export type OperationKind = 'retire' | 'census' | 'verify' | 'sync'

/** How long a server is believed to be at it since it last said so. */
const aliveSeconds = 30
/** How often it says so. */
export const aliveEveryMs = 10_000

const columns = `id, kind, keyring, CASE WHEN state = 'running' AND alive_until < clock_timestamp() THEN 'lost' ELSE state END AS state,
  ${utc('started_at')}, ${utc('coalesce(ended_at, CASE WHEN alive_until < clock_timestamp() THEN alive_until END)', 'ended_at')}, problem, result`

/**
 * Begins one, unless one of its kind runs for this keyring.
 *
 * @param lost - the problem of one whose server has died
 * @returns its id; null while another runs
 */
export async function beginOperation(
  { transaction, schema }: SqlState,
  { kind, keyring, actor }: { readonly kind: OperationKind; readonly keyring: string | null; readonly actor: string },
  lost: object,
): Promise<string | null> {
  const id = randomUUID()
  return await transaction(async (sql) => {
    await sql.query(
      `UPDATE ${schema}.operation SET state = 'failed', ended_at = alive_until, problem = $3::text
       WHERE kind = $1::text AND keyring = $2::text AND state = 'running' AND alive_until < clock_timestamp()`,
      [kind, keyring ?? '', JSON.stringify(lost)],
    )
    const { rows } = await sql.query(
      `INSERT INTO ${schema}.operation (id, kind, keyring, actor, state, started_at, alive_until)
       VALUES ($1::text, $2::text, $3::text, $4::text, 'running', clock_timestamp(), clock_timestamp() + interval '${aliveSeconds} seconds')
       ON CONFLICT (kind, keyring) WHERE state = 'running' DO NOTHING RETURNING id`,
      [id, kind, keyring ?? '', actor],
    )
    return rows.length === 0 ? null : id
  })
}

/** Says that its server lives. */
export async function keepOperation({ query, schema }: SqlState, id: string): Promise<void> {
  await query(
    `UPDATE ${schema}.operation SET alive_until = clock_timestamp() + interval '${aliveSeconds} seconds' WHERE id = $1::text AND state = 'running'`,
    [id],
  )
}

/** Ends one, with what it came to. */
export async function endOperation(
  { query, schema }: SqlState,
  id: string,
  { result, problem }: { readonly result?: unknown; readonly problem?: unknown },
): Promise<void> {
  await query(
    `UPDATE ${schema}.operation SET state = $2::text, ended_at = clock_timestamp(), problem = $3::text, result = $4::text WHERE id = $1::text`,
    [
      id,
      problem === undefined ? 'done' : 'failed',
      problem === undefined ? null : JSON.stringify(problem),
      result === undefined ? null : JSON.stringify(result),
    ],
  )
}

/** One of them, or null. @param lost - the problem of one whose server has died */
export async function findOperation({ query, schema }: SqlState, id: string, lost: object): Promise<Operation | null> {
  const { rows } = await query(`SELECT ${columns} FROM ${schema}.operation WHERE id = $1::text`, [id])
  const [row] = rows
  return row === undefined ? null : toOperation(row, lost)
}

/** Keyrings of which one of a kind is running. */
export async function runningOperations({ query, schema }: SqlState, kind: OperationKind): Promise<ReadonlyMap<string, string>> {
  const { rows } = await query(
    `SELECT id, keyring FROM ${schema}.operation WHERE kind = $1::text AND state = 'running' AND alive_until >= clock_timestamp()`,
    [kind],
  )
  return new Map(rows.map(({ id, keyring }) => [String(keyring), String(id)]))
}

/** Forgets those that ended long ago. */
export async function forgetOperations({ query, schema }: SqlState): Promise<void> {
  await query(`DELETE FROM ${schema}.operation WHERE ended_at < clock_timestamp() - interval '30 days'`)
}

function toOperation(row: Record<string, unknown>, lost: object): Operation {
  const isLost = row.state === 'lost'
  const parsed = (text: unknown) => (typeof text === 'string' ? JSON.parse(text) : null)
  return {
    id: String(row.id),
    kind: String(row.kind) as OperationKind,
    keyring: row.keyring === '' ? null : String(row.keyring),
    state: isLost ? 'failed' : (String(row.state) as Operation['state']),
    startedAt: String(row.started_at),
    endedAt: row.state === 'running' || typeof row.ended_at !== 'string' ? null : row.ended_at,
    problem: isLost ? lost : parsed(row.problem),
    result: parsed(row.result),
  }
}
