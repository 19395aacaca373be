import { type Field, fail, isKeyturnError, type KeyturnError, type Stored, standingOf } from '@keyturn/core'
import type { Standing } from './last-known.ts'
import { type Cell, inDocument, type Row, type Shape } from './row.ts'

interface Given {
  readonly wanted: Standing
  readonly standing: Standing
  readonly shape: Shape
  /** Makes the refusal of the store. */
  refused(why: string): KeyturnError
}

/** Others may spend what was reserved before it is used; so many in a row are not bad luck. */
const reserveTries = 100

/** What the columns are to hold: what is to stand there sealed under the active keys, and all the rest as it is. */
export async function replaced(row: Row, given: Given): Promise<ReadonlyMap<string, Stored | null>> {
  const { wanted, standing, shape } = given
  const differs = ({ name }: Cell) => wanted[name] !== standing[name]
  const keyIds = new Set(row.cells.filter(differs).flatMap(({ field }) => field.keyId ?? []))
  // Values with one key id beside them change together.
  const changing = row.cells.filter((cell) => differs(cell) || (keyIds.has(cell.field.keyId ?? '') && wanted[cell.name] !== null))
  const sealed = await seal(
    changing.filter(({ name }) => wanted[name] !== null),
    wanted,
  )
  const to = new Map<string, Stored | null>()
  for (const cell of changing) {
    const { field } = cell
    const { column } = field.location
    const held = to.has(column) ? to.get(column) : row.held.get(column)
    const place = standingOf(field, held ?? null, inDocument(field, shape.columns))
    if (place.is === 'fault') throw given.refused(place.sentence)
    const value = sealed.get(cell)
    if (value === undefined)
      to.set(
        column,
        emptied(cell, given, (text) => place.put(text)),
      )
    else to.set(column, place.put(value.stored))
    if (field.keyId !== null && value !== undefined) to.set(field.keyId, value.keyId)
  }
  return to
}

/** What stands for nothing: NULL, or the empty text. */
function emptied({ field, standing }: Cell, { shape, refused }: Given, put: (sealed: Stored) => Stored): Stored | null {
  const { base, notNull = true } = shape.columns.get(field.location.column) ?? {}
  if (!inDocument(field, shape.columns) && !notNull) return null
  if (field.empty === 'keep') return put(base === 'bytea' ? new Uint8Array(0) : '')
  throw refused(
    `field "${field.name}" cannot be ${standing.is === 'nothing' ? 'left' : 'made'} empty: its column takes no NULL, or it is in a document, and it keeps no empty text`,
  )
}

interface Sealed {
  readonly stored: Stored
  readonly keyId: string
}

/** Seals values, those of one keyring under one version. @throws `ERR_ROUND_TRIP`, and what `reserve` throws */
async function seal(cells: readonly Cell[], wanted: Standing): Promise<ReadonlyMap<Cell, Sealed>> {
  const messages = new Map<Field['keyring'], number>()
  for (const { field } of cells) messages.set(field.keyring, (messages.get(field.keyring) ?? 0) + 1)
  for (let tries = 1; ; tries++) {
    for (const [keyring, count] of messages) await keyring.reserve(count)
    try {
      const versions = new Map([...messages].map(([keyring, count]) => [keyring, keyring.spend(count)]))
      return new Map(
        cells.map((cell): [Cell, Sealed] => {
          const { field, bound, name } = cell
          const version = versions.get(field.keyring)
          if (version === undefined) throw fail('ERR_ROUND_TRIP', field.name)
          const plaintext = Buffer.from(wanted[name] ?? '')
          const stored = field.seal(plaintext, bound, version)
          const again = field.open(stored, bound, field.keyId === null ? undefined : version.id).plaintext
          if (Buffer.compare(again, plaintext) !== 0) throw fail('ERR_ROUND_TRIP', field.name)
          return [cell, { stored, keyId: version.id }]
        }),
      )
    } catch (error) {
      if (tries === reserveTries || !isKeyturnError(error, 'ERR_KEY_NOT_LOADED')) throw error
    }
  }
}
