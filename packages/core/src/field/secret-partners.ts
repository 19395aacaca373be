import { fail } from '../errors.ts'
import { isMask } from './masking.ts'
import type { SchemaPlace } from './secret-schema.ts'
import { replaced, type Spot, spotsOf } from './secret-spots.ts'

/** Stands where it cannot be told which stored element an incoming one was. */
const unclear = Symbol('unclear')

/**
 * What each mask of a new document stands for in the stored one. Members are the same by their names; elements of arrays by what
 * `pairs` finds.
 *
 * @returns for a mask, the stored value. @throws `ERR_MASK` where it throws: nothing stored, or more than one that it could be
 */
export function partners(incoming: unknown, stored: unknown, place: SchemaPlace): (spot: Spot) => unknown {
  const paired = new Map<object, readonly unknown[]>()
  return ({ trail, at }) => {
    let [now, before, here]: [unknown, unknown, SchemaPlace | null] = [incoming, stored, place]
    for (const name of trail) {
      if (before === unclear) break
      if (typeof name === 'number') {
        const elements = now as readonly unknown[]
        const known = paired.get(elements) ?? pairs(elements, Array.isArray(before) ? before : [], here)
        paired.set(elements, known)
        before = known[name]
        here = here?.element(name) ?? null
      } else {
        before = isMember(before, name) ? before[name] : undefined
        here = here?.member(name)?.place ?? null
      }
      now = (now as Record<string | number, unknown>)[name]
    }
    if (before === unclear) throw fail('ERR_MASK', at, 'which of the stored elements it belongs to cannot be told')
    if (before === undefined || before === null || before === '') throw fail('ERR_MASK', at, 'nothing is stored there')
    return before
  }
}

function isMember(value: unknown, name: string): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && Object.hasOwn(value, name)
}

/** Members by which people and programs tell elements apart. */
const identities = ['id', 'key', 'name']

/**
 * For each incoming element the stored one that it was: the one of the same identity, where all have one and none has it twice. Else, if
 * nothing but secrets was changed in the whole array, the one of the same index. Else, among those in which all that is not secret is the
 * same, the one in the same order, if as many come back masked as are stored: then each is kept once.
 */
function pairs(incoming: readonly unknown[], stored: readonly unknown[], place: SchemaPlace | null): readonly unknown[] {
  const identity = identities.find((name) => areDistinct(incoming, name, place) && areDistinct(stored, name, place))
  if (identity !== undefined) {
    const byIdentity = new Map(stored.map((element) => [identityOf(element, identity), element]))
    return incoming.map((element) => byIdentity.get(identityOf(element, identity)))
  }
  const [now, before] = [incoming, stored].map((elements) =>
    elements.map((element, index) => openPart(element, place?.element(index) ?? null)),
  )
  const same = now?.length === before?.length && now?.every((text, index) => text === before?.[index])
  if (same) return stored
  const masked = (index: number) => isMasked(incoming[index], place?.element(index) ?? null)
  const [maskedAt, storedAt] = [positions(now ?? [], masked), positions(before ?? [], () => true)]
  const found = incoming.map((): unknown => (stored.length === 0 ? undefined : unclear))
  for (const [text, indexes] of maskedAt) {
    const alike = storedAt.get(text) ?? []
    if (alike.length === indexes.length) for (const [nth, index] of indexes.entries()) found[index] = stored[alike[nth] as number]
  }
  return found
}

/** Where each text stands, of those asked for. */
function positions(texts: readonly string[], wanted: (index: number) => boolean): Map<string, number[]> {
  const indexes = texts.map((_, index) => index).filter(wanted)
  return Map.groupBy(indexes, (index) => texts[index] as string)
}

const isMasked = (element: unknown, place: SchemaPlace | null): boolean =>
  place !== null && spotsOf(element, place).some(({ value }) => isMask(value))

const identityOf = (element: unknown, name: string) => (element as Record<string, unknown>)[name]

function areDistinct(elements: readonly unknown[], name: string, place: SchemaPlace | null): boolean {
  const values = new Set<unknown>()
  for (const [index, element] of elements.entries()) {
    if (!isMember(element, name)) return false
    const value = element[name]
    const secret = place?.element(index)?.member(name)?.place.secret ?? false
    if (secret || (typeof value !== 'string' && typeof value !== 'number')) return false
    values.add(value)
  }
  return values.size === elements.length
}

/** What is not secret in an element, as text in which the order of members says nothing: a database may change it. */
function openPart(element: unknown, place: SchemaPlace | null): string {
  const spots = place === null ? [] : spotsOf(element, place)
  const rest = replaced(
    element,
    spots.map(({ trail }) => ({ trail, value: null })),
  )
  try {
    return (
      JSON.stringify(rest, (_, value: unknown) => (isPlain(value) ? Object.fromEntries(Object.entries(value).sort(byName)) : value)) ?? ''
    )
  } catch {
    throw fail('ERR_SECRET_FIELD', 'an element of a list', 'it cannot be written as JSON')
  }
}

const isPlain = (value: unknown): value is object => typeof value === 'object' && value !== null && !Array.isArray(value)
const byName = ([a]: [string, unknown], [b]: [string, unknown]): number => (a < b ? -1 : 1)
