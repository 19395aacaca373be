import { fail } from '../errors.ts'
import { printPointer } from './document.ts'
import { isMask } from './masking.ts'
import type { SchemaPlace } from './secret-schema.ts'

/** A part of a document that is secret as a whole. */
export interface Spot {
  /** Names of members and indexes of elements on the way to it. */
  readonly trail: readonly (string | number)[]
  /** The way to it as messages may show it: of names, those that the schema has; a star for others, which a user may have typed. */
  readonly at: string
  readonly value: unknown
  readonly place: SchemaPlace
  /** Why it is not what the schema says; null where it is. Then something secret may be anywhere in it. */
  readonly misfit: string | null
}

/** Levels to which a document is followed. A schema that refers to itself would let its writer decide. */
const deepest = 200

interface Way {
  readonly spots: Spot[]
  readonly trail: (string | number)[]
  readonly shown: (string | null)[]
}

/** The parts of a document that are secret, in its order: those that its schema marks, and those that do not fit on the way to such. */
export function spotsOf(document: unknown, place: SchemaPlace): Spot[] {
  const way: Way = { spots: [], trail: [], shown: [] }
  walk(document, place, way)
  return way.spots
}

function walk(value: unknown, place: SchemaPlace, way: Way): void {
  if (value === null || value === undefined) return
  const misfit = place.secret ? null : whyNot(value, place, way.trail.length)
  if (place.secret || misfit !== null) {
    way.spots.push({ trail: [...way.trail], at: shownPath(way.shown), value, place, misfit })
  } else if (place.above) {
    for (const [name, child] of entriesOf(value)) step({ name, child, place }, way)
  }
}

function step({ name, child, place }: { name: string | number; child: unknown; place: SchemaPlace }, way: Way): void {
  const found = typeof name === 'number' ? { place: place.element(name), named: true } : place.member(name)
  way.trail.push(name)
  way.shown.push(found?.named ? String(name) : null)
  if (found?.place) walk(child, found.place, way)
  // What no part of a closed schema names may be a secret under a wrong name.
  else if (place.closed && typeof name === 'string' && child !== null && child !== undefined)
    way.spots.push({ trail: [...way.trail], at: shownPath(way.shown), value: child, place, misfit: 'it has no such member' })
  way.trail.pop()
  way.shown.pop()
}

function entriesOf(value: unknown): [string | number, unknown][] {
  if (Array.isArray(value)) return Array.from(value, (child, index) => [index, child])
  return typeof value === 'object' ? Object.entries(value as object) : []
}

function whyNot(value: unknown, { above, types }: SchemaPlace, depth: number): string | null {
  if (!above) return null
  if (depth >= deepest) return `it is deeper than ${deepest} levels`
  return types === null || kindsOf(value).some((kind) => types.has(kind)) ? null : `it is no ${[...types].join(' or ')}`
}

/** The types of JSON Schema that a value has. */
export function kindsOf(value: unknown): string[] {
  if (Array.isArray(value)) return ['array']
  if (typeof value !== 'number') return [typeof value]
  return Number.isInteger(value) ? ['number', 'integer'] : Number.isFinite(value) ? ['number'] : []
}

/** @throws `ERR_SECRET_FIELD` for the first part that does not fit. What is a mask there stands for what is stored, and may */
export function assertFits(spots: readonly Spot[]): void {
  const wrong = spots.find(({ misfit, value }) => misfit !== null && !isMask(value))
  if (wrong !== undefined) throw fail('ERR_SECRET_FIELD', wrong.at, wrong.misfit as string)
}

function shownPath(steps: readonly (string | null)[]): string {
  return steps.length === 0 ? 'the top' : printPointer(steps)
}

/** A part of a document to be replaced. */
export interface Replacement {
  readonly trail: readonly (string | number)[]
  readonly value: unknown
}

/** The document with parts replaced. Objects on the way are copied, all others are the same as before; the document given stays as it is. */
export function replaced(document: unknown, replacements: readonly Replacement[]): unknown {
  const top = { document }
  const copies = new WeakSet<object>([top])
  for (const { trail, value } of replacements) {
    let at: object = top
    let name: string | number = 'document'
    for (const next of trail) {
      const child = (at as Record<string | number, object>)[name] as object
      const copy = copies.has(child) ? child : Array.isArray(child) ? child.slice() : { ...child }
      copies.add(copy)
      put(at, name, copy)
      at = copy
      name = next
    }
    put(at, name, value)
  }
  return top.document
}

/** As an own member whatever it is called: assigning to `__proto__` would do something else. */
function put(object: object, name: string | number, value: unknown): void {
  Object.defineProperty(object, name, { value, enumerable: true, writable: true, configurable: true })
}
