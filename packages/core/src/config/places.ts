import { fail } from '../errors.ts'
import type { Where } from '../field/document.ts'
import type { Location, PathStep } from '../field/location.ts'

/** What a field takes of its table. */
export interface Place {
  readonly name: string
  readonly keyring: string
  readonly location: Location
  readonly where: Where
  readonly keyId: string | null
  readonly bind: readonly string[]
}

/**
 * Refuses fields that would take the same value, or change what another one is bound to. Two fields in one column are told apart by
 * their paths, and on one path by a member beside the value that must be one thing for the one and another for the other.
 *
 * @throws `ERR_CONFIG`
 */
export function assertApart(places: readonly Place[]): void {
  for (const [index, place] of places.entries()) {
    for (const other of places.slice(0, index)) {
      if (!sameRows(place.location, other.location)) continue
      assertOtherValues(place, other)
      assertOtherColumns(place, other)
      assertOtherColumns(other, place)
    }
  }
}

/** Whether a row may be of both: the same table, or a key of Redis that fits both patterns. */
function sameRows(a: Location, b: Location): boolean {
  if (a.store !== b.store || a.schema !== b.schema) return false
  if (a.store === undefined) return a.table === b.table
  const [first = '', second = ''] = [a.table, b.table].map((pattern) => pattern.replace(/[*?[\\].*$/s, ''))
  return first.startsWith(second) || second.startsWith(first)
}

function assertOtherValues(place: Place, other: Place): void {
  const [mine, theirs] = [place.location, other.location]
  if (mine.column !== theirs.column) return
  const at = `fields.${place.name}.column`
  if (mine.path === undefined || theirs.path === undefined) {
    const why = mine.path === theirs.path ? '. A column belongs to one field' : ' with all of the column, which would belong to two fields'
    throw fail('ERR_CONFIG', at, `field "${other.name}" stands there already${why}`)
  }
  if (!meet(mine.path, theirs.path) || excludes(place.where, other.where)) return
  throw fail('ERR_CONFIG', at, `field "${other.name}" may stand at the same place. Tell them apart by "where"`)
}

/** Whether a value may stand at both paths. One path within the other is none: a value is a string, which has nothing inside. */
function meet(a: readonly PathStep[], b: readonly PathStep[]): boolean {
  const [first, second] = [a[0], b[0]]
  // From here on the one takes everything; so it does where the other ends.
  if (first === true || second === true) return true
  if (first === undefined || second === undefined) return first === second
  return (first === null || second === null || first === second) && meet(a.slice(1), b.slice(1))
}

function excludes(a: Where, b: Where): boolean {
  return Object.entries(a).some(([member, value]) => Object.hasOwn(b, member) && b[member] !== value)
}

function assertOtherColumns(place: Place, other: Place): void {
  const { name, keyId } = place
  if (keyId !== null && keyId === other.location.column)
    throw fail('ERR_CONFIG', `fields.${name}.keyId`, `column "${keyId}" holds the values of field "${other.name}"`)
  if (keyId !== null && keyId === other.keyId && place.keyring !== other.keyring)
    throw fail(
      'ERR_CONFIG',
      `fields.${name}.keyId`,
      `column "${keyId}" holds the key ids of field "${other.name}", which has another keyring`,
    )
  const changing = place.bind.find((column) => column === other.location.column || column === other.keyId)
  if (changing !== undefined) {
    const why = `field "${other.name}" changes column "${changing}" in each rotation, and what is bound to it would never open again`
    throw fail('ERR_CONFIG', `fields.${name}.bind`, why)
  }
}
