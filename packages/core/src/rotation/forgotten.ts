import { fail } from '../errors.ts'
import type { Field } from '../field/field.ts'
import type { Location } from '../field/location.ts'
import { parseReference } from '../field/reference.ts'
import type { Database, TableShape } from './database.ts'
import { targetsElsewhere } from './fence-targets.ts'
import type { FenceTarget } from './fencing.ts'

/** Where fields stood when values of a keyring were first written under their names. */
export type Places = () => Promise<readonly { readonly name: string; readonly location: string }[]>

/** A version that is to end, with what guards it. */
interface Guarded {
  readonly targets: readonly FenceTarget[]
}

/**
 * @throws `ERR_FIELD_FORGOTTEN` where values of the keyring stood once, if the column is still there and nothing guards it: its field is not
 *   in the configuration any more, or has moved and left values behind that are under a key which is to end
 */
export async function assertNoneForgotten(
  { database, keyring, places }: { readonly database: Database; readonly keyring: { readonly name: string }; readonly places: Places },
  fields: readonly Field[],
  ending: readonly Guarded[],
): Promise<void> {
  const shapes = await database.inspect(fields.map(({ location }) => location))
  const guarded = new Set(fields.map(({ location }, index) => columnName(shapes[index] ?? null, location)))
  for (const { name, location } of await places()) {
    const place = parseReference(location)
    const [shape] = await database.inspect([place])
    if (!shape?.columns.some((column) => column.name === place.column)) continue
    const field = fields.find((field) => field.name === name || field.was.includes(name))
    if (field !== undefined && (guarded.has(columnName(shape, place)) || !(await leftBehind(database, field, { place, shape, ending }))))
      continue
    throw fail('ERR_FIELD_FORGOTTEN', name, keyring.name, location)
  }
}

const columnName = (shape: TableShape | null, { column }: Location): string => JSON.stringify([shape?.schema, shape?.table, column])

interface Left {
  readonly place: Location
  readonly shape: TableShape
  readonly ending: readonly Guarded[]
}

/** Whether values under one of the keys stand where a field stood before it moved, or may. */
async function leftBehind({ fencing }: Database, field: Field, { place, shape, ending }: Left): Promise<boolean> {
  for (const { targets } of ending) {
    const there = targetsElsewhere(
      targets.filter((target) => target.field === field.name),
      place,
      shape,
    )
    if (there === null || ((await fencing?.holders(there, 1)) ?? []).length > 0) return true
  }
  return false
}
