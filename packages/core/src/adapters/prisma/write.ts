import { isUint8Array } from 'node:util/types'
import { fail } from '../../errors.ts'
import { type Args, type EncryptedField, isPlain, listOf, type Model, type Models } from './model.ts'
import { assertWhere } from './search.ts'

/** A row that is written, as far as the query says which it is. */
interface Row {
  readonly operation: string
  /** What is known of the bound columns. */
  readonly known: Args
  readonly remedy: string
}

const inData = 'Give it in the data: a number from the sequence first, or an id that the application makes'
const inWhere = 'Name the row by it in "where", and change rows one by one'

/** Encrypts what a query writes, also below relations. The arguments given stay as they are. @throws `ERR_ROW_UNKNOWN`, `ERR_USAGE` */
export async function sealArgs(models: Models, model: Model, operation: string, args: Args): Promise<Args> {
  const writer = new Writer(models, operation)
  const sealed: Record<string, unknown> = { ...args }
  if (operation.startsWith('create')) sealed.data = await writer.creations(model, args.data)
  if (operation.startsWith('update')) sealed.data = await writer.update(model, args.data, args.where)
  if (operation === 'upsert') {
    sealed.create = await writer.creations(model, args.create)
    sealed.update = await writer.update(model, args.update, args.where)
  }
  return sealed
}

class Writer {
  readonly #models: Models
  readonly #operation: string

  constructor(models: Models, operation: string) {
    this.#models = models
    this.#operation = operation
  }

  /** One row or many. */
  async creations(model: Model, data: unknown): Promise<unknown> {
    return await each(data, async (row) => {
      return await this.#row(model, row, { operation: `${this.#operation} of model ${model.name}`, known: row, remedy: inData })
    })
  }

  async update(model: Model, data: unknown, where: unknown): Promise<unknown> {
    if (!isPlain(data)) return data
    const pinned = pinnedBy(model, where)
    const operation = `${this.#operation} of model ${model.name}`
    const row = { operation, known: afterUpdate(pinned, data), remedy: inWhere }
    for (const [name, encrypted] of model.encrypted) assertBoundStays({ name, encrypted }, data, pinned, row)
    return await this.#row(model, data, row)
  }

