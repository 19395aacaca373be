import { isUint8Array } from 'node:util/types'
import { fail } from '../errors.ts'
import { encryptedColumns } from '../field/by-table.ts'
import type { Field } from '../field/field.ts'
import type { KeySource } from '../with-fresh-keys.ts'

/** What is needed of TypeORM's metadata, by its shape. */
interface ColumnMetadata {
  readonly databaseName: string
  readonly isGenerated?: boolean
  readonly generationStrategy?: string | undefined
  getEntityValue(entity: object): unknown
  setEntityValue(entity: object, value: unknown): void
}
interface EntityMetadata {
  readonly name: string
  readonly schema?: string | undefined
  readonly tableName: string
  /** `entity-child` for one of several entities that share a table. */
  readonly tableType?: string
  readonly columns: readonly ColumnMetadata[]
}
interface LoadEvent {
  readonly metadata: EntityMetadata
}
interface WriteEvent {
  readonly metadata: EntityMetadata
  readonly entity?: object | undefined
}
interface UpdateEvent extends WriteEvent {
  readonly databaseEntity?: object | undefined
  readonly updatedColumns: readonly ColumnMetadata[]
}

/** What TypeORM calls; give it to `dataSource.subscribers.push`. */
export interface FieldSubscriber {
  afterLoad(entity: object, event?: LoadEvent): Promise<void>
  beforeInsert(event: WriteEvent): Promise<void>
  afterInsert(event: WriteEvent): void
  beforeUpdate(event: UpdateEvent): Promise<void>
  afterUpdate(event: WriteEvent): void
}
export interface TypeormOptions {
  /** Names of the fields to take care of; all whose table has an entity unless given. */
  readonly fields?: readonly string[]
}

/** A column of an entity that is encrypted, and the columns that it is bound to. */
interface Encrypted {
  readonly field: Field
  readonly own: ColumnMetadata
  readonly bound: readonly { readonly column: string; readonly from: ColumnMetadata }[]
}
/** What stands in an entity for a moment, and what it stands for. */
interface Standing {
  readonly stored: unknown
  readonly plain: unknown
}

/**
 * A subscriber for TypeORM: entities are encrypted when they are saved and decrypted when they are loaded, also below relations. A
 * transformer of a column could do neither for a bound field, since it does not see the row, nor wait for a key; and it would write every value anew
 * at each save, because each encryption is another.
 *
 * - The bound columns must be known: in the entity that is inserted (`ERR_ROW_UNKNOWN` for ids that the database assigns), in the one that is
 *   updated or what was loaded of it. `repository.update(id, …)` says nothing of the row: load and save, for bound fields.
 * - A condition on the column finds nothing but NULL. `getRawMany` and SQL give and take what is stored.
 * - Where the database refuses a retired key, `withFreshKeys` around the save loads the new one and saves again.
 * - A save that fails leaves the ciphertext in the entity; saved again, it is the plaintext that is encrypted.
 *
 * @example
 * import { open } from '@keyturn/core'
 *
 * const keyturn = await open(config, { pool })
 * const subscriber = typeormSubscriber(keyturn) // dataSource.subscribers.push(subscriber)
 * await keyturn.close()
 */
