import { fail } from '../errors.ts'
import { keptPattern } from '../field/kept.ts'
import type { Location } from '../field/location.ts'
import { parseReference } from '../field/reference.ts'
import { checkSigning } from './check-signing.ts'
import type { Config, FieldConfig, ReadConfig } from './config.ts'
import { nearest, nearestNames } from './nearest.ts'
import { assertApart, type Place } from './places.ts'
import { schema } from './schema.ts'

/**
 * Checks what a schema cannot say: names that must exist, properties that exclude each other.
 *
 * @throws `ERR_CONFIG`
 */
export function crossCheck(config: Config): void {
  const places: Place[] = []
  for (const [name, field] of Object.entries(config.fields)) {
    const path = `fields.${name}`
    keyringExists(config, field.keyring, `${path}.keyring`)
    if ('table' in (config.keyrings[field.keyring] ?? {}))
      throw fail('ERR_CONFIG', `${path}.keyring`, 'keys in a table of the application only decrypt. Name that keyring in "reads"')
    const location = locationOf(field, `${path}.column`)
    places.push({ name, keyring: field.keyring, location, where: field.where ?? {}, keyId: field.keyId ?? null, bind: field.bind ?? [] })
    checkWrites(field, path)
    checkField(config, name, field, location)
    for (const [index, read] of (field.reads ?? []).entries()) {
      if (typeof read !== 'string') checkRead(config, read, `${path}.reads[${index}]`)
    }
  }
  assertApart(places)
  checkSigning(config)
}

function locationOf({ column }: FieldConfig, path: string): Location {
  try {
    return parseReference(column)
  } catch (error) {
    throw fail('ERR_CONFIG', path, error instanceof Error ? error.message : 'it does not name a column')
  }
}

function checkField(config: Config, name: string, field: FieldConfig, location: Location): void {
  const path = `fields.${name}`
  if (location.store !== undefined) checkInRedis(field, path)
  if (Object.keys(field.where ?? {}).length > 0 && !location.path?.length)
    throw fail(
      'ERR_CONFIG',
      `${path}.where`,
      'it speaks of members beside a value inside a document: the column needs a path, as in "table.column:/keys/*"',
    )
  if (Object.keys(field.where ?? {}).length > 0 && location.path?.includes(true))
    throw fail('ERR_CONFIG', `${path}.where`, 'it speaks of members beside a value, and a path that ends in ** has values at every depth')
  if (field.only !== undefined && location.path === undefined)
    throw fail(
      'ERR_CONFIG',
      `${path}.only`,
      'it chooses among the strings of a document: the column needs a path, as in "table.column:/**"',
    )
  if (field.only !== undefined && (field.reads ?? []).some((read) => (typeof read === 'string' ? read : read.codec) === 'plain'))
    throw fail('ERR_CONFIG', `${path}.only`, 'it takes only what is encrypted, and the field reads plain text. Leave out one of the two')
  if (location.path !== undefined && typeof field.writes === 'object' && field.writes.encoding === 'bytes')
    throw fail('ERR_CONFIG', `${path}.writes.encoding`, 'a value inside a document is text')
  if (field.keep !== undefined) keptPattern(field.keep, `${path}.keep`)
  for (const [index, was] of (field.was ?? []).entries()) {
    if (was === name) throw fail('ERR_CONFIG', `${path}.was[${index}]`, 'it is the name that the field has')
    if (Object.hasOwn(config.fields, was))
      throw fail('ERR_CONFIG', `${path}.was[${index}]`, `field "${was}" has that name. Its values would open in this one`)
  }
  if (field.keyId !== undefined) checkKeyId(config, field, location, `${path}.keyId`)
}

