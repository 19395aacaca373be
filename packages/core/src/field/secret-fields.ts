import { fail, isKeyturnError } from '../errors.ts'
import type { Field } from './field.ts'
import type { BoundArgument } from './kinds.ts'
import { encryptOnce, isMask, MASK } from './masking.ts'
import { redactionPaths } from './redaction.ts'
import { partners } from './secret-partners.ts'
import { type JsonSchema, readSchema, type SchemaPlace } from './secret-schema.ts'
import { assertFits, kindsOf, type Replacement, replaced, type Spot, spotsOf } from './secret-spots.ts'

/** A workflow variable as its definition declares it. */
export interface VariableDefinition {
  readonly name: string
  /** `number`, `integer`, `boolean`, `object`, `array` and `json` are such values; anything else is text. */
  readonly type?: string
  readonly secret?: boolean
  readonly [more: string]: unknown
}

/**
 * The members of documents that are secret, by a JSON Schema in which `secret: true` stands beside a type: of nested objects, arrays, `$ref` and
 * all branches. Keep it for as long as the schema stays the same.
 *
 * @throws `ERR_SECRET_SCHEMA` for a schema whose marks are not understood: they would leave a secret in the clear
 * @example
 * const secrets = secretFields({ type: 'object', properties: { url: { type: 'string' }, apiKey: { type: 'string', secret: true } } })
 * secrets.mask({ url: 'https://a.example', apiKey: 'sk-1' }) // { url: 'https://a.example', apiKey: '********' }
 */
export function secretFields(schema: JsonSchema): SecretFields {
  return new SecretFields(readSchema(schema))
}

/**
 * The secret ones of some variables, whose values stand in one object by their names.
 *
 * @throws `ERR_SECRET_SCHEMA` for what is no list of definitions, and for a name that stands twice
 * @example
 * const secrets = secretVariables([{ name: 'region', type: 'string' }, { name: 'token', type: 'string', required: true, secret: true }])
 * secrets.mask({ region: 'eu', token: 'abc' }) // { region: 'eu', token: '********' }
 */
export function secretVariables(definitions: readonly VariableDefinition[]): SecretFields {
  return secretFields(variablesSchema(definitions))
}

const variableTypes = ['number', 'integer', 'boolean', 'object', 'array']

function variablesSchema(definitions: readonly VariableDefinition[]): JsonSchema {
  const wrong = (at: string, why: string) => fail('ERR_SECRET_SCHEMA', at, why)
  if (!Array.isArray(definitions)) throw wrong('the top', 'it is a list of variables')
  const properties = new Map<string, JsonSchema>()
  for (const [index, given] of (definitions as readonly unknown[]).entries()) {
    if (typeof given !== 'object' || given === null || !('name' in given) || typeof given.name !== 'string' || given.name === '')
      throw wrong(`/${index}`, 'a variable has a name')
    if (properties.has(given.name)) throw wrong(`/${index}/name`, 'another variable has that name')
    const { type, secret } = given as Partial<VariableDefinition>
    if (secret !== undefined && typeof secret !== 'boolean') throw wrong(`/${index}/secret`, 'it is true or false')
    properties.set(given.name, {
      ...(secret === undefined ? {} : { secret }),
      type: type === 'json' ? ['string', ...variableTypes] : variableTypes.includes(String(type)) ? String(type) : 'string',
    })
  }
  return { type: 'object', properties: Object.fromEntries(properties) }
}

/**
 * Encrypts, opens, masks and merges the secret members of documents. Documents are what `JSON.parse` gives; none is changed, a new one is
 * given back. A document is looked through before anything is encrypted: one that does not fit is refused as a whole.
 *
 * A secret text is encrypted as it is; what is declared as anything else is encrypted as JSON text. In the document stands a string. `null` and
 * the empty text mean "not set" and are not encrypted.
 */
export class SecretFields {
  readonly #top: SchemaPlace

  constructor(top: SchemaPlace) {
    this.#top = top
  }

  /** What the schema says of the document as a whole. */
  get place(): SchemaPlace {
    return this.#top
  }

  /**
   * A new document: every secret member encrypted.
   *
   * @throws `ERR_SECRET_FIELD` with the path, for a document that does not fit and for a value that is encrypted already
   * @throws `ERR_MASK` for a mask, which stands for nothing here
   */
  async encrypt<T, B extends string>(document: T, field: Field<B>, ...bound: BoundArgument<B>): Promise<T> {
    return await this.merge(document, null, field, ...bound)
  }

