import { createHash, randomUUID } from 'node:crypto'
import { fail } from '../errors.ts'
import type { Field } from '../field/field.ts'
import { printReference } from '../field/reference.ts'
import { candidates, type LiveKeyring } from '../keyring/live-keyring.ts'
import type { RotateOptions } from '../keyturn.ts'
import type { Evidence } from './certify.ts'
import { Conductor, eventOf } from './conductor.ts'
import type { Database } from './database.ts'
import { makePlan, type Planning, survey } from './make-plan.ts'
import type { Plan } from './plan.ts'
import { assertAccepted, assertUnchanged } from './plan-facts.ts'
import { planFileDigest } from './plan-file.ts'
import type { VersionSource } from './readers.ts'
import type { RotationResult } from './result.ts'
import { type Run, start } from './run.ts'

/** What a rotation works with. */
export interface Rotation {
  readonly database: Database
  readonly keyring: LiveKeyring
  /** Null for keys from the environment: their new version is there already. */
  readonly versions: VersionSource | null
  readonly fields: readonly Field[]
  readonly options: RotateOptions
  readonly actor: string
  /** How long a killed run cannot be resumed. */
  readonly leaseMs: number
  /** How long, at the end, transactions are waited for that began under the old key; 60,000 unless given. */
  readonly settleMs?: number
  /** What signs and keeps the certificate; without it there is none. */
  readonly evidence?: Evidence
}

/** Plans and runs a rotation to its end, or until it is stopped. @throws every refusal of the plan; nothing is changed then */
export async function rotate(rotation: Rotation): Promise<RotationResult> {
  const { database, keyring, versions, fields, options } = rotation
  const newVersion = versions !== null && (options.newVersion ?? true)
  const recorded = await database.hasState()
  const unfinished = recorded ? await database.runs.unfinished(keyring.name) : null
  if (unfinished !== null) throw fail('ERR_ROTATION_RUNNING', keyring.name, unfinished.id, unfinished.state, unfinished.id)
  const planning = { keyring: keyring.name, database, fields, options, newVersion, createsState: false, recorded, waitMs: waitMs(rotation) }
  const planned = options.plan
  const plan = planned === undefined ? (await survey(planning)).plan : await makeAgain(planned, planning)
  assertAccepted(plan, options.accept ?? false, planned)
  const id = randomUUID()
  const version = newVersion ? await versions.addPending() : keyring.snapshot.active
  const run: Run = {
    id,
    keyring: keyring.name,
    mode: plan.mode,
    state: 'planned',
    plan: planDigest(fields),
    fields: fields.map(({ name }) => name),
    versionId: versions === null ? null : version.id,
    keyCheck: keyCheck(fields),
    progress: start,
    createdAt: new Date(),
    endedAt: null,
    note: null,
    requested: null,
  }
  if (recorded)
    await database.runs.create(run, {
      ...eventOf(rotation, 'rotation.plan', `rotation/${id}`),
      data: { keyring: run.keyring, mode: run.mode, ...(planned === undefined ? {} : { plan: planFileDigest(planned) }) },
    })
  return await new Conductor(rotation, run, recorded).conduct()
}

/** A plan made anew. @throws `ERR_PLAN_CHANGED` where it is no more the one that was made before */
async function makeAgain(planned: Plan, planning: Planning): Promise<Plan> {
  const plan = await makePlan({ ...planning, salt: planned.salt })
  assertUnchanged(planned, plan)
  return plan
}

/** Goes on with a run that was paused, that waits, or whose process died. @throws `ERR_RESUME_KEYS`, `ERR_ROTATION_STATE`, `ERR_LEASE_HELD` */
export async function resume(rotation: Rotation, run: Run): Promise<RotationResult> {
  if (run.endedAt !== null) throw fail('ERR_ROTATION_STATE', run.id, run.state, 'resumed')
  assertSameKeys(rotation, run)
  return await new Conductor({ ...rotation, options: { ...rotation.options, mode: run.mode } }, run, true).conduct()
}

/** @throws `ERR_RESUME_KEYS` when these are not the keys and fields that the run was started with */
export function assertSameKeys({ fields }: Rotation, run: Run): void {
  if (run.keyCheck !== keyCheck(fields) || run.plan !== planDigest(fields)) throw fail('ERR_RESUME_KEYS', run.id)
}

/** How long readers get to learn a new version, in milliseconds. */
function waitMs({ versions, options }: Rotation): number {
  return versions !== null && (options.newVersion ?? true) ? 2 * versions.refreshMs : 0
}

/** What a resume must have in common with its run. */
function planDigest(fields: readonly Field[]): string {
  const facts = fields.map((field) => [
    field.name,
    printReference(field.location),
    field.writes.name,
    field.reads.map(({ codec }) => codec.name),
    field.bind,
    Object.entries(field.where).sort(),
    ...(field.only === null ? [] : [field.only]),
    field.keyId,
    String(field.keep),
    field.was,
  ])
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex')
}

/**
 * Recognises the keys from the environment, those that encrypt and those that only decrypt, without keeping them: one way, and no more
 * help for guessing them than any value under them. Stored keyrings are recognised by the ids that their values name.
 */
function keyCheck(fields: readonly Field[]): string {
  const keyrings = fields.flatMap((field) => [field.keyring, ...field.reads.flatMap(({ keyring }) => keyring ?? [])])
  const keys = keyrings
    .filter(({ snapshot }) => snapshot.revision === 0)
    .flatMap(({ snapshot }) => candidates(snapshot).map(({ material }) => material?.derive('keyturn/key-check').export().toString('hex')))
  return createHash('sha256').update(JSON.stringify(keys)).digest('hex')
}
