import { fail } from '../errors.ts'
import type { PathStep } from './location.ts'

/**
 * JSON documents as text. Values are found and replaced where they stand; everything around them stays byte for byte, because a
 * document that is parsed and printed loses what its owner wrote: long numbers, member order, duplicate members, white space.
 */

/** What members beside a value must be, in the same object, for it to be one. */
export type Where = { readonly [member: string]: string | number | boolean | null }

/** A value within the text of a document. */
export interface FoundValue {
  /** Where it stands: member names and array indexes, each step named. */
  readonly path: readonly string[]
  /** Its token in the text, for a string with both quotes. */
  readonly start: number
  readonly end: number
  /** The string; null for what is no string (a number, an object, …) and therefore no value that could be opened. */
  readonly value: string | null
}

/** A replacement of one token by a string. */
export interface Edit {
  readonly start: number
  readonly end: number
  readonly value: string
}

/**
 * Reads a JSON pointer (RFC 6901) in which `*` stands for any member or index, and `**` at its end for everything from there on. `~1` is
 * "/", `~0` is "~", and `~2` is "*" itself.
 *
 * @throws `ERR_USAGE` for text that is neither empty nor begins with "/", for any other "~", and for `**` before the end
 * @example
 * parsePointer('/headers/0/*') // ['headers', '0', null]
 * parsePointer('/auth/**') // ['auth', true]
 */
