import { fail } from '../errors.ts'

/**
 * A JSON Schema, as far as it says what is secret: `secret: true` beside a `type`, at any depth. Of the rest are read: `properties`,
 * `patternProperties`, `additionalProperties`, `items`, `prefixItems`, `$ref` within the schema, `allOf`, `anyOf`, `oneOf`, `if`, `then`,
 * `else`, `dependentSchemas`, `dependencies`. What any branch marks is secret in all of them.
 */
export type JsonSchema = boolean | { readonly [keyword: string]: unknown }

type Keywords = { readonly [keyword: string]: unknown }

/** All that a schema says of one place of a document. */
export interface SchemaPlace {
  /** Whether what stands here is secret, as a whole. */
  readonly secret: boolean
  /** Whether something below may be. */
  readonly above: boolean
  /** Types declared here, without `null`; null where none is. */
  readonly types: ReadonlySet<string> | null
  /** Whether members that no part of the schema names are refused. */
  readonly closed: boolean
  /** The place of a member; `named`: its name stands in the schema. Null: the schema says nothing of it. */
  member(name: string): { readonly place: SchemaPlace; readonly named: boolean } | null
  element(index: number): SchemaPlace | null
  /** The places inside that the schema speaks of: of members by their names, and null for those of all others and of elements. */
  inside(): readonly (readonly [name: string | null, place: SchemaPlace])[]
  /** The same for places of which the schema says the same. */
  readonly id: string
}

const isObject = (value: unknown): value is Keywords => typeof value === 'object' && value !== null && !Array.isArray(value)

/** Keywords by what they hold: schemas of the same place, of members or elements, by how they are written. */
const here = { one: ['if', 'then', 'else'], list: ['allOf', 'anyOf', 'oneOf'], byName: ['dependentSchemas', 'dependencies'] } as const
const inside = {
  one: ['additionalProperties', 'unevaluatedProperties', 'additionalItems', 'unevaluatedItems', 'contains'],
  list: ['prefixItems'],
  byName: ['properties', 'patternProperties'],
} as const
const definitions = ['$defs', 'definitions'] as const
/** Keywords whose schemas say nothing of what stands at the place. */
const unread = ['not', 'propertyNames', 'contentSchema'] as const
/** References that lead elsewhere than a pointer into this schema does. */
const foreign = ['$dynamicRef', '$recursiveRef'] as const

/**
 * Reads a schema.
 *
 * @throws `ERR_SECRET_SCHEMA` for what is no schema, for `secret` that is neither true nor false, and for a `$ref` that does not lead to a
 *   place within it: a mark that is not understood would leave a secret in the clear
 */
export function readSchema(schema: unknown): SchemaPlace {
  return new Reading(schema).place([schema as Keywords])
}

/** One schema, with what was found out about it once. */
class Reading {
  readonly #root: unknown
  /** Schemas of the same place, and those of what is inside, by schema. */
  readonly #here = new Map<Keywords, readonly Keywords[]>()
  readonly #patterns = new Map<Keywords, readonly (readonly [RegExp, Keywords])[]>()
  /** Schemas with something secret at their place or below. */
  readonly #leading: ReadonlySet<Keywords>
  readonly #places = new Map<Keywords, Place>()
  readonly #numbers = new Map<Keywords, number>()

  constructor(root: unknown) {
    this.#root = root
    this.#leading = this.#read()
  }

