import { announce } from './audit/checkpoint.ts'
import type { OpenedKeyring } from './config/open-keyrings.ts'
import { fail } from './errors.ts'
import type { Field } from './field/field.ts'
import type { DestroyOptions, RetireOptions } from './keyturn.ts'
import type { Opening } from './opened-keyturn.ts'
import { certifyRetirement, isRetirementCertified } from './rotation/certify.ts'
import { destroy, missingFences, unretire } from './rotation/destroy.ts'
import { retire } from './rotation/retire.ts'
import type { MissingFence, Retirement } from './rotation/retirement.ts'
import type { Rotation } from './rotation/rotate.ts'
import { firstPlaces } from './state/first-places.ts'

/** Where an opened configuration brings key versions to their end. */
interface Place {
  readonly opening: Opening
  readonly rotation: Rotation
  readonly opened: OpenedKeyring
}

const defaultHorizonMs = 35 * 86_400_000

function storedOf({ opened, rotation }: Place) {
  const { stored, versions } = opened
  if (stored !== null && versions !== null) return { keyring: stored, versions }
  const { name } = rotation.keyring
  if (opened.kind === 'stored') throw fail('ERR_KEYRING_NOT_FOUND', name)
  const why = {
    environment: 'its keys come from the environment and are named by nothing',
    table: 'its keys stand in a table of the application, which Keyturn only reads',
  }
  throw fail('ERR_FENCE_NONE', `keyring "${name}"`, why[opened.kind])
}

/** See `Keyturn.retire`. */
export async function retireVersions(place: Place, options: RetireOptions): Promise<readonly Retirement[]> {
  const { opening, rotation } = place
  const { fields, state, evidence } = opening
  return await retire({
    rotation,
    ...storedOf(place),
    fields: [...fields.values()],
    places: () => firstPlaces(state, rotation.keyring.name),
    options,
    certify: (facts) => certifyRetirement(evidence, facts),
    isCertified: (version) => isRetirementCertified(evidence, version),
  })
}

/** See `Keyturn.destroy`. */
export async function destroyVersion(place: Place, versionId: string, { now = false }: DestroyOptions): Promise<void> {
  const { database, fields, state } = place.opening
  const places = () => firstPlaces(state, place.rotation.keyring.name)
  const horizonMs = place.opened.horizonMs ?? defaultHorizonMs
  await destroy({ database, ...storedOf(place), fields: [...fields.values()], places }, versionId, { horizonMs, now })
  await announce(place.opening.evidence)
}

/** See `Keyturn.unretire`. */
export async function unretireVersion(place: Place, versionId: string): Promise<void> {
  await unretire({ database: place.opening.database, ...storedOf(place) }, versionId)
}

/** Fences of retired versions that should stand on some fields and do not. */
export async function fencesGone({ database, keyrings }: Opening, fields: readonly Field[]): Promise<readonly MissingFence[]> {
  return await missingFences(
    database,
    fields,
    // A keyring from a file opens a copy of a database, which was never fenced.
    [...keyrings.values()].flatMap(({ stored, store }) => (stored === null || store?.name === 'file' ? [] : [stored])),
  )
}
