import { randomBytes } from 'node:crypto'
import type { AlsoUsedFor } from '../config/config.ts'
import { fail } from '../errors.ts'
import type { Field } from '../field/field.ts'
import { candidates } from '../keyring/live-keyring.ts'
import type { PlanOptions } from '../keyturn.ts'
import type { Database } from './database.ts'
import { knownKeys } from './known-keys.ts'
import type { Plan, PlannedField } from './plan.ts'
import { factsOf } from './plan-facts.ts'
import { sampleField } from './sample.ts'
import { type TableWalk, tableWalks } from './walks.ts'

/** What a plan is made of. */
export interface Planning {
  readonly keyring: string
  readonly database: Database
  readonly fields: readonly Field[]
  readonly options: PlanOptions
  /** Whether a new key version is made: then what is current today will not be. */
  readonly newVersion: boolean
  /** Whether Keyturn's schema will be created. */
  readonly createsState: boolean
  /** Whether the run is recorded; else its printed result is the only record. */
  readonly recorded: boolean
  /** How long readers get to learn a new version; 0 for keys from the environment. */
  readonly waitMs: number
  /** Name of a stored keyring that is not made yet: a plan made for looking only stands in for it. */
  readonly unmade?: string | null
  /** What else hangs on its keys. */
  readonly alsoUsedFor?: AlsoUsedFor
  /** Whether a certificate will be signed. */
  readonly signs?: boolean
  /** Of the plan that this one is compared with. */
  readonly salt?: string
}

/**
 * Looks at everything that a rotation needs, and changes nothing.
 *
 * @throws what `survey` throws
 */
export async function makePlan(planning: Planning): Promise<Plan> {
  const { plan, tables } = await survey(planning)
  const salt = planning.salt ?? randomBytes(16).toString('hex')
  return { ...plan, facts: factsOf(planning, tables, salt), salt }
}

/** A plan without what another one is compared with: recognising keys is slow on purpose, and a rotation without a plan needs none of it. */
export type Survey = Omit<Plan, 'facts' | 'salt'>

/**
 * What a plan says, and the tables that it is about; changes nothing.
 *
 * @throws UsageError for what would be refused: unknown tables and columns, no unique key, missing privileges, columns too short,
 *   equal keys, a key that opens no value of the sample; ConflictError while a hold stands
 */
export async function survey(planning: Planning): Promise<{ readonly plan: Survey; readonly tables: readonly TableWalk[] }> {
  const { database, fields, options } = planning
  const mode = options.mode ?? 'online'
  if (fields.length === 0)
    throw fail('ERR_USAGE', `keyring "${planning.keyring}" has no field to rotate. Declare its fields, or name one with --field`)
  for (const field of fields) assertOtherKey(field)
  const tables = await tableWalks(database, fields, false)
  await assertNotHeld(database, tables)
  const others = options.appStopped ? await database.otherSessions() : 0
  if (others > 0) throw fail('ERR_APP_RUNNING', others)
  const holds = makesHold(planning)
  const apart = tables.find(({ shape }) => mode === 'transaction' && shape.store !== undefined)
  if (apart !== undefined) throw fail('ERR_USAGE', `${apart.name} has no part in a transaction of the database: rotate its fields online`)
  const refusing = tables.find(({ shape }) => shape.refusesWrites !== undefined)
  if (refusing !== undefined) throw fail('ERR_USAGE', `${refusing.name}: ${refusing.shape.refusesWrites}`)
  const unlockable = tables.find(({ shape }) => mode === 'transaction' && !shape.lockable)
  if (unlockable !== undefined) throw fail('ERR_PRIVILEGE', 'UPDATE (of the whole table, to lock it)', `table "${unlockable.name}"`)
  const unowned = tables.find(({ shape }) => holds && !shape.owned)
  if (unowned !== undefined)
    throw fail('ERR_PRIVILEGE', 'OWNER (to hold writes until the application has its new key)', `table "${unowned.name}"`)
  const sampled = await Promise.all(tables.flatMap((table) => table.fields.map((_, index) => sampleField(database, table, index))))
  const planned = sampled.map(({ field }) => field)
  const rows = tables.reduce((sum, { shape }) => sum + shape.rows, 0)
  const typical = median(sampled.map(({ microseconds }) => microseconds))
  const plan: Survey = {
    format: 'keyturn/plan/1',
    createdAt: new Date().toISOString(),
    keyring: planning.keyring,
    options: { fields: options.fields ?? null, appStopped: options.appStopped ?? false, newVersion: planning.newVersion },
    mode,
    tables: tables.map(({ name, shape }) => ({ table: name, rows: shape.rows, bytes: shape.bytes, key: shape.key })),
    fields: planned,
    values: tables.reduce((sum, { shape, fields }) => sum + shape.rows * fields.length, 0),
    // With default throttling a row takes about 100 µs, verification included (bench/README.md); long values take longer to open.
    seconds: Math.ceil(planning.waitMs / 1000 + (rows * Math.max(100, typical * 10)) / 1e6),
    creates: creates(planning, holds),
    steps: mode === 'online' ? onlineSteps(planning) : transactionSteps(holds),
    warnings: [
      ...warnings(fields, tables, mode),
      ...knownKeys(fields),
      ...planned.flatMap(notTaken),
      ...tables.flatMap(notFound),
      ...(!planning.newVersion && planned.some(({ sampled }) => sampled > 0) && planned.every(isCurrent) ? [exchanged] : []),
      ...(planning.recorded ? [] : [unrecorded]),
      ...(planning.signs === false ? [unsigned] : []),
      backups,
    ],
    alsoUsedFor: Object.entries(planning.alsoUsedFor ?? {}).map(([what, becomes]) => ({ what, becomes })),
    mustAccept: planned.flatMap(notOpening),
  }
  return { plan, tables }
}