  /** Every part, by a list and no recursion: how deep a schema is, its writer decides. */
  #read(): Set<Keywords> {
    const usedBy = new Map<Keywords, Keywords[]>()
    const secrets: Keywords[] = []
    const open: [Keywords, string][] = []
    const add = (part: unknown, path: string, user: Keywords | null) => {
      if (typeof part === 'boolean') return []
      if (!isObject(part)) throw refused(path, 'a schema is an object, true or false')
      const users = usedBy.get(part) ?? []
      if (!usedBy.has(part)) open.push([part, path])
      if (user !== null) users.push(user)
      usedBy.set(part, users)
      return [part]
    }
    add(this.#root, '', null)
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      const [part, path] = next
      if (part.secret !== undefined && typeof part.secret !== 'boolean') throw refused(`${path}/secret`, 'it is true or false')
      if (part.secret === true) secrets.push(part)
      const hidden = unread.find((keyword) => JSON.stringify(part[keyword])?.includes('"secret":true'))
      if (hidden !== undefined) throw refused(`${path}/${hidden}`, 'a mark there means nothing. Put it beside the type of the value')
      const from = (keywords: typeof here | typeof inside) => partsOf(part, path, keywords).flatMap(([each, at]) => add(each, at, part))
      this.#here.set(part, [...from(here), ...this.#referred(part, path).flatMap(([each, at]) => add(each, at, part))])
      this.#patterns.set(part, patternsOf(part, path))
      from(inside)
      const { items } = part
      for (const [index, each] of (Array.isArray(items) ? items : items === undefined ? [] : [items]).entries())
        add(each, Array.isArray(items) ? `${path}/items/${index}` : `${path}/items`, part)
      for (const each of definitions) for (const [at, found] of namedParts(part, path, each)) add(found, at, null)
    }
    return reaching(secrets, usedBy)
  }

  /** What `$ref` leads to. */
  #referred(part: Keywords, path: string): [unknown, string][] {
    const elsewhere = foreign.find((keyword) => part[keyword] !== undefined)
    if (elsewhere !== undefined) throw refused(`${path}/${elsewhere}`, 'references are read that begin with "#/" or are "#"')
    const { $ref } = part
    if ($ref === undefined) return []
    if (typeof $ref !== 'string' || !/^#(\/|$)/.test($ref))
      throw refused(`${path}/$ref`, 'references are read that begin with "#/" or are "#"')
    let found = this.#root
    for (const step of $ref.split('/').slice(1)) {
      const name = unescaped(step)
      if (typeof found !== 'object' || found === null || name === null || !Object.hasOwn(found, name))
        throw refused(`${path}/$ref`, 'it leads to no place of the schema')
      found = (found as Keywords)[name]
    }
    return [[found, `${path}/$ref`]]
  }

  /** All that some schemas say together of one place. */
  place(parts: readonly Keywords[]): Place {
    const [only] = parts
    const known = parts.length === 1 && only !== undefined ? this.#places.get(only) : undefined
    if (known !== undefined) return known
    const all = new Set(parts.filter(isObject))
    for (const part of all) for (const each of this.#here.get(part) ?? []) all.add(each)
    const place = new Place(this, [...all])
    if (parts.length === 1 && only !== undefined) this.#places.set(only, place)
    return place
  }

  numberOf(part: Keywords): number {
    const number = this.#numbers.get(part) ?? this.#numbers.size
    this.#numbers.set(part, number)
    return number
  }

  leads(part: Keywords): boolean {
    return this.#leading.has(part)
  }

  patterns(part: Keywords): readonly (readonly [RegExp, Keywords])[] {
    return this.#patterns.get(part) ?? []
  }
}

class Place implements SchemaPlace {
  readonly secret: boolean
  readonly above: boolean
  readonly types: ReadonlySet<string> | null
  readonly closed: boolean
  readonly #reading: Reading
  readonly #parts: readonly Keywords[]

  constructor(reading: Reading, parts: readonly Keywords[]) {
    this.#reading = reading
    this.#parts = parts
    this.secret = parts.some(({ secret }) => secret === true)
    this.above = !this.secret && parts.some((part) => reading.leads(part))
    this.types = typesOf(parts)
    this.closed = parts.some(({ additionalProperties, unevaluatedProperties }) =>
      [additionalProperties, unevaluatedProperties].includes(false),
    )
  }

