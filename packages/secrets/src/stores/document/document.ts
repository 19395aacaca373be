import { outside } from '../../outside/failure.ts'
import type { Held, Values } from '../../secret/store.ts'

/** A secret of a vault that holds one text: the value of one name, or a JSON object whose members are the names. */
export interface Document {
  /** Of the text that stands there; null where nothing does. */
  read(text: string | null, names: readonly string[]): { readonly [name: string]: Held }
  /** The text with these values in it. What else stands there stays, numbers digit for digit. */
  written(text: string | null, values: Values): string
}

/** A text that is the value of its only name. @param where - for messages */
export function singleValue(where: string): Document {
  return {
    read: (text, names) => Object.fromEntries(names.map((name) => [name, text === null ? null : { value: text }])),
    written: (_, values) => {
      const [value, ...more] = Object.values(values)
      if (typeof value !== 'string' || more.length > 0)
        throw outside('refused', where, 'it holds one value, and that is never empty. Name a "secret" for a document of several')
      return value
    },
  }
}

/** A JSON object: names that change together stand in one document, which is written as a whole. @param where - for messages */
export function jsonMembers(where: string): Document {
  const membersOf = (text: string | null): { [name: string]: unknown } => {
    if (text === null || text.trim() === '') return {}
    const value = parsed(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as { [name: string]: unknown }
    throw outside('refused', where, 'what stands there is no JSON object. Move it elsewhere, or take another secret')
  }
  return {
    read: (text, names) => {
      const members = membersOf(text)
      return Object.fromEntries(
        names.map((name): [string, Held] => {
          const value = Object.hasOwn(members, name) ? members[name] : null
          return [name, value === null ? null : { value: typeof value === 'string' ? value : JSON.stringify(value) }]
        }),
      )
    },
    written: (text, values) => {
      const before = membersOf(text)
      const kept = Object.entries(before).filter(([name]) => values[name] !== null || !Object.hasOwn(values, name))
      const members = Object.fromEntries([...kept, ...Object.entries(values).filter(([, value]) => value !== null)])
      const isSame = Object.entries(values).every(([name, value]) => (Object.hasOwn(before, name) ? before[name] : null) === value)
      return isSame && text !== null ? text : JSON.stringify(members)
    },
  }
}

// Newer than the types: numbers keep their digits, those that a double cannot hold, too.
type RawJson = { rawJSON(text: string): unknown }
type Reviver = (this: unknown, key: string, value: unknown, context: { readonly source?: string }) => unknown

function parsed(text: string): unknown {
  const raw: Reviver = (_, value, { source }) =>
    typeof value === 'number' && source !== undefined ? (JSON as unknown as RawJson).rawJSON(source) : value
  try {
    return JSON.parse(text, raw as (key: string, value: unknown) => unknown)
  } catch {
    return undefined
  }
}
