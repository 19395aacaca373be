import { fail } from '../errors.ts'
import type { Config, StoredKeyringConfig } from './config.ts'
import { crossCheck } from './cross-check.ts'
import { nearest } from './nearest.ts'
import { type Schema, schema } from './schema.ts'

/**
 * Checks a configuration, however it was made, against the schema and against itself.
 *
 * Nothing is read: whether variables are set and tables exist is found when it is opened. A message names the path and what was
 * expected there, never what stood there: it may be a key that was put in the wrong place.
 *
 * @returns the same object
 * @throws `ERR_CONFIG`: `the configuration is wrong at fields.jira.token.reads[0].key: expected { "env": "NAME" } …, found text`
 */
export function validateConfig(value: unknown): Config {
  const fault = check(value, schema, '')
  if (fault !== null) throw fail('ERR_CONFIG', fault.path === '' ? 'the top' : fault.path, fault.sentence)
  const config = value as Config
  crossCheck(config)
  for (const [name, keyring] of Object.entries(config.keyrings)) if ('root' in keyring) checkRoots(keyring.root, `keyrings.${name}.root`)
  return config
}

/** Options of key wrappers are theirs to check, except where they name a secret: a passphrase in place of its variable is not printed. */
function checkRoots(given: StoredKeyringConfig['root'], path: string): void {
  const roots: readonly object[] = Array.isArray(given) ? given : [given]
  for (const [index, root] of roots.entries()) {
    const at = Array.isArray(given) ? `${path}[${index}]` : path
    for (const [option, value] of Object.entries(root)) {
      const names = isObject(value) && (Object.hasOwn(value, 'env') || Object.hasOwn(value, 'file'))
      const fault = names ? check(value, schema.$defs.secret ?? {}, `${at}.${option}`) : null
      if (fault !== null) throw fail('ERR_CONFIG', fault.path, fault.sentence)
    }
  }
}

interface Fault {
  readonly path: string
  readonly sentence: string
}

/** What a value is, in words. */
function kindOf(value: unknown): string {
  if (value === null || value === undefined) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  return words[typeof value] ?? 'something else'
}
const words: Record<string, string> = {
  string: 'text',
  number: 'a number',
  bigint: 'a number',
  boolean: 'true or false',
  object: 'an object',
  function: 'a function',
}

const types: Record<NonNullable<Schema['type']>, { readonly words: string; readonly is: (value: unknown) => boolean }> = {
  object: { words: 'an object', is: isObject },
  array: { words: 'a list', is: Array.isArray },
  string: { words: 'text', is: (value) => typeof value === 'string' },
  integer: { words: 'a whole number', is: Number.isSafeInteger },
  number: { words: 'a number', is: Number.isFinite },
  null: { words: 'null', is: (value) => value === null },
  boolean: { words: 'true or false', is: (value) => typeof value === 'boolean' },
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function resolve(part: Schema): Schema {
  if (part.$ref === undefined) return part
  return {
    ...schema.$defs[part.$ref.slice('#/$defs/'.length)],
    ...(part.description === undefined ? {} : { description: part.description }),
  }
}

function check(value: unknown, unresolved: Schema, path: string): Fault | null {
  const part = resolve(unresolved)
  if (part.anyOf !== undefined) return checkAny(value, part, path)
  if (part.enum !== undefined) return checkEnum(value, part.enum, path)
  if (part.type === undefined) return null
  const type = types[part.type]
  if (!type.is(value)) return expected(path, part.type === 'string' ? (part.description ?? type.words) : type.words, value)
  if (isObject(value)) return checkObject(value, part, path)
  if (Array.isArray(value)) return checkList(value, part, path)
  if (typeof value === 'number') return checkNumber(value, part, path)
  if (typeof value === 'string' && part.pattern !== undefined && !new RegExp(part.pattern, 'u').test(value)) {
    return { path, sentence: `expected ${part.description ?? `text that matches ${part.pattern}`}` }
  }
  return null
}

const expected = (path: string, what: string, value: unknown): Fault => ({ path, sentence: `expected ${what}, found ${kindOf(value)}` })

function checkEnum(value: unknown, allowed: readonly string[], path: string): Fault | null {
  if (typeof value === 'string' && allowed.includes(value)) return null
  const hint = typeof value === 'string' ? nearest(value, allowed).replace(/^\. There (is|are) .*/, '') : `, found ${kindOf(value)}`
  return { path, sentence: `expected one of ${allowed.map((word) => `"${word}"`).join(', ')}${hint}` }
}

function checkNumber(value: number, { minimum = -Infinity, maximum = Infinity }: Schema, path: string): Fault | null {
  return value >= minimum && value <= maximum ? null : { path, sentence: `expected a number from ${minimum} to ${maximum}` }
}

function checkList(value: readonly unknown[], part: Schema, path: string): Fault | null {
  if (value.length < (part.minItems ?? 0)) return { path, sentence: `expected at least ${part.minItems}, found none` }
  for (const [index, item] of value.entries()) {
    const fault = part.items === undefined ? null : check(item, part.items, `${path}[${index}]`)
    if (fault !== null) return fault
    if (part.uniqueItems === true && value.indexOf(item) < index)
      return { path: `${path}[${index}]`, sentence: 'it stands in the list twice' }
  }
  return null
}

function checkObject(value: Record<string, unknown>, part: Schema, path: string): Fault | null {
  const { properties = {}, required = [], additionalProperties = true, propertyNames } = part
  for (const [name, item] of Object.entries(value)) {
    const inner = path === '' ? name : `${path}.${name}`
    const known = Object.hasOwn(properties, name) ? properties[name] : undefined
    if (known === undefined && additionalProperties === false) {
      return { path: inner, sentence: `there is no property "${name}" here${nearest(name, Object.keys(properties))}` }
    }
    if (propertyNames !== undefined && !new RegExp(propertyNames.pattern, 'u').test(name)) {
      return { path: inner, sentence: `expected ${propertyNames.description}` }
    }
    // A property that is there and undefined, as TypeScript programs make them, is one that is not there.
    if (item === undefined && !required.includes(name)) continue
    const fault = check(item, known ?? (typeof additionalProperties === 'object' ? additionalProperties : {}), inner)
    if (fault !== null) return fault
  }
  const missing = required.find((name) => !Object.hasOwn(value, name))
  return missing === undefined ? null : { path: path === '' ? 'the top' : path, sentence: `the property "${missing}" is missing` }
}

/** Of several shapes the one that was meant: of the same type, and with most of the properties that mark it. */
function checkAny(value: unknown, part: Schema, path: string): Fault | null {
  const branches = (part.anyOf ?? []).map(resolve)
  const faults = branches.map((branch) => ({ branch, fault: check(value, branch, path) }))
  if (faults.some(({ fault }) => fault === null)) return null
  const meant = faults.find(({ branch }) => resembles(value, branch))
  if (meant !== undefined) return meant.fault
  const fault = expected(path, part.description ?? 'something else', value)
  if (!isObject(value)) return fault
  const [first] = Object.keys(value)
  const known = branches.flatMap(({ properties = {} }) => Object.keys(properties))
  return first === undefined ? fault : { path, sentence: `${fault.sentence} with "${first}"${nearest(first, known)}` }
}

function resembles(value: unknown, branch: Schema): boolean {
  if (branch.anyOf !== undefined) return branch.anyOf.some((inner) => resembles(value, resolve(inner)))
  if (branch.type === undefined || !types[branch.type].is(value)) return false
  return !isObject(value) || (branch.required ?? []).some((name) => Object.hasOwn(value, name))
}
