import { fail } from '../errors.ts'
import { encryptedColumns } from '../field/by-table.ts'
import { isFenced } from '../rotation/fencing.ts'
import { fenceError, type KeySource, loadedFor } from '../with-fresh-keys.ts'
import { type Args, type GlobalOmit, type Models, modelsOf, type RuntimeDataModel } from './prisma/model.ts'
import { along, openResult, widen } from './prisma/read.ts'
import { assertSearchable } from './prisma/search.ts'
import { sealArgs } from './prisma/write.ts'

export interface PrismaOptions {
  /** Names of the fields to take care of; all whose table has a model unless given. */
  readonly fields?: readonly string[]
}

/** A client that can be extended, by its shape. */
interface Extensible {
  readonly _runtimeDataModel: RuntimeDataModel
  readonly _globalOmit?: GlobalOmit
  $extends(extension: object): unknown
}
type Nothing = Record<never, never>
/** What the types of an extended client are made from: they stay those of the client. */
interface Unchanged {
  readonly $extends: {
    readonly extArgs: { readonly result: Nothing; readonly model: Nothing; readonly query: Nothing; readonly client: Nothing }
  }
}
/** One call of a model. */
interface Call {
  readonly model?: string | undefined
  readonly operation: string
  readonly args: unknown
  readonly query: (args: never) => Promise<unknown>
  readonly __internalParams?: {
    readonly transaction?: unknown
    /** Of `prisma.user.findUnique(…).settings()`: the way to what is given, `['select', 'settings']`. */
    readonly dataPath?: readonly string[]
  }
}

const counting = ['count', 'aggregate', 'groupBy', 'createMany', 'updateMany', 'deleteMany']

/**
 * An extension for Prisma's client: what is written to the columns of the fields is encrypted, what is read is decrypted, also below
 * relations. Models and fields are brought together by the names of tables and columns.
 *
 * - Bound columns must be in the data of what is created, and named in the `where` of what is updated (`ERR_ROW_UNKNOWN`). For reading they are
 *   asked for as well, and taken out of the result.
 * - An encrypted column can be compared with null, and with nothing else (`ERR_NOT_SEARCHABLE`).
 * - A write under a key that the database refuses is encrypted and tried once more; within a transaction it is `ERR_KEY_FENCED`.
 * - Raw queries give and take what is stored.
 *
 * @example
 * import { open } from '@keyturn/core'
 *
 * const keyturn = await open(config, { pool })
 * const extension = prismaExtension(keyturn) // new PrismaClient({ adapter }).$extends(prismaExtension(keyturn))
 * await keyturn.close()
 * @throws `ERR_UNKNOWN_COLUMN`, when a client is extended whose model lacks a column of a field
 */
export default function prismaExtension(keyturn: KeySource, { fields }: PrismaOptions = {}): (client: object) => Unchanged {
  return (client) => {
    const { _runtimeDataModel: dataModel, _globalOmit: omit, $extends } = client as Partial<Extensible>
    if (dataModel === undefined || $extends === undefined)
      throw fail('ERR_USAGE', 'this is not a client of Prisma: give the result to the $extends of one')
    const models = modelsOf(dataModel, encryptedColumns(keyturn, fields), omit)
    assertUsed(models, fields)
    return (client as Extensible).$extends({
      name: 'keyturn',
      query: { $allModels: { $allOperations: (call: Call) => run(keyturn, models, call) } },
    }) as Unchanged
  }
}

async function run(keyturn: KeySource, models: Models, call: Call): Promise<unknown> {
  const { operation, query } = call
  const model = models.get(call.model ?? '')
  const given = (call.args ?? {}) as Args
  if (model === undefined) return await query(given as never)
  assertSearchable(models, model, given)
  const { args, extra } = counting.includes(operation) ? { args: given, extra: null } : widen(models, model, given)
  const attempt = async () => await query((await sealArgs(models, model, operation, args)) as never)
  const result = await attempt().catch(async (error: unknown) => {
    if (isFenced(error) === null) throw error
    await loadedFor(keyturn, error)
    // A transaction is over once the database has refused a statement: whoever began it begins anew.
    if (isInTransaction(call)) throw fenceError(error)
    return await attempt().catch((again: unknown) => {
      throw fenceError(again) ?? again
    })
  })
  const read = extra && along(models, { model, extra }, call.__internalParams?.dataPath ?? [])
  if (read !== null) await openResult(models, read.model, result, read.extra)
  return result
}

function isInTransaction({ __internalParams }: Call): boolean {
  return __internalParams?.transaction !== undefined
}

/** A field whose table has another name in the schema of Prisma would be written in the clear, without a word. */
function assertUsed(models: Models, named: readonly string[] | undefined): void {
  const used = new Set([...models.values()].flatMap(({ encrypted }) => [...encrypted.values()].map(({ field }) => field.name)))
  const missing = named?.find((name) => !used.has(name))
  if (missing !== undefined || used.size === 0)
    throw fail(
      'ERR_USAGE',
      `no model of this client stands for the table of ${missing === undefined ? 'any field' : `field "${missing}"`}. Compare its location with @@map and the name of the model`,
    )
}