export function parsePointer(text: string): PathStep[] {
  if (text === '') return []
  if (!text.startsWith('/') || /~(?![012])/.test(text))
    throw fail('ERR_USAGE', `"${text}" is not a JSON pointer: each step begins with "/"; write ~1 for "/", ~0 for "~", ~2 for "*"`)
  if (/\/\*\*\//.test(text))
    throw fail('ERR_USAGE', `"${text}": ** stands for everything below and ends a pointer; a member of that name is written ~2~2`)
  return text.slice(1).split('/').map(parseStep)
}

function parseStep(step: string): PathStep {
  if (step === '*') return null
  return step === '**' ? true : step.replaceAll('~1', '/').replaceAll('~2', '*').replaceAll('~0', '~')
}

/** Writes a path as `parsePointer` reads it. */
export function printPointer(path: readonly PathStep[]): string {
  return path.map((step) => `/${printStep(step)}`).join('')
}

function printStep(step: PathStep): string {
  if (step === null) return '*'
  if (step === true) return '**'
  // Almost every name: this is asked of each value.
  if (!step.includes('~') && !step.includes('/') && !step.startsWith('*')) return step
  return /^\*{1,2}$/.test(step) ? step.replaceAll('*', '~2') : step.replaceAll('~', '~0').replaceAll('/', '~1')
}

/** Levels of nesting up to which a document is searched at every depth. */
const deepest = 1_000

/**
 * Whether `text` is a JSON document that can be searched for values at `path`. A path of any depth goes no deeper than 1,000 levels: the
 * names on the way to each value would fill the memory.
 */
export function isDocument(text: string, path: readonly PathStep[] = []): boolean {
  try {
    JSON.parse(text)
    return path.at(-1) !== true || depthOf(text) <= deepest
  } catch {
    return false
  }
}

function depthOf(text: string): number {
  const marks = /["{}[\]]/g
  let [depth, most] = [0, 0]
  for (let mark = marks.exec(text); mark !== null; mark = marks.exec(text)) {
    if (mark[0] === '"') marks.lastIndex = endOfString(text, mark.index)
    else if (mark[0] === '{' || mark[0] === '[') most = Math.max(most, ++depth)
    else depth--
  }
  return most
}

/**
 * The values at a path, in the order of the text. Of members that stand twice each is one. `null` and absent members are none.
 *
 * @param text - a JSON document: ask `isDocument` first
 * @param path - steps into it; null matches every member of an object and every element of an array; true, as the last one, every string
 *   from there on and nothing that is no string. `where` has no meaning for it
 */
export function findValues(text: string, path: readonly PathStep[], where: Where = {}): FoundValue[] {
  const found: FoundValue[] = []
  const conditions = Object.entries(where)
  const search = { text, path, conditions, found, trail: [] as string[] }
  if (conditions.length === 0 || path.length > 0) walk(search, afterSpace(text, 0))
  return found
}

/** The text with tokens replaced by strings. @param edits - in any order, of tokens of `findValues` of this text; none twice */
export function splice(text: string, edits: readonly Edit[]): string {
  let [result, at] = ['', 0]
  for (const { start, end, value } of edits.length > 1 ? [...edits].sort((a, b) => a.start - b.start) : edits) {
    result += text.slice(at, start) + JSON.stringify(value)
    at = end
  }
  return result + text.slice(at)
}

interface Search {
  readonly text: string
  readonly path: readonly PathStep[]
  readonly conditions: readonly (readonly [string, Where[string]])[]
  readonly found: FoundValue[]
  readonly trail: string[]
}

// Goes as deep as the path, however deep the document is: what is not on the path is passed over by `endOfValue`, which keeps no stack.
/** Looks into the value that begins at `at`; returns where it ends. */
function walk(search: Search, at: number): number {
  const { text, path, trail } = search
  if (path[trail.length] === true) return takeBelow(search, at)
  if (trail.length === path.length) return take(search, at)
  if (text[at] === '{') return walkObject(search, at)
  if (text[at] === '[') return walkArray(search, at)
  return endOfValue(text, at)
}

function take({ text, found, trail }: Search, at: number): number {
  const end = endOfValue(text, at)
  const isString = text[at] === '"'
  if (isString || text[at] !== 'n') found.push({ path: [...trail], start: at, end, value: isString ? stringAt(text, at, end) : null })
  return end
}

// No recursion: how deep a document is, its writer decides.
/** Takes every string within the value that begins at `at`, itself included; returns where it ends. */
function takeBelow({ text, found, trail }: Search, from: number): number {
  /** The containers that are open: the index in an array; null in an object. */
  const open: (number | null)[] = []
  let at = from
  for (;;) {
    const inside = text[at] === '{' || text[at] === '[' ? afterSpace(text, at + 1) : -1
    if (inside !== -1 && text[inside] !== '}' && text[inside] !== ']') {
      open.push(text[at] === '[' ? 0 : null)
      at = enter(text, trail, { at: inside, index: open.at(-1) as number | null })
      continue
    }
    let end = inside === -1 ? endOfValue(text, at) : inside + 1
    if (text[at] === '"') found.push({ path: [...trail], start: at, end, value: stringAt(text, at, end) })
    for (;;) {
      const index = open.at(-1)
      if (index === undefined) return end
      trail.pop()
      at = afterSpace(text, end)
      if (text[at] === ',') {
        const following = index === null ? null : index + 1
        open[open.length - 1] = following
        at = enter(text, trail, { at: afterSpace(text, at + 1), index: following })
        break
      }
      open.pop()
      end = at + 1
    }
  }
}

/** Steps to a member, whose name begins at `at`, or to an element, whose value does; returns where its value begins. */
function enter(text: string, trail: string[], { at, index }: { readonly at: number; readonly index: number | null }): number {
  if (index !== null) {
    trail.push(String(index))
    return at
  }
  const nameEnd = endOfString(text, at)
  trail.push(stringAt(text, at, nameEnd))
  return afterSpace(text, afterSpace(text, nameEnd) + 1)
}

function walkObject(search: Search, open: number): number {
  const { text, path, trail, conditions, found } = search
  const step = path[trail.length]
  const before = found.length
  const siblings = trail.length === path.length - 1 && conditions.length > 0 ? new Map<string, unknown>() : null
  let at = afterSpace(text, open + 1)
  while (text[at] === '"') {
    const nameEnd = endOfString(text, at)
    const name = stringAt(text, at, nameEnd)
    const value = afterSpace(text, afterSpace(text, nameEnd) + 1)
    trail.push(name)
    const end = step === null || step === name ? walk(search, value) : endOfValue(text, value)
    trail.pop()
    // The last of members that stand twice counts, as for every parser of JSON.
    if (siblings !== null && conditions.some(([wanted]) => wanted === name)) siblings.set(name, scalarAt(text, value, end))
    at = next(text, end)
  }
  if (siblings !== null && !conditions.every(([name, wanted]) => siblings.has(name) && siblings.get(name) === wanted)) found.length = before
  return at + 1
}

function walkArray(search: Search, open: number): number {
  const { text, path, trail, conditions, found } = search
  const step = path[trail.length]
  const before = found.length
  let at = afterSpace(text, open + 1)
  for (let index = 0; at < text.length && text[at] !== ']'; index++) {
    const name = String(index)
    trail.push(name)
    const end = step === null || step === name ? walk(search, at) : endOfValue(text, at)
    trail.pop()
    at = next(text, end)
  }
  // An element has no members beside it: a condition on them is not met.
  if (trail.length === path.length - 1 && conditions.length > 0) found.length = before
  return at + 1
}

/** The scalar of a token; undefined, which equals no condition, for objects and arrays. */
function scalarAt(text: string, at: number, end: number): unknown {
  return text[at] === '{' || text[at] === '[' ? undefined : JSON.parse(text.slice(at, end))
}

function stringAt(text: string, at: number, end: number): string {
  const inside = text.slice(at + 1, end - 1)
  return inside.includes('\\') ? JSON.parse(text.slice(at, end)) : inside
}

/** Behind the comma after a value, or at the bracket that ends the object or array. */
function next(text: string, end: number): number {
  const at = afterSpace(text, end)
  return text[at] === ',' ? afterSpace(text, at + 1) : at
}

function afterSpace(text: string, from: number): number {
  let at = from
  for (let code = text.charCodeAt(at); code === 0x20 || (code >= 0x09 && code <= 0x0d); code = text.charCodeAt(at)) at++
  return at
}

function endOfValue(text: string, at: number): number {
  if (text[at] === '"') return endOfString(text, at)
  return text[at] === '{' || text[at] === '[' ? endOfContainer(text, at) : endOf(/[,\]}\s]|$/g, text, at)
}

// By code and not by an expression, which would make an object for each mark.
function endOfContainer(text: string, open: number): number {
  let depth = 0
  for (let at = open; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === quote) at = endOfString(text, at) - 1
    else if (code === brace || code === bracket) depth++
    else if ((code === braceEnd || code === bracketEnd) && --depth === 0) return at + 1
  }
  return text.length
}
const backslash = 0x5c
const [quote, brace, braceEnd, bracket, bracketEnd] = [0x22, 0x7b, 0x7d, 0x5b, 0x5d]

function endOfString(text: string, open: number): number {
  for (let at = text.indexOf('"', open + 1); at !== -1; at = text.indexOf('"', at + 1)) {
    let slashes = 0
    while (text.charCodeAt(at - 1 - slashes) === backslash) slashes++
    if (slashes % 2 === 0) return at + 1
  }
  return text.length
}

function endOf(mark: RegExp, text: string, at: number): number {
  mark.lastIndex = at
  return mark.exec(text)?.index ?? text.length
}
