import { createHash } from 'node:crypto'
import { fail, isKeyturnError } from '../errors.ts'
import type { Field } from '../field/field.ts'
import type { KeyVersion, KeyVersionFacts } from '../keyring/key-version.ts'
import type { OpenedKeyring } from '../keyring/stored-keyring.ts'
import type { RetireOptions } from '../keyturn.ts'
import type { Certificate } from './certificate.ts'
import type { RetirementFacts } from './claims.ts'
import { unfence } from './destroy.ts'
import { fenceTargets, usesKeyring } from './fence-targets.ts'
import type { Fence, FenceTarget, Fencing } from './fencing.ts'
import { assertNoneForgotten, type Places } from './forgotten.ts'
import { type LastPass, lastPass } from './last-pass.ts'
import { quietAfter, settled, type VersionSource } from './readers.ts'
import type { Retirement } from './retirement.ts'
import type { Rotation } from './rotate.ts'
import { type Standing, standingValues } from './standing-values.ts'

/** What a retirement works with. */
export interface Retiring {
  /** A rotation of the keyring; its fields and options are not looked at. */
  readonly rotation: Rotation
  readonly keyring: OpenedKeyring
  readonly versions: VersionSource
  /** All fields of the configuration, of every keyring: one may read values of this one. */
  readonly fields: readonly Field[]
  readonly places: Places
  readonly options: RetireOptions
  /** How long transactions that are open are waited for; a minute unless given. */
  readonly settleMs?: number
  /** Makes the certificate of a version that has just been retired, once for the same facts. Without it there is none. */
  readonly certify?: (facts: RetirementFacts) => Promise<Certificate | null>
  /** Whether a version that is retired has its certificate. Where it has not, a process died before it was made: it is retired again. */
  readonly isCertified?: (version: KeyVersionFacts) => Promise<boolean>
}

/** A version on its way, with what its fence guards. */
interface Retiree {
  readonly version: KeyVersion
  readonly targets: readonly FenceTarget[]
}
/** The same after a look at what still names its key. */
interface Looked extends Retiree, Standing {}
interface Under {
  readonly fencing: Fencing
  readonly fields: readonly Field[]
  readonly run: LastPass
}

/**
 * Retires versions of a keyring by proof.
 *
 * 1. Waits until no process can encrypt under them, and until every transaction open at that moment has ended.
 * 2. A pass rewrites what is left and opens every value.
 * 3. The database refuses the keys from now on, in every column that can hold them; what came in between is rewritten by one more pass.
 * 4. The database checks every row. 5. The state is saved, with its event.
 *
 * Every step may be repeated: a process that dies leaves the versions retiring, with or without a fence, and the next call goes through
 * all steps again, of which those that are done find nothing to do. When values are found that may not stand, the fences are taken down
 * again, because the application could not write to their rows.
 *
 * A version that is retired already and lacks a fence, because a field or a column is new or somebody dropped the constraint, gets it again.
 *
 * @returns what became of each, the oldest first; empty when there was nothing to do
 */
export async function retire(retiring: Retiring): Promise<readonly Retirement[]> {
  const fencing = fencingOf(retiring)
  const fields = fieldsUnder(retiring)
  await retiring.keyring.reload()
  const retirees = await chooseRetirees(retiring, fencing, fields)
  if (retirees.length === 0) return []
  await assertNoneForgotten({ ...retiring, database: retiring.rotation.database }, fields, retirees)
  await waitForWriters(retiring, fencing)
  const run = await lastPass(retiring, fields)
  const before = await lookAt(fencing, retirees, fields, run)
  assertAccepted(retiring, before)
  try {
    const [proving, last] = await refuse(retiring, { fencing, fields, run }, before)
    const retirements: Retirement[] = []
    for (const retiree of proving) retirements.push(await prove(retiring, { fencing, fields, run: last }, retiree))
    return retirements
  } catch (error) {
    if (isKeyturnError(error, 'ERR_SET_ASIDE', 'ERR_FENCE_VALUES')) await takeDown(retiring, retirees)
    throw error
  }
}

function fencingOf({ rotation: { database }, keyring }: Retiring): Fencing {
  if (database.fencing === null)
    throw fail('ERR_FENCE_NONE', `keyring "${keyring.name}"`, `a database of the kind "${database.name}" cannot refuse a key`)
  return database.fencing
}

function fieldsUnder({ fields, keyring }: Retiring): Field[] {
  const under = fields.filter((field) => usesKeyring(field, keyring))
  if (under.length === 0)
    throw fail('ERR_USAGE', `keyring "${keyring.name}" has no field in the configuration: there is nothing to prove its retirement on`)
  return under
}

