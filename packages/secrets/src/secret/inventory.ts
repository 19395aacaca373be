import type { SqlState } from '@keyturn/core'
import { troubles } from '../run/notices.ts'
import type { RunState } from '../run/run.ts'
import { selectRuns } from '../run/run-rows.ts'
import type { Condition } from './alert.ts'
import type { OpenedSecret } from './opened-secret.ts'
import { dueOf } from './schedule.ts'

/** A secret in the inventory. Times are ISO texts. Nothing in it is secret. */
export interface SecretStatus {
  readonly name: string
  readonly owner: string | null
  readonly rotator: string
  readonly stores: readonly string[]
  readonly targets: readonly string[]
  readonly gates: readonly string[]
  /** Whether an old credential goes on working until it is revoked: false where it is replaced, or nobody issues it. */
  readonly revokes: boolean
  readonly every: string | null
  readonly automatic: boolean
  readonly risk: 'critical' | 'high' | 'medium' | 'low'
  readonly runbook: string | null
  /** The id of the credential in use, where its issuer has one; null where it is not known or has none. */
  readonly credentialId: string | null
  /** Since when it is in use; null where it was never rotated here. */
  readonly since: string | null
  readonly dueAt: string | null
  readonly overdue: boolean
  /** When a server begins by itself; null where none does. */
  readonly beginsAt: string | null
  /** The run that is not over, or null. */
  readonly run: { readonly id: string; readonly state: RunState; readonly step: string | null; readonly note: string | null } | null
  readonly troubles: readonly Condition[]
}

const iso = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString())

/** Where a secret stands. */
export async function statusOf(state: SqlState, secret: OpenedSecret, now: number): Promise<SecretStatus> {
  const { name, config } = secret
  const { rows } = await state.query(
    `SELECT credential_id, round(extract(epoch FROM since) * 1000)::text AS since FROM ${state.schema}.secret WHERE name = $1::text`,
    [name],
  )
  const since = typeof rows[0]?.since === 'string' ? Number(rows[0].since) : null
  const due = dueOf(name, config, { since, now })
  const [run] = await selectRuns(state, {
    where: `secret = $1::text AND state IN ('running','waiting','paused')`,
    values: [name],
    limit: 1,
  })
  return {
    name,
    owner: config.owner ?? null,
    rotator: config.rotator.rotator,
    stores: secret.stores.map((store) => store.name),
    targets: secret.targets.map((target) => target.name),
    gates: secret.gates.map((gate) => gate.name),
    revokes: secret.rotator.issuer !== false && secret.rotator.overlap && !secret.rotator.kept,
    every: config.every ?? null,
    automatic: config.automatic ?? false,
    risk: config.risk ?? 'critical',
    runbook: config.runbook ?? null,
    credentialId: typeof rows[0]?.credential_id === 'string' ? rows[0].credential_id : null,
    since: iso(since),
    dueAt: iso(due.at),
    overdue: due.overdue,
    beginsAt: iso(due.beginsAt),
    run: run === undefined ? null : { id: run.id, state: run.state, step: run.steps[run.position] ?? null, note: run.note },
    troubles: await troubles(state, name),
  }
}
