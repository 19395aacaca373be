import { createHash } from 'node:crypto'
import { fail, isKeyturnError, KeyturnError } from '../errors.ts'
import type { Stored } from '../field/codec.ts'
import { type FoundValue, findValues, isDocument, printPointer } from '../field/document.ts'
import type { Field, Opened } from '../field/field.ts'
import type { Row } from './database.ts'
import type { SetAside } from './run.ts'
import type { TableWalk } from './walks.ts'

/** One value where it stands: a whole column, or one string of a document. */
export interface Cell {
  /** Index of its field in `table.fields`. */
  readonly field: number
  /** What stands there; for what cannot be a value, its text. */
  readonly stored: Stored
  /** The key id beside it; null where there is none. */
  readonly keyId: string | null
  /** Where inside the document; null: it is the whole column. */
  readonly spot: FoundValue | null
  /** Why it cannot be a value at all: a document that is none, or no string at the path. */
  readonly fault: KeyturnError | null
}

/** A value opened, with the bytes it is bound to; `kept`: one that the field leaves as it is; or why it does not open. */
export type OpenedCell = { readonly opened: Opened; readonly bound: readonly Uint8Array[] } | 'kept' | KeyturnError

/** Codes for which a value is set aside; all others stop the run. */
const reasons = [
  'ERR_DECRYPT',
  'ERR_EMPTY_VALUE',
  'ERR_KEY_NOT_FOUND',
  'ERR_KEY_NOT_LOADED',
  'ERR_DEVELOPMENT_KEY',
  'ERR_NOT_TEXT',
] as const

const nothing: readonly never[] = Object.freeze([])

/** Told of a string that the field with this index leaves as it is, because it takes only what is encrypted. */
export type OnUnencrypted = (field: number) => void

/** The values of a row, field by field, those of a document in its order, put behind `cells`. @throws `ERR_CONFIG` where two fields have the same value */
export function cellsOf(table: TableWalk, row: Row, cells: Cell[] = [], onUnencrypted?: OnUnencrypted): Cell[] {
  const before = cells.length
  for (let field = 0; field < table.fields.length; field++) {
    const { column, keyId: keyIdAt, path } = table.places[field] as TableWalk['places'][number]
    const stored = row.values[column] ?? null
    if (stored === null) continue
    const keyId = keyIdAt === null ? null : ((row.values[keyIdAt] ?? null) as string | null)
    if (path === null) cells.push({ field, stored, keyId, spot: null, fault: null })
    else addFromDocument(table, cells, before, { field, stored: stored as string, keyId, onUnencrypted })
  }
  return cells
}

interface InDocument extends Pick<Cell, 'field' | 'keyId'> {
  readonly stored: string
  readonly onUnencrypted: OnUnencrypted | undefined
}

/** @param ofRow - index of the first value of the row */
function addFromDocument(table: TableWalk, cells: Cell[], ofRow: number, given: InDocument): void {
  const { field, stored: text, keyId, onUnencrypted } = given
  const declared = table.fields[field] as Field
  const { name, where } = declared
  const { path, column } = table.places[field] as TableWalk['places'][number]
  const before = cells.length
  if (typeof text !== 'string' || !isDocument(text, path ?? nothing)) {
    cells.push({ field, stored: text, keyId, spot: null, fault: fail('ERR_DOCUMENT', name) })
    return
  }
  const taken = before === ofRow ? null : takenIn(table, column, cells.slice(ofRow))
  for (const spot of findValues(text, path ?? nothing, where)) {
    if (!isValue(declared, spot)) {
      if (spot.value !== null) onUnencrypted?.(field)
      continue
    }
    const fault = spot.value === null ? fail('ERR_DOCUMENT', name) : null
    cells.push({ field, stored: spot.value ?? text.slice(spot.start, spot.end), keyId, spot, fault })
    const other = taken?.get(spot.start)
    if (other !== undefined) throw metTwice(name, (table.fields[other] as Field).name, spot)
  }
}

// A string that only looks like a value is one: it is set aside and listed, where a damaged value would else pass for plain text.
function isValue(field: Field, { value }: FoundValue): boolean {
  return field.only === null || (value !== null && (field.isKept(value) || field.claims(value)))
}

/** Where the values of other fields stand in the same document, with the index of their field. By place: documents may hold many. */
function takenIn(table: TableWalk, column: number, cells: readonly Cell[]): Map<number, number> {
  const taken = new Map<number, number>()
  for (const { spot, field } of cells) if (spot !== null && table.places[field]?.column === column) taken.set(spot.start, field)
  return taken
}

