import type { Stored } from '../../field/codec.ts'
import type { Walk } from '../../rotation/database.ts'

/** What current values begin with, and, where they stand in documents, what those of every key begin with. Empty: nothing says so. */
export interface CurrentMark {
  readonly current: string
  readonly any: string
}
export const noMark: CurrentMark = { current: '', any: '' }

/** What tells the values that a walk may leave out. */
export function markOf({ columns: [column] }: Walk): CurrentMark {
  if (column?.currentMark !== undefined) return column.currentMark
  return typeof column?.currentPrefix === 'string' ? { current: column.currentPrefix, any: '' } : noMark
}

/**
 * Whether nothing in a value has to be rewritten. A document is current where what all values begin with stands in it, and everywhere as
 * the beginning of a current one. An escape could spell it otherwise: a document with an escape of such a character is looked into.
 */
export function isCurrentBy({ current, any }: CurrentMark, value: Stored): boolean {
  if (typeof value !== 'string' || current === '') return false
  if (any === '') return value.startsWith(current)
  let at = value.indexOf(any)
  if (at === -1 || value.includes('\\u00')) return false
  for (; at !== -1; at = value.indexOf(any, at + current.length)) if (!value.startsWith(current, at)) return false
  return true
}
