import { fail } from '../errors.ts'
import type { BoundColumn } from '../field/bound.ts'
import { Field, type Reader } from '../field/field.ts'
import { keptPattern } from '../field/kept.ts'
import { parseReference } from '../field/reference.ts'
import type { Database, TableShape } from '../rotation/database.ts'
import type { Config, FieldConfig, ReadConfig } from './config.ts'
import { nearest } from './nearest.ts'
import { openCodec } from './open-codec.ts'
import { type KeyringWorld, type OpenedKeyring, readKeyring } from './open-keyrings.ts'
import { assertApart, type Place } from './places.ts'

/**
 * Makes the fields of a configuration. What the configuration leaves open is taken from the database: whether a column holds text or
 * bytes, and the types of bound columns.
 *
 * @throws `ERR_UNKNOWN_TABLE`, `ERR_UNKNOWN_COLUMN` or `ERR_BIND_TYPE` for bound columns that are not there or cannot be bound
 */
export async function openFields(
  config: Config,
  database: Database,
  keyrings: ReadonlyMap<string, OpenedKeyring>,
  world: KeyringWorld,
): Promise<Map<string, Field>> {
  const declared = Object.entries(config.fields)
  const shapes = await database.inspect(declared.map(([, { column }]) => parseReference(column)))
  assertApart(declared.map(([name, field], index) => placeOf(name, field, shapes[index] ?? null)))
  const fields = new Map<string, Field>()
  for (const [index, [name, field]] of declared.entries()) {
    fields.set(name, await openField({ name, config: field, shape: shapes[index] ?? null }, keyrings, world))
  }
  return fields
}

/** Where a field stands, by the names that the database gives: one table may be written with its schema and without. */
function placeOf(name: string, { column, keyring, where = {}, keyId, bind = [] }: FieldConfig, shape: TableShape | null): Place {
  const written = parseReference(column)
  const location = shape === null ? written : { ...written, schema: shape.schema, table: shape.table }
  return { name, keyring, location, where, keyId: keyId ?? null, bind }
}

interface Declared {
  readonly name: string
  readonly config: FieldConfig
  readonly shape: TableShape | null
}

async function openField(
  { name, config, shape }: Declared,
  keyrings: ReadonlyMap<string, OpenedKeyring>,
  world: KeyringWorld,
): Promise<Field> {
  const keyring = keyrings.get(config.keyring)
  if (keyring === undefined) throw fail('ERR_UNKNOWN_NAME', 'keyring', config.keyring, '')
  const location = parseReference(config.column)
  const column = shape?.columns.find(({ name }) => name === location.column)
  const holds = location.path === undefined && column?.holds === 'bytes' ? 'bytes' : 'text'
  if (holds === 'bytes' && config.keep !== undefined)
    throw fail('ERR_CONFIG', `fields.${name}.keep`, `it describes text, and column "${location.column}" holds bytes`)
  if (shape !== null) checkColumns(name, config, shape)
  const readers: Reader[] = []
  for (const read of config.reads ?? []) {
    const full: ReadConfig = typeof read === 'string' ? { codec: read } : read
    const { codec, keyring: _keyring, key: _key, previous: _previous, keyRule: _keyRule, ...options } = full
    readers.push({ codec: await openCodec({ codec, ...options }, holds), keyring: readKeyring(name, full, keyrings, world) })
  }
  return new Field({
    name,
    location,
    keyring: keyring.live,
    writes: await openCodec(config.writes ?? 'kt1', holds),
    reads: readers,
    bind: boundColumns(name, config, shape),
    insertedFirst: config.insertedFirst ?? false,
    empty: config.empty ?? 'refuse',
    where: config.where ?? {},
    only: config.only ?? null,
    keyId: config.keyId ?? null,
    keep: config.keep === undefined ? null : keptPattern(config.keep, `fields.${name}.keep`),
    // A key of Redis is most often the id of a session: whoever has it is logged in.
    sensitive: location.store === undefined ? (config.sensitive ?? []) : ['key'],
    was: config.was ?? [],
    ...(world.onEvent === undefined ? {} : { onEvent: world.onEvent }),
  })
}

/** @throws `ERR_UNKNOWN_COLUMN`, or `ERR_CONFIG` for columns that cannot be what they are declared as */
function checkColumns(name: string, { keyId, sensitive = [] }: FieldConfig, shape: TableShape): void {
  const names = shape.columns.map((column) => column.name)
  const columnOf = (wanted: string) => {
    const found = shape.columns.find((column) => column.name === wanted)
    if (found === undefined) throw fail('ERR_UNKNOWN_COLUMN', name, shape.table, wanted, nearest(wanted, names))
    return found
  }
  if (keyId !== undefined && columnOf(keyId).holds !== 'text')
    throw fail('ERR_CONFIG', `fields.${name}.keyId`, `it needs a text column, and "${keyId}" is of type ${columnOf(keyId).type}`)
  for (const [index, column] of sensitive.entries()) {
    columnOf(column)
    if (shape.key.length > 0 && !shape.key.includes(column))
      throw fail(
        'ERR_CONFIG',
        `fields.${name}.sensitive[${index}]`,
        `column "${column}" is not part of the key by which rows are named (${shape.key.join(', ')}): nothing would be hidden`,
      )
  }
}

function boundColumns(name: string, { bind = [], column }: FieldConfig, shape: TableShape | null): BoundColumn[] {
  return bind.map((bound) => {
    if (shape === null) throw fail('ERR_UNKNOWN_TABLE', name, parseReference(column).table, '')
    const found = shape.columns.find((candidate) => candidate.name === bound)
    if (found === undefined) throw fail('ERR_UNKNOWN_COLUMN', name, shape.table, bound, '')
    if (found.boundType === null) {
      throw fail(
        'ERR_BIND_TYPE',
        name,
        bound,
        `values of type ${found.type} have no single spelling. Bind text, integer, uuid, bytea or boolean columns`,
      )
    }
    return { column: bound, type: found.boundType }
  })
}
