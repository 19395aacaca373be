import { randomUUID } from 'node:crypto'
import { appendEvent, fail, type Sql, type SqlState } from '@keyturn/core'
import type { Call, World } from '../secret/call.ts'
import type { Credential } from '../secret/credential.ts'
import type { OpenedAlert, OpenedSecret } from '../secret/opened-secret.ts'
import { readTruth } from '../secret/truth.ts'
import { holdsSecret, idsAreShown } from './creation.ts'
import { tell } from './notices.ts'
import type { Run } from './run.ts'
import { insertRun } from './run-rows.ts'
import type { SealedValues } from './sealed-values.ts'
import { defaultCallMs, issuerOf } from './step-world.ts'
import { stepsForward, stepsOfSync, stepsOfTaking } from './steps.ts'
import { heldByTruth } from './taking.ts'

export interface Ground {
  readonly state: SqlState
  readonly values: SealedValues
  readonly world: World
  readonly alerts: readonly OpenedAlert[]
}

/** A call that changes nothing. */
export const looking = (secret: string): Call => ({ secret, attempt: randomUUID(), signal: AbortSignal.timeout(60_000) })

/** The credential in use; null where it is not known. */
export async function currentOf({ state, values }: Ground, name: string): Promise<(Credential & { readonly valueId: string }) | null> {
  const { rows } = await state.query(`SELECT value_id FROM ${state.schema}.secret WHERE name = $1::text`, [name])
  const valueId = rows[0]?.value_id
  return typeof valueId === 'string' ? { ...(await values.open(valueId)), valueId } : null
}

/**
 * Puts a rotation on record; or with `sync` what brings stores and targets in line, with `taking` what takes over the credential in the source of
 * truth. Nothing outside is called, but to complete the credential that is in use.
 *
 * @throws `ERR_RUN_RUNNING`
 */
export async function begin(
  ground: Ground,
  secret: OpenedSecret,
  {
    actor,
    now,
    leaked = false,
    sync = false,
    taking,
    apart = [],
  }: {
    readonly actor: string
    readonly now: number
    readonly leaked?: boolean
    readonly sync?: boolean
    readonly taking?: { readonly deployed: boolean }
    /** Secrets that are not changed at the same time. */
    readonly apart?: readonly string[]
  },
): Promise<Run> {
  const { state, alerts } = ground
  const { schema } = state
  const { name, config } = secret
  await state.query(`INSERT INTO ${schema}.secret (name) VALUES ($1::text) ON CONFLICT (name) DO NOTHING`, [name])
  const old = (await currentOf(ground, name)) ?? (taking === undefined ? await adopt(ground, secret, actor) : null)
  const run: Run = {
    id: `run_${randomUUID()}`,
    secret: name,
    rotator: config.rotator.rotator,
    state: 'running',
    direction: 'forward',
    steps: sync
      ? stepsOfSync
      : taking !== undefined
        ? stepsOfTaking(secret, { hasOld: old !== null, ...taking })
        : stepsForward(secret, { hasOld: old !== null }),
    position: 0,
    attempt: randomUUID(),
    facts: {
      oldId: old?.id ?? null,
      issuer: issuerOf(config),
      ...(leaked ? { hurried: true, leaked: true } : {}),
      ...(taking && { taken: true }),
    },
    oldValue: old?.valueId ?? null,
    newValue: null,
    note: null,
    startedBy: actor,
    createdAt: now,
    endedAt: null,
    wakeAt: null,
    sweepAt: null,
    epoch: 0,
  }
  await state.transaction(async (sql) => {
    await insertRun(sql, schema, run, defaultCallMs)
    if (apart.length > 0) await assertApart(sql, schema, apart)
    // Another run may have begun and ended since the credential in use was read.
    const { rows } = await sql.query(`SELECT value_id FROM ${schema}.secret WHERE name = $1::text`, [name])
    if ((rows[0]?.value_id ?? null) !== run.oldValue) throw fail('ERR_RUN_RUNNING', name, 'which has just ended', 'completed')
    if (leaked)
      await tell(
        sql,
        schema,
        {
          ...{ state: 'open', condition: 'leak', severity: 'critical', secret: name, runId: run.id },
          ...{ summary: 'the secret may be known to others and is being rotated without a grace', runbook: config.runbook ?? null },
        },
        { alerts, now },
      )
    await appendEvent(sql, schema, {
      actor,
      action: 'run.begin',
      subject: `secret/${name}`,
      data: { run: run.id, leaked, ...(taking && { taken: true }) },
    })
  })
  return run
}

/** Two that begin at the same moment come one after the other here. @throws `ERR_RUN_RUNNING` where one of them has a run */
async function assertApart(sql: Sql, schema: string, apart: readonly string[]): Promise<void> {
  await sql.query('SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))', [`keyturn runs apart ${schema}`])
  const { rows } = await sql.query(
    `SELECT id, secret, state FROM ${schema}.secret_run WHERE secret = ANY (string_to_array($1::text, ',')) AND state IN ('running','waiting','paused')
     ORDER BY secret_run.id LIMIT 1`,
    [apart.join(',')],
  )
  const [other] = rows
  if (other !== undefined) throw fail('ERR_RUN_RUNNING', String(other.secret), String(other.id), String(other.state))
}

/** Seals the credential that is in use before the first rotation: what stands in the source of truth, or what the configuration names. */
async function adopt(ground: Ground, secret: OpenedSecret, actor: string): Promise<(Credential & { readonly valueId: string }) | null> {
  const { name } = secret
  const { state, values } = ground
  const credential = await firstOf(ground, secret)
  if (credential === null) return null
  if (holdsSecret(secret.rotator, credential))
    throw fail('ERR_SECRET_PLAN', name, `secrets.${name}.rotator`, `it calls the credential in use by its value: ${idsAreShown}`)
  const sealed = await values.seal(credential)
  const { schema } = state
  const adopted = await state.transaction(async (sql) => {
    const { count } = await sql.query(
      `UPDATE ${schema}.secret SET value_id = $2::text, credential_id = $3::text WHERE name = $1::text AND value_id IS NULL`,
      [name, sealed.id, credential.id],
    )
    if (count === 0) return false
    await values.keep(sql, sealed)
    await appendEvent(sql, schema, { actor, action: 'secret.adopt', subject: `secret/${name}`, data: { id: credential.id } })
    return true
  })
  // Somebody else was first: theirs may be newer.
  return adopted ? { ...credential, valueId: sealed.id } : await currentOf(ground, name)
}

async function firstOf({ world }: Ground, secret: OpenedSecret): Promise<Credential | null> {
  const { name, config, rotator } = secret
  const truth = await readTruth(secret, looking(name))
  if (truth !== null && truth.empty.length === 0) return await heldByTruth(secret, looking(name))
  if (config.first === undefined) return (await rotator.current?.(looking(name))) ?? null
  const parts: Record<string, string> = {}
  for (const [part, ref] of Object.entries(config.first)) parts[part] = await world.read(ref)
  return (await rotator.adopt?.(looking(name), parts)) ?? { id: null, parts }
}
