import type { Sql, SqlState } from '@keyturn/core'
import type { Condition, Notice } from '../secret/alert.ts'
import type { OpenedAlert } from '../secret/opened-secret.ts'
import { backOff, longestMs } from './back-off.ts'
import type { Run } from './run.ts'
import { fromMs } from './run-rows.ts'

/** Something to tell, in the transaction of the change that it speaks of. */
export interface Telling {
  readonly state: Notice['state']
  readonly condition: Condition
  readonly severity: Notice['severity']
  readonly secret: string
  readonly runId: string | null
  readonly summary: string
  readonly runbook: string | null
}

const keyOf = (secret: string, condition: Condition) => `keyturn/${secret}/${condition}`

const severities = ['info', 'warning', 'error', 'critical']

/** Puts a notice on its way to every channel that is to hear of its condition. Told once, until it is resolved or gets worse. */
export async function tell(
  sql: Sql,
  schema: string,
  telling: Telling,
  { alerts, now }: { readonly alerts: readonly OpenedAlert[]; readonly now: number },
) {
  const key = keyOf(telling.secret, telling.condition)
  const { count } =
    telling.state === 'open'
      ? await sql.query(
          `INSERT INTO ${schema}.secret_trouble (key, opened_at, severity) VALUES ($1::text, ${fromMs('$2')}, $3::text::integer)
           ON CONFLICT (key) DO UPDATE SET severity = excluded.severity WHERE secret_trouble.severity < excluded.severity`,
          [key, String(now), String(severities.indexOf(telling.severity))],
        )
      : await sql.query(`DELETE FROM ${schema}.secret_trouble WHERE key = $1::text`, [key])
  if (count === 0) return
  for (const { name, config } of alerts) {
    if (config.on !== undefined && !config.on.includes(telling.condition)) continue
    const runbook = config.runbooks?.[telling.condition] ?? telling.runbook
    const body: Notice = { ...telling, key, runbook, at: new Date(now).toISOString() }
    await sql.query(
      `INSERT INTO ${schema}.secret_notice (key, channel, body, at, next_at) VALUES ($1::text, $2::text, $3::text, ${fromMs('$4')}, ${fromMs('$4')})`,
      [key, name, JSON.stringify(body), String(now)],
    )
  }
}

/** Tells once of a run whose secret was taken out of the configuration before the run was over. */
export async function tellForgotten(
  { state, alerts }: { readonly state: SqlState; readonly alerts: readonly OpenedAlert[] },
  { id, secret }: Pick<Run, 'id' | 'secret'>,
  now: number,
): Promise<void> {
  const summary = `run ${id} is not over and the configuration does not name the secret any more: put it back until the run has ended, or what it made and the old credential both go on working`
  const telling: Telling = { state: 'open', condition: 'failed', severity: 'error', secret, runId: id, summary, runbook: null }
  await state.transaction((sql) => tell(sql, state.schema, telling, { alerts, now }))
}

/** The conditions in which a secret is in trouble now. */
export async function troubles({ query, schema }: Pick<SqlState, 'query' | 'schema'>, secret: string): Promise<Condition[]> {
  const { rows } = await query(`SELECT key FROM ${schema}.secret_trouble WHERE starts_with(key, $1::text) ORDER BY key COLLATE "C"`, [
    `keyturn/${secret}/`,
  ])
  return rows.map(({ key }) => String(key).split('/').at(-1) as Condition)
}

/**
 * Sends what is due. A process that dies in between leaves the rest to the next; what was sent and not recorded is sent again, which a
 * channel knows by its key.
 *
 * @returns how many were sent
 */
export async function sendNotices(
  state: SqlState,
  alerts: readonly OpenedAlert[],
  { now, signal }: { readonly now: number; readonly signal: AbortSignal },
): Promise<number> {
  const { query, schema } = state
  let sent = 0
  for (;;) {
    // Whoever takes it has a minute, in which nobody else sends it.
    const { rows } = await query(
      `UPDATE ${schema}.secret_notice SET tries = tries + 1, next_at = ${fromMs('$1')} + interval '1 minute'
       WHERE id = (SELECT id FROM ${schema}.secret_notice WHERE sent_at IS NULL AND next_at <= ${fromMs('$1')}
                   ORDER BY secret_notice.id LIMIT 1 FOR UPDATE SKIP LOCKED)
       RETURNING id::text AS id, channel, body, tries::text AS tries`,
      [String(now)],
    )
    const [row] = rows
    if (row === undefined || signal.aborted) return sent
    const channel = alerts.find(({ name }) => name === row.channel)
    if (channel === undefined) {
      await passOn(state, String(row.id), alerts, now)
      continue
    }
    const notice: Notice = JSON.parse(String(row.body))
    const within = AbortSignal.any([signal, AbortSignal.timeout(channel.alert.callMs ?? 30_000)])
    const failed = await channel.alert.send({ secret: notice.secret, attempt: `${notice.key}@${notice.at}`, signal: within }, notice).then(
      () => false,
      () => true,
    )
    if (failed) {
      await query(`UPDATE ${schema}.secret_notice SET next_at = ${fromMs('$2')} WHERE id = $1::text::bigint`, [
        String(row.id),
        String(now + backOff(Number(row.tries) + 4)),
      ])
    } else {
      await query(`UPDATE ${schema}.secret_notice SET sent_at = ${fromMs('$2')} WHERE id = $1::text::bigint`, [String(row.id), String(now)])
      sent++
    }
  }
}

/**
 * Its channel is not in the configuration any more: those that hear of its condition are told in its place, or all where none does, and none twice.
 * Where there is no channel at all it is kept, for one that comes.
 */
async function passOn(state: SqlState, id: string, alerts: readonly OpenedAlert[], now: number): Promise<void> {
  const { schema } = state
  await state.transaction(async (sql) => {
    const { rows } = await sql.query(
      `SELECT key, body FROM ${schema}.secret_notice WHERE id = $1::text::bigint AND sent_at IS NULL FOR UPDATE`,
      [id],
    )
    const [row] = rows
    if (row === undefined) return
    if (alerts.length === 0) {
      await sql.query(`UPDATE ${schema}.secret_notice SET next_at = ${fromMs('$2')} WHERE id = $1::text::bigint`, [
        id,
        String(now + longestMs),
      ])
      return
    }
    const { condition }: Notice = JSON.parse(String(row.body))
    const hearing = alerts.filter(({ config }) => config.on?.includes(condition) ?? true)
    for (const { name } of hearing.length > 0 ? hearing : alerts)
      await sql.query(
        `INSERT INTO ${schema}.secret_notice (key, channel, body, at, next_at)
         SELECT key, $2::text, body, at, ${fromMs('$3')} FROM ${schema}.secret_notice one WHERE id = $1::text::bigint AND NOT EXISTS
           (SELECT FROM ${schema}.secret_notice other WHERE other.key = one.key AND other.at = one.at AND other.channel = $2::text)`,
        [id, name, String(now)],
      )
    await sql.query(`DELETE FROM ${schema}.secret_notice WHERE id = $1::text::bigint`, [id])
  })
}
