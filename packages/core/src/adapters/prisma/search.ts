import { fail } from '../../errors.ts'
import { type Args, isPlain, listOf, type Model, type Models } from './model.ts'

const junctions = ['AND', 'OR', 'NOT']
const relationFilters = ['some', 'every', 'none', 'is', 'isNot']

/**
 * Looks through everything in a query that compares or sorts. An encrypted column can be asked for null, and nothing else: each
 * encryption of a value is another, so that a search would find nothing and say nothing.
 *
 * @throws `ERR_NOT_SEARCHABLE`
 */
export function assertSearchable(models: Models, model: Model, args: Args): void {
  for (const name of ['where', 'cursor', 'having']) assertWhere(models, model, args[name], name)
  for (const order of listOf(args.orderBy)) assertOrder(models, model, order)
  for (const name of ['distinct', 'by']) for (const field of listOf(args[name])) refuse(model, field, name)
  for (const name of ['_min', '_max']) if (isPlain(args[name])) for (const field in args[name]) refuse(model, field, name)
  for (const part of [args.select, args.include]) if (isPlain(part)) assertParts(models, model, part)
}

/** As `assertSearchable`, of a where clause. */
export function assertWhere(models: Models, model: Model, where: unknown, what: string): void {
  for (const each of listOf(where)) if (isPlain(each)) assertOne(models, model, each, what)
}

function assertOne(models: Models, model: Model, where: Args, what: string): void {
  for (const [name, value] of Object.entries(where)) {
    if (junctions.includes(name)) assertWhere(models, model, value, what)
    else if (model.encrypted.has(name)) {
      if (!asksForNull(value)) refuse(model, name, what)
    } else if (isPlain(value) && !model.scalars.has(name)) {
      const related = models.get(model.relations.get(name) ?? '')
      // What is neither a field nor a relation is a unique key over several fields.
      if (related === undefined) assertOne(models, model, value, what)
      else if (relationFilters.some((filter) => filter in value))
        for (const filter of relationFilters) assertWhere(models, related, value[filter], what)
      else assertOne(models, related, value, what)
    }
  }
}

function asksForNull(value: unknown): boolean {
  if (value === null || value === undefined) return true
  return isPlain(value) && Object.entries(value).every(([how, to]) => ['equals', 'not'].includes(how) && asksForNull(to))
}

function assertOrder(models: Models, model: Model, order: unknown): void {
  if (!isPlain(order)) return
  for (const [name, value] of Object.entries(order)) {
    refuse(model, name, 'orderBy')
    const related = models.get(model.relations.get(name) ?? '')
    if (related !== undefined) assertOrder(models, related, value)
  }
}

function assertParts(models: Models, model: Model, parts: Args): void {
  for (const [name, value] of Object.entries(parts)) {
    const related = models.get(model.relations.get(name) ?? '')
    if (related !== undefined && isPlain(value)) assertSearchable(models, related, value)
    if (name === '_count' && isPlain(value) && isPlain(value.select)) assertParts(models, model, value.select)
  }
}

function refuse(model: Model, name: unknown, what: string): void {
  const encrypted = model.encrypted.get(String(name))
  if (encrypted !== undefined) throw fail('ERR_NOT_SEARCHABLE', encrypted.field.name, `"${what}" of model ${model.name}`)
}