/** The first field is slower than the others, because its code is run for the first time. */
function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1] ?? 0
}

/** Whether a transaction rotation of these fields has to hold writes afterwards. */
export function makesHold({ fields, options }: Pick<Planning, 'fields' | 'options'>): boolean {
  return options.mode === 'transaction' && !options.appStopped && fields.some(({ writes, keyId }) => !writes.namesKey && keyId === null)
}

function notOpening({ field, sampled, opened }: PlannedField): string[] {
  return opened === sampled
    ? []
    : [`field "${field}": ${sampled - opened} of ${sampled} sampled values do not open; they will be set aside`]
}

/** That strings stay as they are is no secret of the engine's: a field that takes only what is encrypted could be meant to take more. */
function notTaken({ field, unencrypted = 0 }: PlannedField): string[] {
  if (unencrypted === 0) return []
  return [`field "${field}" takes only what is encrypted: ${unencrypted} strings in the rows of the sample are not, and stay as they are`]
}

/** Of keys in another database of Redis, or under another prefix, nothing would be changed, and the old key be taken away. */
function notFound({ name, shape }: TableWalk): string[] {
  if (shape.store === undefined || shape.rows > 0) return []
  return [`${name}: no key fits. If that is a surprise: is it the prefix, and the database (redis://host/NUMBER), of the application?`]
}

/** A rotation from a key to itself would change nothing and say that all is well. */
function assertOtherKey(field: Field): void {
  const active = field.keyring.snapshot.active.material
  const keys = field.reads.flatMap(({ codec, keyring }) =>
    keyring === null ? [] : candidates(keyring.snapshot).map((version) => ({ codec, material: version.material })),
  )
  const same =
    keys.length > 0 && keys.every(({ codec, material }) => codec.name === field.writes.name && active !== null && material?.equals(active))
  if (same) throw fail('ERR_SAME_KEY', `field "${field.name}"`)
}

/** @throws `ERR_HELD` where another rotation than `own` holds one of these tables */
export async function assertNotHeld(database: Database, tables: readonly TableWalk[], own?: string): Promise<void> {
  for (const { rotationId, tables: held } of await database.holds()) {
    if (rotationId === own) continue
    const table = tables.find(({ name }) => held.includes(name))
    if (table !== undefined) throw fail('ERR_HELD', table.name, rotationId)
  }
}

function creates({ createsState, newVersion }: Planning, holds: boolean): string[] {
  return [
    ...(createsState ? ["the schema for Keyturn's own state"] : []),
    ...(newVersion ? ['one new key version'] : []),
    ...(holds ? ['a hold: triggers that refuse writes of these columns until "keyturn release", their function and their record'] : []),
  ]
}

function onlineSteps({ newVersion, waitMs }: Planning): string[] {
  return [
    ...(newVersion
      ? [
          `make a new key version and wait ${Math.ceil(waitMs / 1000)} s until every reader has it`,
          'activate it: new values are encrypted under it',
        ]
      : []),
    'rewrite the values in batches while the application reads and writes, until a pass finds none',
    'verify: open every value',
  ]
}

function transactionSteps(holds: boolean): string[] {
  const rewrite = 'lock the tables against writers and rewrite all values in one transaction'
  if (!holds) return [rewrite, 'verify: open every value']
  return [
    `${rewrite}, which also makes the hold`,
    'put the new key into the environment of the application (reads fail from the commit until its restart)',
    'restart every instance of the application',
    'keyturn release',
    'keyturn verify',
  ]
}

const unrecorded = 'the database has no tables of Keyturn and none are made: the printed result is the only record of this rotation'

/** A rotation in the wrong direction changes nothing and says that all is well: then the old key is taken away. */
const isCurrent = ({ sampled, current }: PlannedField): boolean => current === sampled
const exchanged =
  'every sampled value is under the new key already, so that nothing would be changed. If that is a surprise: were the old key and the new one exchanged?'
const unsigned = 'no signing key is set: there will be no certificate'
const backups = 'backups and exports made before this rotation hold values under the old key: keep it for as long as you keep them'

function warnings(fields: readonly Field[], tables: readonly TableWalk[], mode: string): string[] {
  return [
    ...tables.flatMap(({ name, shape }) => shape.notes.map((note) => `table "${name}": ${note}`)),
    ...fields
      .filter(({ bind, writes }) => bind.length === 0 && writes.name === 'kt1')
      .map(({ name }) => `field "${name}" is not bound to its row: whoever can write to the database can move its values between rows`),
    ...(mode === 'online' && fields.some(({ writes }) => !writes.namesKey)
      ? ['the format names no key: every instance of the application must be able to read the old key and the new one during the rotation']
      : []),
    ...(mode === 'online' ? ['transactions of the application at REPEATABLE READ or SERIALIZABLE may have to be retried'] : []),
  ]
}
