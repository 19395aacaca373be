import { fail } from '../errors.ts'
import type { Field } from '../field/field.ts'
import { assertTransition } from '../keyring/key-state.ts'
import type { KeyVersion } from '../keyring/key-version.ts'
import type { OpenedKeyring } from '../keyring/stored-keyring.ts'
import type { Database } from './database.ts'
import { DatabaseError } from './database-error.ts'
import { fencedPlaces, fenceTargets, usesKeyring } from './fence-targets.ts'
import type { FenceTarget } from './fencing.ts'
import { assertNoneForgotten, type Places } from './forgotten.ts'
import type { VersionSource } from './readers.ts'
import type { MissingFence } from './retirement.ts'
import { verifyFields } from './verify.ts'

/** What the end of a version works with. */
export interface Ending {
  readonly database: Database
  readonly keyring: OpenedKeyring
  readonly versions: VersionSource
  /** All fields of the configuration. */
  readonly fields: readonly Field[]
  readonly places: Places
}

/**
 * Erases the key of a retired version, or of one that never was active, for good. Every value is opened once more before: one that
 * names the key, or a key that is not known, may be one of its own.
 *
 * @param options.horizonMs - how long after its retirement it is kept for backups
 * @throws `ERR_KEY_STATE`, `ERR_HORIZON`, `ERR_FENCE_MISSING`, `ERR_FIELD_FORGOTTEN`, `ERR_STILL_NAMED`, `ERR_ROTATION_RUNNING`
 */
export async function destroy(
  ending: Ending,
  versionId: string,
  options: { readonly horizonMs: number; readonly now: boolean },
): Promise<void> {
  const { database, keyring } = ending
  await keyring.reload()
  const version = keyring.snapshot.get(versionId)
  if (version === undefined) throw fail('ERR_KEY_NOT_FOUND', keyring.name, versionId)
  assertTransition(keyring.name, versionId, version.state, 'destroyed')
  const running = await database.runs.unfinished(keyring.name)
  if (running !== null) throw fail('ERR_ROTATION_RUNNING', keyring.name, running.id, running.state, running.id)
  if (!options.now) await assertHorizon(ending, version, options.horizonMs)
  const fields = ending.fields.filter((field) => usesKeyring(field, keyring))
  const targets = version.state === 'retired' ? await assertFenced(ending, version, fields) : []
  if (version.state === 'retired') await assertNoneForgotten(ending, fields, [{ targets }])
  const named = (await database.fencing?.holders(targets, 1_000)) ?? []
  const { setAsideValues } = await verifyFields({ database, fields, known: [] })
  const unknown = setAsideValues.filter(({ reason }) => reason === 'ERR_KEY_NOT_FOUND')
  if (named.length + unknown.length > 0) throw fail('ERR_STILL_NAMED', keyring.name, versionId, named.length, unknown.length)
  await keyring.destroyVersion(versionId)
}

async function assertHorizon({ keyring, versions }: Ending, { id, retiredAt }: KeyVersion, horizonMs: number): Promise<void> {
  if (retiredAt === null) return
  const over = new Date(retiredAt.getTime() + horizonMs)
  if ((await versions.now()) < over) throw fail('ERR_HORIZON', keyring.name, id, over.toISOString())
}

async function assertFenced({ database, keyring }: Ending, version: KeyVersion, fields: readonly Field[]): Promise<FenceTarget[]> {
  const targets = await fenceTargets(database, { fields, keyring, version })
  const [gone] = (await database.fencing?.missing(version.id, targets)) ?? targets
  if (gone !== undefined) throw fail('ERR_FENCE_MISSING', version.id, `${gone.schema}.${gone.table}`, gone.column)
  return targets
}

const unretireTries = 40

/** Makes a retired version retiring again and takes its fences down; for one that is retiring, takes down what a retirement left behind. */
export async function unretire({ database, keyring }: Pick<Ending, 'database' | 'keyring'>, versionId: string): Promise<void> {
  await keyring.reload()
  const state = keyring.snapshot.get(versionId)?.state
  if (state === undefined) throw fail('ERR_KEY_NOT_FOUND', keyring.name, versionId)
  if (state === 'retiring') return await unfence({ database, keyring }, versionId)
  assertTransition(keyring.name, versionId, state, 'retiring')
  await withoutFence(() => keyring.unretireVersion(versionId, async (within) => await database.fencing?.drop(versionId, within)))
}

/** Takes down the fences of a version that is retiring; those of one that somebody has retired meanwhile stay. */
export async function unfence({ database, keyring }: Pick<Ending, 'database' | 'keyring'>, versionId: string): Promise<void> {
  const { fencing } = database
  if (fencing === null || !(await fencing.list()).some(({ keyId }) => keyId === versionId)) return
  await withoutFence(() => keyring.unfenceVersion(versionId, (within) => fencing.drop(versionId, within)))
}

/** Again after contention: the locks of all tables are had at once or not at all. */
async function withoutFence(work: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof DatabaseError) || error.kind !== 'contention') throw error
      if (attempt === unretireTries) throw fail('ERR_LOCK_TIMEOUT', 'the tables of the fence', unretireTries)
    }
  }
}

/**
 * Where retired versions of some keyrings are not refused as they were when they were retired: a constraint was dropped, altered, or never
 * made, because the field is newer.
 */
export async function missingFences(
  database: Database,
  fields: readonly Field[],
  keyrings: readonly OpenedKeyring[],
): Promise<readonly MissingFence[]> {
  const missing: MissingFence[] = []
  for (const keyring of keyrings) {
    const under = fields.filter((field) => usesKeyring(field, keyring))
    for (const version of keyring.snapshot.versions.filter(({ state }) => state === 'retired')) {
      const targets = await fencedPlaces(database, { fields: under, keyring, version })
      const gone = (await database.fencing?.missing(version.id, targets)) ?? targets
      missing.push(...gone.map(({ schema, table, column }) => ({ table: `${schema}.${table}`, column, keyId: version.id })))
    }
  }
  return missing
}
