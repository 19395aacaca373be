import { fail } from '../errors.ts'
import type { Field } from '../field/field.ts'
import type { Location } from '../field/location.ts'
import { ownMark } from '../field/reserved.ts'
import type { KeyVersion } from '../keyring/key-version.ts'
import type { LiveKeyring } from '../keyring/live-keyring.ts'
import type { ColumnShape, Database, TableShape } from './database.ts'
import type { FenceTarget } from './fencing.ts'

/** Whether values of a field may be under this keyring: it writes them, or reads some that were. */
export function usesKeyring(field: Field, keyring: LiveKeyring): boolean {
  return field.keyring === keyring || field.reads.some((reader) => reader.keyring === keyring)
}

/** Whose values they are, and under which key. */
export interface Guarded {
  readonly fields: readonly Field[]
  readonly keyring: LiveKeyring
  readonly version: KeyVersion
}

/**
 * Every place where values of some fields can name a key version: what a fence has to guard.
 *
 * @throws `ERR_FENCE_NONE` where values under the key would name it neither in themselves nor in a column beside them
 * @throws `ERR_PRIVILEGE` where the user may not add constraints
 */
export async function fenceTargets(database: Database, guarded: Guarded): Promise<FenceTarget[]> {
  return await eachShape(database, guarded, (field, shape) => {
    if (shape.store !== undefined)
      throw fail('ERR_FENCE_NONE', `field "${field.name}"`, 'its values stand in Redis, which cannot look at what is written')
    if (!shape.owned) throw fail('ERR_PRIVILEGE', 'OWNER (to add the constraint that refuses the key)', `table "${shape.table}"`)
    const targets = targetsOf(field, shape, guarded)
    if (targets.nameless !== null)
      throw fail('ERR_FENCE_NONE', `field "${field.name}"`, `values of the format "${targets.nameless}" do not name their key`)
    return targets.found
  })
}

/** Where fences of a retired version should stand, for whoever only looks: a place whose values name no key can have none, and is one of them. */
export async function fencedPlaces(database: Database, guarded: Guarded): Promise<FenceTarget[]> {
  return await eachShape(database, guarded, (field, shape) => {
    const { nameless, found } = targetsOf(field, shape, guarded)
    const { name, type } = columnOf(field, shape, field.location.column)
    const place = { field: field.name, schema: shape.schema, table: shape.table, column: name, exempt: [] }
    return nameless === null ? found : [...found, { ...place, kind: kindOf(field, type), mark: guarded.version.id }]
  })
}

async function eachShape(
  database: Database,
  { fields }: Guarded,
  targets: (field: Field, shape: TableShape) => FenceTarget[],
): Promise<FenceTarget[]> {
  const shapes = await database.inspect(fields.map(({ location }) => location))
  return fields.flatMap((field, index) => {
    const shape = shapes[index] ?? null
    if (shape === null) throw fail('ERR_UNKNOWN_TABLE', field.name, field.location.table, '')
    return targets(field, shape)
  })
}

/** @returns what can be guarded, and a format of the field whose values under the key would name no key */
function targetsOf(field: Field, shape: TableShape, { keyring, version }: Guarded): { found: FenceTarget[]; nameless: string | null } {
  const { schema, table } = shape
  const column = columnOf(field, shape, field.location.column)
  const place = { field: field.name, schema, table, exempt: [] }
  const kind = kindOf(field, column.type)
  const found: FenceTarget[] = []
  let nameless: string | null = null
  if (field.keyring === keyring && field.keyId !== null) {
    const values = { column: column.name, holds: column.type === 'bytea' ? ('bytes' as const) : ('text' as const) }
    found.push({ ...place, column: columnOf(field, shape, field.keyId).name, kind: 'key-id', mark: version.id, values })
  }
  const read = field.reads.flatMap((reader) => (reader.keyring === keyring ? [reader.codec] : []))
  const guard = (mark: FenceTarget['mark']) => {
    if (!found.some((other) => other.kind === kind && same(other.mark, mark))) found.push({ ...place, column: column.name, kind, mark })
  }
  // Whatever the field writes and reads by now: values of a format that was taken out of it would be left under the key, and end with it.
  const own = ownMark(version.id, kind === 'bytes' ? 'bytes' : 'text')
  if (own !== null) guard(own)
  for (const codec of [...(field.keyring === keyring ? [field.writes] : []), ...read]) {
    const mark = codec.prefixOf(version)
    if (mark !== null) guard(mark)
    // The column beside the value speaks for what the field writes, not for the older forms that it reads.
    if (mark === null && !(codec === field.writes && field.keyId !== null)) nameless = codec.name
  }
  return { found, nameless }
}

const same = (a: FenceTarget['mark'], b: FenceTarget['mark']): boolean => Buffer.compare(Buffer.from(a), Buffer.from(b)) === 0

/**
 * The same marks in another column of the same field, where its values stood once; null where they might stand without naming their key
 * in themselves.
 */
export function targetsElsewhere(targets: readonly FenceTarget[], place: Location, shape: TableShape): FenceTarget[] | null {
  const { schema, table, columns } = shape
  const type = columns.find(({ name }) => name === place.column)?.type ?? ''
  const kind = kindOf({ location: place }, type)
  const told = targets.every((target) => target.kind !== 'key-id' && (typeof target.mark === 'string') === (kind !== 'bytes'))
  return told ? targets.map((target) => ({ ...target, schema, table, column: place.column, kind, exempt: [] })) : null
}

/** By the type of the column: what is not `json`, `jsonb` or `bytea` holds text, and with a path a document as text. */
function kindOf({ location }: Pick<Field, 'location'>, type: string): FenceTarget['kind'] {
  if (type === 'bytea') return 'bytes'
  if (type === 'json' || type === 'jsonb') return type
  return location.path === undefined ? 'text' : 'json-text'
}

function columnOf(field: Field, shape: TableShape, name: string): ColumnShape {
  const column = shape.columns.find((candidate) => candidate.name === name)
  if (column === undefined) throw fail('ERR_UNKNOWN_COLUMN', field.name, shape.table, name, '')
  return column
}