  member(name: string): { readonly place: SchemaPlace; readonly named: boolean } | null {
    const [declared, other]: [Keywords[], Keywords[]] = [[], []]
    let said = false
    for (const part of this.#parts) {
      const { properties } = part
      const own = isObject(properties) && Object.hasOwn(properties, name) ? [properties[name]] : []
      const fitting = this.#reading.patterns(part).flatMap(([pattern, each]) => (pattern.test(name) ? [each] : []))
      const rest = own.length + fitting.length > 0 ? [] : [part.additionalProperties, part.unevaluatedProperties]
      if (own.length + fitting.length > 0 || rest.some((each) => each !== undefined && each !== false)) said = true
      declared.push(...own.filter(isObject))
      other.push(...[...fitting, ...rest].filter(isObject))
    }
    return said ? { place: this.#reading.place([...declared, ...other]), named: declared.length > 0 } : null
  }

  get id(): string {
    return this.#parts
      .map((part) => this.#reading.numberOf(part))
      .sort((a, b) => a - b)
      .join(' ')
  }

  inside(): [string | null, SchemaPlace][] {
    const names = new Set(this.#parts.flatMap(({ properties }) => (isObject(properties) ? Object.keys(properties) : [])))
    const others = this.#parts.flatMap((part) => [
      ...this.#reading.patterns(part).map(([, each]) => each),
      ...[part.additionalProperties, part.unevaluatedProperties, part.contains, part.additionalItems, part.unevaluatedItems],
      ...[part.items, part.prefixItems].flat(),
    ])
    const named = [...names].flatMap((name): [string, SchemaPlace][] => {
      const found = this.member(name)
      return found === null ? [] : [[name, found.place]]
    })
    return [...named, ...others.filter(isObject).map((part): [null, SchemaPlace] => [null, this.#reading.place([part])])]
  }

  element(index: number): SchemaPlace | null {
    const found = this.#parts.flatMap((part) => elementOf(part, index))
    return found.length === 0 ? null : this.#reading.place(found)
  }
}

function elementOf({ items, prefixItems, additionalItems, unevaluatedItems, contains }: Keywords, index: number): Keywords[] {
  const tuple = Array.isArray(prefixItems) ? prefixItems : Array.isArray(items) ? items : []
  const rest = Array.isArray(items) ? additionalItems : items
  return (index < tuple.length ? [tuple[index], contains] : [rest, unevaluatedItems, contains]).filter(isObject)
}

/** Types that keywords imply where none is declared. */
const implied = [
  ['object', ['properties', 'patternProperties', 'additionalProperties']],
  ['array', ['items', 'prefixItems']],
] as const

function typesOf(parts: readonly Keywords[]): Set<string> | null {
  const declared = parts.flatMap(({ type }) => (Array.isArray(type) ? type : type === undefined ? [] : [type])).map(String)
  const types = new Set(declared.filter((type) => type !== 'null'))
  for (const part of parts) {
    if (part.type !== undefined) continue
    for (const [type, keywords] of implied) if (keywords.some((keyword) => part[keyword] !== undefined)) types.add(type)
  }
  return types.size === 0 ? null : types
}

/** Schemas from which a secret one is reached, by walking back from each to what uses it. */
function reaching(secrets: readonly Keywords[], usedBy: ReadonlyMap<Keywords, readonly Keywords[]>): Set<Keywords> {
  const found = new Set(secrets)
  for (const part of found) for (const user of usedBy.get(part) ?? []) found.add(user)
  return found
}

function partsOf(part: Keywords, path: string, { one, list, byName }: typeof here | typeof inside): [unknown, string][] {
  return [
    ...one.flatMap((keyword): [unknown, string][] => (part[keyword] === undefined ? [] : [[part[keyword], `${path}/${keyword}`]])),
    ...list.flatMap((keyword) => listed(part, path, keyword)),
    ...byName.flatMap((keyword) => namedParts(part, path, keyword).map(([at, each]): [unknown, string] => [each, at])),
  ]
}

function listed(part: Keywords, path: string, keyword: string): [unknown, string][] {
  const value = part[keyword]
  if (value === undefined) return []
  if (!Array.isArray(value)) throw refused(`${path}/${keyword}`, 'it is a list of schemas')
  return value.map((each, index) => [each, `${path}/${keyword}/${index}`])
}

function namedParts(part: Keywords, path: string, keyword: string): [string, unknown][] {
  const value = part[keyword]
  if (value === undefined) return []
  if (!isObject(value)) throw refused(`${path}/${keyword}`, 'it is an object of schemas')
  // Of `dependencies` some are lists of names, which mark nothing.
  const schemas = Object.entries(value).filter(([, each]) => keyword !== 'dependencies' || !Array.isArray(each))
  return schemas.map(([name, each]) => [`${path}/${keyword}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`, each])
}

function patternsOf(part: Keywords, path: string): [RegExp, Keywords][] {
  const { patternProperties } = part
  if (!isObject(patternProperties)) return []
  return Object.entries(patternProperties).flatMap(([pattern, each]): [RegExp, Keywords][] => {
    try {
      const expression = new RegExp(pattern, 'u')
      return isObject(each) ? [[expression, each]] : []
    } catch {
      throw refused(`${path}/patternProperties`, 'one of its names is no regular expression')
    }
  })
}

/** A step of a JSON pointer in a URI fragment; null for one that is none. */
function unescaped(step: string): string | null {
  try {
    return decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~')
  } catch {
    return null
  }
}

function refused(path: string, sentence: string) {
  return fail('ERR_SECRET_SCHEMA', path === '' ? 'the top' : path, sentence)
}
