import { isUint8Array } from 'node:util/types'
import { fail, isKeyturnError } from '../../errors.ts'
import { type Args, type EncryptedField, isPlain, type Model, type Models } from './model.ts'

/** What a query gets beyond what was asked for: taken out again of each row. */
export interface Extra {
  readonly names: readonly string[]
  readonly relations: ReadonlyMap<string, Extra>
}
const nothing: Extra = { names: [], relations: new Map() }

/** Asks for the bound columns of each encrypted field that is asked for, also below relations. The arguments given stay as they are. */
export function widen(models: Models, model: Model, args: Args): { readonly args: Args; readonly extra: Extra } {
  const widened: Record<string, unknown> = { ...args }
  const relations = new Map<string, Extra>()
  for (const part of ['select', 'include']) {
    const parts = args[part]
    if (!isPlain(parts)) continue
    const next: Record<string, unknown> = { ...parts }
    for (const [name, value] of Object.entries(parts)) {
      const related = models.get(model.relations.get(name) ?? '')
      const given = value === true && related !== undefined && related.omitted.size > 0 ? {} : value
      if (related === undefined || !isPlain(given)) continue
      const below = widen(models, related, given)
      next[name] = below.args
      relations.set(name, below.extra)
    }
    widened[part] = next
  }
  const names: string[] = []
  const [select, omit] = [widened.select, isPlain(args.omit) ? args.omit : {}]
  const isAsked = (name: string) =>
    isPlain(select) ? select[name] === true : typeof omit[name] === 'boolean' ? !omit[name] : !model.omitted.has(name)
  for (const [name, { bound }] of model.encrypted) {
    if (!isAsked(name)) continue
    for (const each of bound) {
      if (isAsked(each.name)) continue
      if (isPlain(select)) widened.select = { ...(widened.select as Args), [each.name]: true }
      else widened.omit = { ...(widened.omit as Args), [each.name]: false }
      if (!names.includes(each.name)) names.push(each.name)
    }
  }
  return { args: widened, extra: names.length === 0 && relations.size === 0 ? nothing : { names, relations } }
}

/** What is read where a call gives not the row that it finds but what is related to it; null for a model without encrypted fields. */
export function along(models: Models, read: { readonly model: Model; readonly extra: Extra }, path: readonly string[]): typeof read | null {
  let { model, extra } = read
  // Each second step is `select` or `include`.
  for (const name of path.filter((_, index) => index % 2 === 1)) {
    const next = models.get(model.relations.get(name) ?? '')
    if (next === undefined) return null
    model = next
    extra = extra.relations.get(name) ?? nothing
  }
  return { model, extra }
}

/** Opens every encrypted field of a result, in place, also below relations. @throws what `decrypt` throws */
export async function openResult(models: Models, model: Model, result: unknown, extra: Extra): Promise<void> {
  const waiting: Promise<void>[] = []
  openRows(models, model, result, extra, waiting)
  if (waiting.length > 0) await Promise.all(waiting)
}

function openRows(models: Models, model: Model, result: unknown, extra: Extra, waiting: Promise<void>[]): void {
  if (Array.isArray(result)) for (const row of result) openRows(models, model, row, extra, waiting)
  else if (typeof result === 'object' && result !== null) openRow(models, model, result as Record<string, unknown>, extra, waiting)
}

function openRow(models: Models, model: Model, row: Record<string, unknown>, extra: Extra, waiting: Promise<void>[]): void {
  for (const [name, encrypted] of model.encrypted) {
    const stored = row[name]
    if (typeof stored === 'string' || isUint8Array(stored)) openValue(row, name, encrypted, stored, waiting)
  }
  for (const [name, to] of model.relations) {
    const related = models.get(to)
    if (related !== undefined && row[name] != null) openRows(models, related, row[name], extra.relations.get(name) ?? nothing, waiting)
  }
  for (const name of extra.names) delete row[name]
}

function openValue(
  row: Record<string, unknown>,
  name: string,
  { field, bytes, bound }: EncryptedField,
  stored: string | Uint8Array,
  waiting: Promise<void>[],
): void {
  if (field.isKept(stored)) return
  const values: Record<string, unknown> = {}
  for (const each of bound) {
    if (row[each.name] === undefined) throw fail('ERR_ROW_UNKNOWN', field.name, each.column, 'the result', 'Ask for it as well')
    values[each.column] = row[each.name]
  }
  const context = bound.length === 0 ? undefined : values
  try {
    row[name] = bytes ? field.decryptBytesSync(stored, context) : field.decryptSync(stored, context)
  } catch (error) {
    if (!isKeyturnError(error, 'ERR_KEY_NOT_LOADED')) throw error
    // Only a value under a key that is new here waits.
    const opened = bytes ? field.decryptBytes(stored, context) : field.decrypt(stored, context)
    waiting.push(
      opened.then((plain) => {
        row[name] = plain
      }),
    )
  }
}