/** The versions asked for, or all that are retiring; and those that are retired and have lost a part of their proof. */
async function chooseRetirees(
  { rotation, keyring, options, isCertified }: Retiring,
  fencing: Fencing,
  fields: readonly Field[],
): Promise<Retiree[]> {
  const { snapshot } = keyring
  for (const id of options.versions ?? []) {
    const state = snapshot.get(id)?.state
    if (state === undefined) throw fail('ERR_KEY_NOT_FOUND', keyring.name, id)
    if (state !== 'retiring' && state !== 'retired') throw fail('ERR_KEY_STATE', keyring.name, id, state, 'retired')
  }
  const chosen = snapshot.versions.filter(({ id }) => options.versions?.includes(id) ?? true)
  const retirees: Retiree[] = []
  for (const version of chosen.filter(({ state }) => state === 'retiring' || state === 'retired')) {
    const targets = await fenceTargets(rotation.database, { fields, keyring, version })
    const proved =
      version.state === 'retired' &&
      (await fencing.missing(version.id, targets)).length === 0 &&
      (isCertified === undefined || (await isCertified(version)))
    if (!proved) retirees.push({ version, targets })
  }
  return retirees
}

/** Readers first, the other way round: whoever could still write an old value has had its time. */
async function waitForWriters({ versions, keyring, options, settleMs }: Retiring, fencing: Fencing): Promise<void> {
  const quiet = await quietAfter(versions, keyring, null)
  await quiet.wait(options.signal)
  assertGoing(keyring.name, options)
  const open = await settled(fencing, await versions.now(), { timeoutMs: settleMs ?? 60_000, signal: options.signal })
  assertGoing(keyring.name, options)
  if (open !== null) throw fail('ERR_TRANSACTIONS_OPEN', keyring.name, open)
}

function assertGoing(keyring: string, { signal }: RetireOptions): void {
  if (signal?.aborted) throw fail('ERR_INTERRUPTED', `retiring versions of keyring "${keyring}"`)
}

async function lookAt(fencing: Fencing, retirees: readonly Retiree[], fields: readonly Field[], run: LastPass): Promise<Looked[]> {
  const looked: Looked[] = []
  for (const retiree of retirees) {
    const { targets, setAside, strangers } = await standingValues(fencing, retiree.targets, fields, run.setAside)
    looked.push({ version: retiree.version, targets, setAside, strangers })
  }
  return looked
}

/** @throws `ERR_SET_ASIDE` unless exactly as many values as there are were accepted */
function assertAccepted({ keyring, options }: Retiring, looked: readonly Looked[]): void {
  const count = looked.reduce((sum, { setAside }) => sum + setAside.length, 0)
  if (count !== (options.acceptSetAside ?? 0)) throw fail('ERR_SET_ASIDE', keyring.name, count, count)
}

/** Raises the fences, and rewrites what came before they stood. Nothing comes after; what nobody rewrites is found by the database. */
async function refuse(retiring: Retiring, under: Under, before: readonly Looked[]): Promise<[readonly Looked[], LastPass]> {
  const { fencing, fields } = under
  for (const { version, targets } of before) await fencing.raise(version.id, targets)
  const again = await lookAt(fencing, before, fields, under.run)
  if (again.every(({ strangers }) => strangers === 0)) return [again, under.run]
  const run = await lastPass(retiring, fields)
  const after = await lookAt(fencing, before, fields, run)
  assertAccepted(retiring, after)
  for (const { version, targets } of after) await fencing.raise(version.id, targets)
  return [after, run]
}

/** The database checks every row, and then, only then, the state changes. */
async function prove(retiring: Retiring, { fencing, fields, run }: Under, { version, targets, setAside }: Looked): Promise<Retirement> {
  const { keyring, certify } = retiring
  const { fences, position } = await fencing.validate(version.id)
  const facts = { rotationId: run.rotationId, position }
  const event = { rotation: facts.rotationId, position, fences: fences.map(proof), accepted: setAside.length }
  // With the save and not before it: a call that takes the fences down may come in between.
  await keyring.retireVersion(version.id, event, false, async (within) => {
    const [gone] = await fencing.missing(version.id, targets, within)
    if (gone !== undefined) throw fail('ERR_FENCE_MISSING', version.id, `${gone.schema}.${gone.table}`, gone.column)
  })
  const retired = { keyring: keyring.name, versionId: version.id, ...facts, fences }
  const certificate = await certify?.({ ...retired, fields, versions: keyring.snapshot.versions, accepted: setAside })
  return { ...retired, accepted: setAside.length, certificate: certificate ?? null }
}

/** What the audit log keeps of a fence: a certificate needs a signing key, and the log does not. */
const proof = ({ table, column, constraint, definition }: Fence) => ({
  table,
  column,
  constraint,
  definition: createHash('sha256').update(definition).digest('hex'),
})

/** Values that may not stand were found: while a fence stands the application cannot change their rows. Best effort: the error says more. */
async function takeDown({ rotation: { database }, keyring }: Retiring, retirees: readonly Retiree[]): Promise<void> {
  for (const { version } of retirees) await unfence({ database, keyring }, version.id).catch(() => {})
}
