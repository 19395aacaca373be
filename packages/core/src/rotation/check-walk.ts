import { nearest, nearestNames } from '../config/nearest.ts'
import { fail } from '../errors.ts'
import type { Field } from '../field/field.ts'
import { printReference } from '../field/reference.ts'
import type { ColumnShape, Database, Holds, TableShape } from './database.ts'
import { sealedForAMoment } from './for-a-moment.ts'

/** What keeps a field from being walked is refused here, before anything is read: its table, its column, what it is bound to. */

/** @throws UsageError where a field's table is missing or cannot be walked */
export async function checkTable(database: Database, field: Field, shape: TableShape | null): Promise<TableShape> {
  const { schema, table } = field.location
  const wanted = schema === null ? table : `${schema}.${table}`
  if (shape === null) throw fail('ERR_UNKNOWN_TABLE', field.name, wanted, await nearestTable(database, wanted, table))
  if (shape.kind !== 'table') throw fail('ERR_NOT_A_TABLE', field.name, wanted, shape.kind)
  if (shape.key.length === 0) throw fail('ERR_NO_UNIQUE_KEY', wanted)
  const [missing] = shape.missingPrivileges
  if (missing !== undefined) throw fail('ERR_PRIVILEGE', missing, `table "${wanted}"`)
  return shape
}

/** Tables on the search path are listed without their schema: also the bare name is looked for. */
async function nearestTable(database: Database, wanted: string, table: string): Promise<string> {
  const names = await database.tables()
  return nearest(nearestNames(wanted, names).length > 0 ? wanted : table, names)
}

/** @param others - fields of the same table that were checked before. @throws UsageError where a field's columns do not fit it */
export function checkColumn(field: Field, shape: TableShape, others: readonly Field[]): void {
  const { column, path } = field.location
  const found = known(field, shape, column)
  if (found.holds === null) throw fail('ERR_COLUMN_TYPE', field.name, printReference(field.location), found.type)
  if (found.holds === 'bytes' && path !== undefined)
    throw fail('ERR_COLUMN_TYPE', field.name, printReference(field.location), `${found.type}, in which no document stands`)
  checkKind(field, found.holds)
  for (const other of others) {
    if (other.location.column === column) checkShared(field, other)
    if (other.keyId === column) throw fail('ERR_CONFIG', `field "${field.name}"`, `its column holds the key ids of field "${other.name}"`)
  }
  if (field.keyId !== null) checkKeyId(field, shape, others)
  for (const { column: boundColumn, type } of field.bind) {
    const why = whyNotBound(known(field, shape, boundColumn), type, field)
    if (why !== null) throw fail('ERR_BIND_TYPE', field.name, boundColumn, why)
  }
}

/**
 * What is written comes back as it was only in a column of its own kind: text in a column of bytes is read as bytes, in which the format
 * finds nothing that it wrote.
 */
function checkKind(field: Field, holds: Holds): void {
  const written = writtenAs(field)
  if (written === null || written === (holds === 'bytes' ? 'bytes' : 'text')) return
  const place = field.location.path !== undefined || isDocument(holds) ? 'document' : 'column'
  const wrong = `its ${place} holds ${holds === 'bytes' ? 'bytes' : 'text'}, and the format "${field.writes.name}" writes ${written}`
  throw fail('ERR_CONFIG', `field "${field.name}"`, `${wrong}. Choose an encoding of it, or a format, that fits`)
}

/** Null for a codec that does not take everything: what it writes is seen when it does. */
function writtenAs(field: Field): 'text' | 'bytes' | null {
  try {
    return typeof sealedForAMoment(field, Buffer.from('x'), []) === 'string' ? 'text' : 'bytes'
  } catch {
    return null
  }
}

const isDocument = (holds: Holds): boolean => holds === 'json' || holds === 'jsonb'

function known(field: Field, shape: TableShape, column: string): ColumnShape {
  const found = columnOf(shape, column)
  if (found !== undefined) return found
  const names = shape.columns.map(({ name }) => name)
  throw fail('ERR_UNKNOWN_COLUMN', field.name, field.location.table, column, nearest(column, names))
}

/** Two fields may share a document, at different places. Conditions that tell the same path apart are looked at value by value. */
function checkShared(field: Field, other: Field): void {
  const places = [field, other].map(({ location, where }) => JSON.stringify([location.path ?? [], Object.entries(where).sort()]))
  const whole = (field.location.path === undefined) !== (other.location.path === undefined)
  if (whole || places[0] === places[1])
    throw fail('ERR_CONFIG', `field "${field.name}"`, `it stands where field "${other.name}" does: ${printReference(field.location)}`)
}

/** What a key id is at least: those that Keyturn makes have eight characters. */
const keyIdLength = 8

function checkKeyId(field: Field, shape: TableShape, others: readonly Field[]): void {
  const column = field.keyId as string
  const found = known(field, shape, column)
  const wrong = (what: string) => fail('ERR_CONFIG', `field "${field.name}", keyId "${column}"`, what)
  if (found.holds !== 'text') throw fail('ERR_COLUMN_TYPE', field.name, column, found.type)
  const needed = Math.max(keyIdLength, field.keyring.snapshot.active.id.length)
  if (found.maxLength !== null && found.maxLength < needed) throw fail('ERR_COLUMN_TOO_SHORT', field.name, column, found.maxLength, needed)
  if ([field, ...others].some(({ location }) => location.column === column)) throw wrong('values stand in that column')
  if (field.bind.some((bound) => bound.column === column)) throw wrong('a rotation changes it, so nothing can be bound to it')
  const other = others.find((each) => each.keyId === column && each.keyring !== field.keyring)
  if (other !== undefined) throw wrong(`field "${other.name}" has its key ids there and another keyring. Give each its own column`)
}

/**
 * Of values that have their key id in one column all change or none: rotated alone, one of them would take from the others the only word
 * about their key.
 *
 * @param all - every field of the configuration
 * @throws `ERR_USAGE`
 */
export function assertKeyIdsWhole(chosen: readonly Field[], all: readonly Field[]): void {
  for (const field of chosen.filter(({ keyId }) => keyId !== null)) {
    const left = all.find((other) => other.keyId === field.keyId && !chosen.includes(other) && sameTable(field, other))
    if (left !== undefined)
      throw fail(
        'ERR_USAGE',
        `fields "${field.name}" and "${left.name}" have their key ids in one column ("${field.keyId}"): rotate them together`,
      )
  }
}

/** A schema that is not named may be any: then the fields are taken together once too often. */
function sameTable({ location: a }: Field, { location: b }: Field): boolean {
  return a.table === b.table && (a.schema === null || b.schema === null || a.schema === b.schema)
}

/** What keeps a column from being bound to, in words; null if nothing does. */
function whyNotBound(column: ColumnShape, type: string, field: Field): string | null {
  if (column.name === field.location.column) return 'a value cannot be bound to itself'
  if (column.boundType === null)
    return `values of type ${column.type} have no single spelling. Bind text, integer, uuid, bytea or boolean columns`
  if (column.boundType !== type) return `it is of type ${column.type} and declared as ${type}`
  if (column.nullable) return 'it may be NULL. Make it NOT NULL first'
  if (column.assigned && !field.insertedFirst) {
    return 'the database assigns it at insert, when the value is encrypted already. Insert the row first, then update it, and declare insertedFirst: true (--inserted-first)'
  }
  return null
}

export function columnOf(shape: TableShape, column: string): ColumnShape | undefined {
  return shape.columns.find(({ name }) => name === column)
}