/** A key of Redis has its value and nothing beside it. */
function checkInRedis({ keyId, bind = [], insertedFirst, sensitive }: FieldConfig, path: string): void {
  if (keyId !== undefined) throw fail('ERR_CONFIG', `${path}.keyId`, 'beside a value in Redis there is no column')
  if (insertedFirst !== undefined)
    throw fail('ERR_CONFIG', `${path}.insertedFirst`, 'a key of Redis is known before its value is encrypted')
  if (sensitive !== undefined) throw fail('ERR_CONFIG', `${path}.sensitive`, 'keys of Redis are never shown, whatever is declared')
  if (bind.some((column) => column !== 'key'))
    throw fail('ERR_CONFIG', `${path}.bind`, 'a value in Redis can be bound to its "key" and to nothing else')
}

function checkKeyId(config: Config, { keyId, keyring, writes = 'kt1', bind = [] }: FieldConfig, location: Location, path: string): void {
  const refuse = (sentence: string) => fail('ERR_CONFIG', path, sentence)
  if (location.path !== undefined) throw refuse('a column of key ids belongs to a whole column, not to a place inside a document')
  if (keyId === location.column) throw refuse('it is the column of the values themselves')
  if ((typeof writes === 'string' ? writes : writes.codec) === 'kt1')
    throw refuse('values of the format kt1, which the field writes, name their key themselves. Leave one of the two out')
  if (bind.includes(keyId ?? '')) throw refuse('the field is bound to it, and it changes in each rotation')
  if (!('root' in (config.keyrings[keyring] ?? {})))
    throw refuse(
      'it needs a keyring that Keyturn keeps: ids of keys from the environment are derived from the keys and would help to guess them',
    )
}

function keyringExists(config: Config, keyring: string, path: string): void {
  if (Object.hasOwn(config.keyrings, keyring)) return
  throw fail('ERR_CONFIG', path, `there is no keyring "${keyring}"${nearest(keyring, Object.keys(config.keyrings))}`)
}

function checkWrites({ writes }: FieldConfig, path: string): void {
  if (typeof writes !== 'object') return
  const { codec, ...options } = writes
  checkOptions(codec, Object.keys(options), `${path}.writes`)
  const foreign = ['key', 'keyring', 'previous', 'keyRule'].find((name) => Object.hasOwn(options, name))
  if (foreign !== undefined)
    throw fail(
      'ERR_CONFIG',
      `${path}.writes.${foreign}`,
      'a field writes with the keyring that it names. Only what it reads has keys of its own',
    )
}

function checkRead(config: Config, read: ReadConfig, path: string): void {
  const { codec, keyring, key, previous, keyRule, ...options } = read
  const keyNames = { key, previous, keyRule }
  const given = Object.entries(keyNames).find(([, value]) => value !== undefined)?.[0]
  if (keyring !== undefined) {
    keyringExists(config, keyring, `${path}.keyring`)
    if (given !== undefined)
      throw fail('ERR_CONFIG', `${path}.${given}`, 'its keys are those of the keyring that it names. Leave out one of the two')
  }
  if (key === undefined && given !== undefined) throw fail('ERR_CONFIG', path, `the property "key" is missing, to which "${given}" belongs`)
  if (codec === 'plain' && (keyring ?? key) !== undefined) throw fail('ERR_CONFIG', path, 'plain text needs no key')
  checkOptions(codec, Object.keys(options), path)
}

/** Options are the codec's own to check, except that kt1 has none and that a property of ours may be misspelt. */
function checkOptions(codec: string, options: readonly string[], path: string): void {
  for (const option of options) {
    const [meant] = nearestNames(option, Object.keys(schema.$defs.reads?.properties ?? {}))
    const hint = meant === undefined ? '' : `. Did you mean "${meant}"?`
    if (codec === 'kt1') throw fail('ERR_CONFIG', `${path}.${option}`, `the codec kt1 has no options${hint}`)
    if (meant !== undefined && meant !== option)
      throw fail('ERR_CONFIG', `${path}.${option}`, `there is no property "${option}" here${hint}`)
  }
}