  /**
   * A stored document with every secret member opened.
   *
   * @throws `ERR_DECRYPT_AT` with the path, for a value that does not open, for whatever reason; else as `Field.decrypt`
   * @throws `ERR_SECRET_FIELD` with the path, for a document that does not fit, as after a change of its schema
   */
  async decrypt<T, B extends string>(stored: T, field: Field<B>, ...bound: BoundArgument<B>): Promise<T> {
    const spots = spotsOf(stored, this.#top).filter(({ value }) => value !== '')
    assertFits(spots.map((spot) => (spot.misfit === null ? spot : { ...spot, value: null })))
    const opened: Replacement[] = []
    for (const spot of spots) opened.push({ trail: spot.trail, value: await open(spot, field, bound) })
    return replaced(stored, opened) as T
  }

  /**
   * A document as it may be shown, stored or not: the mask in place of every secret that is set, whatever its type. Never fails: what does not fit
   * its schema on the way to a secret is masked as a whole.
   */
  mask<T>(document: T): T {
    const set = spotsOf(document, this.#top).filter(({ value }) => value !== '')
    return replaced(
      document,
      set.map(({ trail }) => ({ trail, value: MASK })),
    ) as T
  }

  /**
   * The document to store when a masked one comes back, changed: each mask keeps what is stored there, as it stands; an empty text
   * clears it; anything else replaces it. What is not secret is taken from the new document, and so is what is missing in it.
   *
   * Elements of an array are recognised by their `id`, `key` or `name`, else by what is not secret in them. A mask whose element cannot be told from
   * another is refused: it could be given the secret of its neighbour.
   *
   * @param incoming - the new document, in the clear
   * @param stored - the document as it is stored; null for none
   * @throws `ERR_MASK` with the path, for a mask that stands for no stored value, or for one of several
   * @throws `ERR_SECRET_FIELD` with the path, for a new document that does not fit and for a value that is encrypted already
   */
  async merge<T, B extends string>(incoming: T, stored: unknown, field: Field<B>, ...bound: BoundArgument<B>): Promise<T> {
    const spots = spotsOf(incoming, this.#top)
    assertFits(spots)
    for (const spot of spots) assertValue(spot)
    const kept = spots.some(({ value }) => isMask(value)) ? partners(incoming, stored, this.#top) : null
    const changes: Replacement[] = []
    const sealed: Spot[] = []
    for (const spot of spots) {
      const { trail, value } = spot
      if (isMask(value)) changes.push({ trail, value: kept?.(spot) })
      else if (value !== '') sealed.push(spot)
      else if (isJson(spot)) changes.push({ trail, value: null })
    }
    for (const spot of sealed) changes.push({ trail: spot.trail, value: await seal(spot, field, bound) })
    return replaced(incoming, changes) as T
  }

  /**
   * The paths under which a logger such as pino finds what is secret: `pino({ redact: secrets.redactionPaths('connector.config') })`. A schema
   * that refers to itself has no end of them: from there on all of a document is left out.
   *
   * Only documents that fit are covered: `mask` a document that nobody has looked at before it is logged.
   *
   * @param prefix - where documents stand in what is logged, in the logger's own syntax
   * @example
   * const schema = { properties: { list: { items: { properties: { token: { type: 'string', secret: true } } } } } }
   * secretFields(schema).redactionPaths('config') // ['config.list[*].token']
   */
  redactionPaths(prefix: string): string[] {
    return redactionPaths(this.#top, prefix)
  }

  /** Nothing: what is in it says which names are secret, and no more. */
  toJSON(): object {
    return {}
  }
}

/** Whether a place holds JSON text: where it is declared as anything but text. */
function isJson({ place: { types } }: Spot): boolean {
  return types !== null && [...types].some((type) => type !== 'string')
}

/** @throws `ERR_SECRET_FIELD` for a value that is not what the schema declares */
function assertValue(spot: Spot): void {
  const { value, place, at } = spot
  if (isMask(value) || value === '') return
  const types = place.types ?? new Set(['string'])
  if (!kindsOf(value).some((kind) => types.has(kind)))
    throw fail('ERR_SECRET_FIELD', at, `the value there is no ${[...types].join(' or ')}`)
}

async function seal<B extends string>(spot: Spot, field: Field<B>, bound: BoundArgument<B>): Promise<string> {
  const text = isJson(spot) ? jsonOf(spot) : (spot.value as string)
  const stored = await encryptOnce(field, text, bound, spot.at)
  if (typeof stored !== 'string') throw fail('ERR_USAGE', `field "${field.name}" writes bytes, and a document holds text`)
  return stored
}

/** @throws `ERR_SECRET_FIELD` for what JSON cannot hold: circles, and numbers without a form there */
function jsonOf({ value, at }: Spot): string {
  try {
    const text: string | undefined = JSON.stringify(value)
    if (text !== undefined) return text
  } catch {
    // Its message may quote the value.
  }
  throw fail('ERR_SECRET_FIELD', at, 'the value there cannot be written as JSON')
}

async function open<B extends string>(spot: Spot, field: Field<B>, bound: BoundArgument<B>): Promise<unknown> {
  const { value, at } = spot
  if (typeof value !== 'string') throw fail('ERR_SECRET_FIELD', at, 'what stands there is not encrypted')
  let text: string
  try {
    text = await field.decrypt(value, ...bound)
  } catch (error) {
    throw isKeyturnError(error, 'ERR_DECRYPT') ? fail('ERR_DECRYPT_AT', at) : error
  }
  if (!isJson(spot)) return text
  try {
    return JSON.parse(text)
  } catch {
    throw fail('ERR_SECRET_FIELD', at, 'the value there was encrypted as text, and is declared as something else')
  }
}