export default function typeormSubscriber(keyturn: KeySource, { fields }: TypeormOptions = {}): FieldSubscriber {
  const columnsOf = encryptedColumns(keyturn, fields)
  const known = new WeakMap<EntityMetadata, readonly Encrypted[]>()
  const encryptedOf = (metadata: EntityMetadata): readonly Encrypted[] => {
    const before = known.get(metadata)
    if (before !== undefined) return before
    // Of entities that share a table each has some of its columns.
    const isOwn = (name: string) =>
      metadata.tableType !== 'entity-child' || metadata.columns.some(({ databaseName }) => databaseName === name)
    const columns = columnsOf(metadata.schema, metadata.tableName).filter(({ column }) => isOwn(column))
    const found = columns.map(({ column, field }) => join(metadata, column, field))
    known.set(metadata, found)
    return found
  }
  const standing = new WeakMap<object, Map<ColumnMetadata, Standing>>()
  const put = (entity: object, column: ColumnMetadata, { stored, plain }: Standing, value: unknown) => {
    standing.set(entity, (standing.get(entity) ?? new Map()).set(column, { stored, plain }))
    column.setEntityValue(entity, value)
  }

  /** Puts the ciphertext into the entity, to be written. */
  const seal = async (entity: object, encrypted: Encrypted, row: readonly object[], operation: string) => {
    const { field, own } = encrypted
    const value = own.getEntityValue(entity)
    const before = standing.get(entity)?.get(own)
    // What a save that failed has left here was encrypted once.
    const plain = before !== undefined && before.stored === value ? before.plain : value
    if (plain === null || plain === undefined) return
    // Expressions of SQL are functions here: what the database computes is not encrypted.
    if (typeof plain !== 'string' && !isUint8Array(plain))
      throw fail('ERR_USAGE', `field "${field.name}": ${operation} gives neither text nor bytes`)
    const sealed = await field.encrypt(plain, boundOf(encrypted, row, operation))
    const stored = isUint8Array(sealed) ? Buffer.from(sealed) : sealed
    put(entity, own, { stored, plain }, stored)
  }
  const unseal = ({ entity, metadata }: WriteEvent) => {
    if (entity === undefined) return
    for (const { own } of encryptedOf(metadata)) {
      const before = standing.get(entity)?.get(own)
      if (before !== undefined && own.getEntityValue(entity) === before.stored) own.setEntityValue(entity, before.plain)
    }
  }

  return {
    afterLoad: async (entity, event) => {
      if (event === undefined) return
      for (const encrypted of encryptedOf(event.metadata)) {
        const { field, own } = encrypted
        const stored = own.getEntityValue(entity)
        if ((typeof stored !== 'string' && !isUint8Array(stored)) || field.isKept(stored)) continue
        // TypeORM tells of an entity once for each way that leads to it.
        if (standing.get(entity)?.get(own)?.plain === stored) continue
        const bound = boundOf(encrypted, [entity], `what was loaded of ${event.metadata.name}`)
        const plain = isUint8Array(stored) ? Buffer.from(await field.decryptBytes(stored, bound)) : await field.decrypt(stored, bound)
        // While it was opened another call may have done the same.
        if (own.getEntityValue(entity) === stored) put(entity, own, { stored, plain }, plain)
      }
    },
    beforeInsert: async ({ entity, metadata }) => {
      if (entity === undefined) return
      for (const encrypted of encryptedOf(metadata)) {
        const operation = `an insert of ${metadata.name}`
        if (encrypted.own.getEntityValue(entity) != null) assertAssigned(encrypted, operation)
        await seal(entity, encrypted, [entity], operation)
      }
    },
    beforeUpdate: async ({ entity, metadata, databaseEntity, updatedColumns }) => {
      if (entity === undefined) return
      const operation = `an update of ${metadata.name}`
      for (const encrypted of encryptedOf(metadata)) {
        const { own } = encrypted
        assertBoundStays(encrypted, entity, databaseEntity, operation)
        // A query builder does not say what has changed: all that it sets. What listeners have set meanwhile is not among the columns.
        const isWritten = databaseEntity === undefined || updatedColumns.includes(own) || isChanged(own, entity, databaseEntity)
        if (isWritten) await seal(entity, encrypted, databaseEntity === undefined ? [entity] : [entity, databaseEntity], operation)
      }
    },
    afterInsert: unseal,
    afterUpdate: unseal,
  }
}

function join({ tableName, name, columns }: EntityMetadata, column: string, field: Field): Encrypted {
  const find = (column: string): ColumnMetadata => {
    const found = columns.find(({ databaseName }) => databaseName === column)
    if (found === undefined) throw fail('ERR_UNKNOWN_COLUMN', field.name, `${tableName} (entity ${name})`, column, '')
    return found
  }
  return { field, own: find(column), bound: field.bind.map(({ column }) => ({ column, from: find(column) })) }
}

const remedy = 'Save the entity without the value first, then with it, in one transaction; to change one, load it and save it'

function boundOf({ field, bound }: Encrypted, row: readonly object[], operation: string): Record<string, unknown> | undefined {
  if (bound.length === 0) return undefined
  const values: Record<string, unknown> = {}
  for (const { column, from } of bound) {
    const value = row.map((entity) => from.getEntityValue(entity)).find((value) => value !== undefined)
    if (value === undefined || value === null) throw fail('ERR_ROW_UNKNOWN', field.name, column, operation, remedy)
    values[column] = value
  }
  return values
}

/** An id that the database counts up: TypeORM inserts the next one, whatever stands in the entity. */
function assertAssigned({ field, bound }: Encrypted, operation: string): void {
  for (const { column, from } of bound) {
    if (from.isGenerated && from.generationStrategy !== 'uuid') throw fail('ERR_ROW_UNKNOWN', field.name, column, operation, remedy)
  }
}

/** Whether a save writes another value of a column than it was loaded with. */
function isChanged(column: ColumnMetadata, entity: object, before: object): boolean {
  const [value, old] = [column.getEntityValue(entity), column.getEntityValue(before)]
  if (value === undefined || value === old) return false
  return !(isUint8Array(value) && isUint8Array(old) && Buffer.compare(value, old) === 0)
}

/** A bound column that changes makes the value unreadable, unless the value is written anew with it. */
function assertBoundStays({ field, own, bound }: Encrypted, entity: object, before: object | undefined, operation: string): void {
  const isGiven = before === undefined ? own.getEntityValue(entity) !== undefined : isChanged(own, entity, before)
  if (isGiven || (before !== undefined && own.getEntityValue(before) === null)) return
  for (const { column, from } of bound) {
    // Of the rows of a query builder nothing is known, not even whether the column changes.
    const changes = before === undefined ? from.getEntityValue(entity) !== undefined : isChanged(from, entity, before)
    if (!changes) continue
    throw fail(
      'ERR_ROW_UNKNOWN',
      field.name,
      column,
      operation,
      'It changes the column, so that the value would not open: give the value as well',
    )
  }
}