/** Patterns and conditions can meet in one value: then it is not known which field's it is. */
function metTwice(name: string, other: string, { path }: FoundValue): KeyturnError {
  return fail(
    'ERR_CONFIG',
    `field "${name}"`,
    `a value at ${printPointer(path)} is of field "${other}" as well. Tell them apart by path or "where"`,
  )
}

/**
 * What their fields can open of these values at once, in their order; null where each must be opened by itself.
 *
 * @param rows - the row of each value
 * @param opened - what is known of them already; null: nothing
 */
export function openTogether(
  table: TableWalk,
  rows: readonly Row[],
  cells: readonly Cell[],
  opened: (OpenedCell | null)[] = new Array(cells.length).fill(null),
): (OpenedCell | null)[] {
  for (let index = 0; index < table.fields.length; index++) {
    const field = table.fields[index] as Field
    const at: number[] = []
    const [stored, bound]: [Stored[], (readonly Uint8Array[])[]] = [[], []]
    const keyIds: (string | null)[] | undefined = field.keyId === null ? undefined : []
    for (let position = 0; position < cells.length; position++) {
      const cell = cells[position] as Cell
      if (cell.field !== index || cell.fault !== null || opened[position] !== null || field.isKept(cell.stored)) continue
      at.push(position)
      stored.push(cell.stored)
      keyIds?.push(cell.keyId)
      bound.push(boundOf(table, rows[position] as Row, index))
    }
    const found = field.openMany(stored, bound, keyIds)
    for (let number = 0; number < at.length; number++) {
      const one = found[number] ?? null
      if (one !== null) opened[at[number] as number] = { opened: one, bound: bound[number] as readonly Uint8Array[] }
    }
  }
  return opened
}

function boundOf(table: TableWalk, row: Row, field: number): readonly Uint8Array[] {
  const { bound } = table.places[field] as TableWalk['places'][number]
  return (table.fields[field] as Field).canonicalBound(bound.length === 0 ? nothing : bound.map((at) => row.bound[at]))
}

/** Opens one value with the keys that are loaded here. */
export function openLoaded(table: TableWalk, row: Row, { field: index, stored, keyId, fault }: Cell): OpenedCell {
  if (fault !== null) return fault
  const field = table.fields[index] as Field
  if (field.isKept(stored)) return 'kept'
  try {
    const bound = boundOf(table, row, index)
    return { opened: field.open(stored, bound, keyId), bound }
  } catch (error) {
    if (isKeyturnError(error, ...reasons)) return error
    throw error
  }
}

/** Opens one value of a row. A key id that this process has not seen may be a newer version's: then the keyring is asked once more. */
export async function openCell(table: TableWalk, row: Row, cell: Cell): Promise<OpenedCell> {
  const opened = openLoaded(table, row, cell)
  if (!isUnknown(opened)) return opened
  await (table.fields[cell.field] as Field).reload(cell.stored, cell.keyId)
  return openLoaded(table, row, cell)
}

/** Whether a value names a key that is not loaded here. */
export function isUnknown(opened: OpenedCell): boolean {
  return opened instanceof KeyturnError && opened.code === 'ERR_KEY_NOT_LOADED'
}

/** A value that does not open, as the list of values set aside names it. */
export function setAsideOf(table: TableWalk, row: Pick<Row, 'key'>, cell: Cell, { code }: Pick<KeyturnError, 'code'>): SetAside {
  return {
    ...nameOf(table, row, cell),
    reason: code === 'ERR_KEY_NOT_LOADED' ? 'ERR_KEY_NOT_FOUND' : code,
    digest: digestOf(cell.stored),
  }
}

/** How lists name a value: its field, its row and, inside a document, its path. */
export function nameOf(table: TableWalk, { key }: Pick<Row, 'key'>, cell: Cell): Pick<SetAside, 'field' | 'row' | 'path'> {
  const name = { field: (table.fields[cell.field] as Field).name, row: table.rowName(key) }
  return cell.spot === null || cell.spot.path.length === 0 ? name : { ...name, path: printPointer(cell.spot.path) }
}

/** SHA-256 of a stored value, to recognise it again without keeping it. */
export function digestOf(stored: Stored): Buffer {
  return createHash('sha256').update(stored).digest()
}