  async #row(model: Model, data: Args, row: Row): Promise<Args> {
    const sealed: Record<string, unknown> = { ...data }
    for (const [name, value] of Object.entries(data)) {
      const encrypted = model.encrypted.get(name)
      const related = this.#models.get(model.relations.get(name) ?? '')
      if (encrypted !== undefined) sealed[name] = await seal(encrypted, value, row)
      else if (related !== undefined && isPlain(value)) sealed[name] = await this.#relation(related, value)
    }
    return sealed
  }

  async #relation(model: Model, operations: Args): Promise<Args> {
    const sealed: Record<string, unknown> = {}
    for (const [name, value] of Object.entries(operations)) sealed[name] = await this.#nested(model, name, value)
    return sealed
  }

  async #nested(model: Model, operation: string, value: unknown): Promise<unknown> {
    const { create, update } = {
      create: (data: unknown) => this.creations(model, data),
      update: (data: unknown, where: unknown) => this.update(model, data, where),
    }
    switch (operation) {
      case 'create':
        return await create(value)
      case 'createMany':
        return isPlain(value) ? { ...value, data: await create(value.data) } : value
      case 'connectOrCreate':
        return await each(value, async (one) => ({ ...this.#checked(model, one), create: await create(one.create) }))
      case 'upsert':
        return await each(value, async (one) => ({
          ...this.#checked(model, one),
          create: await create(one.create),
          update: await update(one.update, one.where),
        }))
      case 'update':
      case 'updateMany':
        return await each(value, async (one) =>
          hasData(model, one) ? { ...this.#checked(model, one), data: await update(one.data, one.where) } : await update(one, undefined),
        )
      default:
        assertWhere(this.#models, model, value, operation)
        return value
    }
  }

  #checked<T extends Args>(model: Model, one: T): T {
    assertWhere(this.#models, model, one.where, 'where')
    return one
  }
}

/** Of a relation to one the data may stand alone, and have a member that is called "data" itself. */
function hasData({ scalars, relations }: Model, one: Args): boolean {
  if (!isPlain(one.data) || Object.keys(one).some((name) => name !== 'where' && name !== 'data')) return false
  const isField = (name: string) => scalars.has(name) || relations.has(name)
  return 'where' in one || !isField('data') || Object.keys(one.data).every(isField)
}

async function each(value: unknown, seal: (one: Args) => Promise<unknown>): Promise<unknown> {
  if (Array.isArray(value)) return await Promise.all(value.map((one) => (isPlain(one) ? seal(one) : one)))
  return isPlain(value) ? await seal(value) : value
}

async function seal({ field, bytes, bound }: EncryptedField, value: unknown, row: Row): Promise<unknown> {
  if (isPlain(value) && 'set' in value) return { ...value, set: await seal({ field, bytes, bound }, value.set, row) }
  if (value === null || isAbsent(value)) return value
  if (typeof value !== 'string' && !isUint8Array(value))
    throw fail('ERR_USAGE', `field "${field.name}": ${row.operation} gives neither text nor bytes`)
  if ((typeof value !== 'string') !== bytes)
    throw fail('ERR_USAGE', `field "${field.name}": ${row.operation} needs ${bytes ? 'bytes' : 'text'}`)
  const values: Record<string, unknown> = {}
  for (const { column, name } of bound) {
    const known = plainValue(row.known[name])
    if (known === undefined || known === null) throw fail('ERR_ROW_UNKNOWN', field.name, column, row.operation, row.remedy)
    values[column] = known
  }
  return await field.encrypt(value, bound.length === 0 ? undefined : values)
}

/** A bound column that changes makes the value unreadable, unless the value is written anew with it. */
function assertBoundStays(
  { name, encrypted: { field, bound } }: { readonly name: string; readonly encrypted: EncryptedField },
  data: Args,
  pinned: Args,
  { operation }: Row,
): void {
  for (const { column, name: boundName } of bound) {
    const next = data[boundName]
    const same = plainValue(next) !== undefined && plainValue(next) === pinned[boundName]
    if (isAbsent(next) || !isAbsent(data[name]) || same) continue
    throw fail(
      'ERR_ROW_UNKNOWN',
      field.name,
      column,
      operation,
      'It changes the column, so that the value would not open: give the value as well',
    )
  }
}

/** What a where clause says that fields of every row it finds are equal to. */
function pinnedBy(model: Model, where: unknown): Args {
  const pinned: Record<string, unknown> = {}
  for (const one of listOf(where).filter(isPlain)) {
    for (const [name, value] of Object.entries(one)) {
      if (name === 'AND') for (const part of listOf(value)) Object.assign(pinned, pinnedBy(model, part))
      else if (model.scalars.has(name)) {
        const equal = isPlain(value) ? (value.mode === 'insensitive' ? undefined : value.equals) : value
        if (!isAbsent(equal)) pinned[name] = equal
      } else if (isPlain(value) && !model.relations.has(name) && name !== 'OR' && name !== 'NOT')
        Object.assign(pinned, pinnedBy(model, value))
    }
  }
  return pinned
}

/** What fields hold after an update; nothing is known of those that the database computes. */
function afterUpdate(pinned: Args, data: Args): Args {
  const known: Record<string, unknown> = { ...pinned }
  for (const [name, value] of Object.entries(data)) if (!isAbsent(value)) known[name] = plainValue(value)
  return known
}

/** `5` and `{ set: 5 }`; undefined for what the database computes. */
function plainValue(value: unknown): unknown {
  return isPlain(value) ? value.set : value
}

/** `undefined`, and `Prisma.skip`, which is known by its method. */
function isAbsent(value: unknown): boolean {
  return value === undefined || (typeof value === 'object' && value !== null && 'ifUndefined' in value)
}
