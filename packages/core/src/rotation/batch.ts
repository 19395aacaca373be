import { fail, isKeyturnError, KeyturnError } from '../errors.ts'
import type { Stored } from '../field/codec.ts'
import { type Edit, splice } from '../field/document.ts'
import type { Field, Opened } from '../field/field.ts'
import type { LiveKeyring } from '../keyring/live-keyring.ts'
import {
  type Cell,
  cellsOf,
  digestOf,
  isUnknown,
  nameOf,
  type OpenedCell,
  openCell,
  openLoaded,
  openTogether,
  setAsideOf,
} from './cells.ts'
import { type Change, positionAfter, type Row } from './database.ts'
import type { DatabaseError } from './database-error.ts'
import { type Testimony, testify } from './preserved.ts'
import type { SetAside } from './run.ts'
import type { TableWalk } from './walks.ts'

/** Rows read, with what should become of them. Nothing is written yet. */
export interface SealedBatch {
  readonly changes: readonly SealedChange[]
  readonly setAside: readonly SetAside[]
  /** Values found current, with those that are kept. */
  readonly current: number
  /** Values that no key opens and that stay, because the field says so. */
  readonly kept: number
  /** What the walk goes on after; null when no row was read. */
  readonly last: readonly string[] | null
  readonly rows: number
}
/** A row to change, with its values that are rewritten. */
export interface SealedChange extends Change {
  readonly cells: readonly Cell[]
  /** What they decrypt to, before and after. */
  readonly testimony: Testimony
}

/**
 * Rows opened and sealed before the event loop has its turn again: about a millisecond of work. An application in the same process
 * stays responsive, and the batch that is being written does not wait for this one to be sealed.
 */
const breath = 128

/**
 * Opens the values of some rows, encrypts again those that are not current, and decrypts each result to compare it. Changes nothing.
 *
 * @throws `ERR_ROUND_TRIP` when a new value does not decrypt to what was encrypted
 */
export async function sealBatch(table: TableWalk, rows: readonly Row[]): Promise<SealedBatch> {
  const batch = { changes: [] as SealedChange[], setAside: [] as SetAside[], current: 0, kept: 0 }
  for (let start = 0; start < rows.length; start += breath) {
    if (start > 0) await new Promise(setImmediate)
    const opened = await openRows(table, rows.slice(start, start + breath))
    const stale: OpenedRow[] = []
    for (const row of opened) {
      batch.current += row.current
      batch.kept += row.kept
      if (row.setAside.length > 0) batch.setAside.push(...row.setAside)
      if (row.stale.length > 0) stale.push(row)
    }
    const sealed = await sealReserving(table, stale)
    batch.changes.push(...checked(table, sealed))
  }
  return { ...batch, last: positionAfter(rows), rows: rows.length }
}

interface OpenedRow {
  readonly row: Row
  readonly stale: readonly StaleCell[]
  readonly setAside: readonly SetAside[]
  readonly current: number
  readonly kept: number
}
/** A value that is rewritten. One object for all its steps: one for each would cost a good part of the sealing. */
interface StaleCell {
  readonly cell: Cell
  readonly plaintext: Uint8Array
  readonly bound: readonly Uint8Array[]
  /** Once it is sealed: what will stand, with its key id where one stands beside it. */
  sealed: Stored
  keyId: string | null
  /** Once that is opened again. */
  again: Uint8Array
}

const nothing: readonly never[] = Object.freeze([])
const unset = new Uint8Array()

// A promise for each value would cost a tenth of all that is done with it: there is one only where a key id is unknown.
async function openRows(table: TableWalk, rows: readonly Row[]): Promise<OpenedRow[]> {
  const cells: Cell[] = []
  const rowOf: Row[] = []
  const ends: number[] = []
  for (const row of rows) {
    cellsOf(table, row, cells)
    while (rowOf.length < cells.length) rowOf.push(row)
    ends.push(cells.length)
  }
  const results = openTogether(table, rowOf, cells, currentInDocuments(table, cells))
  for (let at = 0; at < cells.length; at++) {
    if (results[at] !== null) continue
    const [row, cell] = [rowOf[at] as Row, cells[at] as Cell]
    const opened = openLoaded(table, row, cell)
    // A key id that this process has not seen may be a newer version's: then the keyring is asked once more.
    results[at] = isUnknown(opened) ? await openCell(table, row, cell) : opened
  }
  return rows.map((row, at) =>
    sortOut(table, row, { cells, results: results as OpenedCell[], from: ends[at - 1] ?? 0, to: ends[at] as number }),
  )
}

/** Values inside documents that begin as current ones do: they are left as they are without a look, as a scan leaves out whole columns of them. */
function currentInDocuments(table: TableWalk, cells: readonly Cell[]): (OpenedCell | null)[] {
  const prefixes = table.fields.map((field) => field.currentPrefix())
  return cells.map(({ field, spot, stored }) => {
    const prefix = prefixes[field]
    const current = spot !== null && typeof prefix === 'string' && typeof stored === 'string' && stored.startsWith(prefix)
    return current ? 'kept' : null
  })
}

/** The values of one row among those of others. */
interface Found {
  readonly cells: readonly Cell[]
  readonly results: readonly OpenedCell[]
  readonly from: number
  readonly to: number
}

function sortOut(table: TableWalk, row: Row, found: Found): OpenedRow {
  const stale: StaleCell[] = []
  let setAside: readonly SetAside[] = nothing
  let current = 0
  let kept = 0
  for (let at = found.from; at < found.to; at++) {
    const [cell, result] = [found.cells[at] as Cell, found.results[at] as OpenedCell]
    if (result === 'kept') kept++
    else if (result instanceof KeyturnError) setAside = [...setAside, setAsideOf(table, row, cell, result)]
    else if (result.opened.current) current++
    else stale.push({ cell, plaintext: result.opened.plaintext, bound: result.bound, sealed: '', keyId: null, again: unset })
  }
  const opened: OpenedRow = { row, stale, setAside, current: current + kept, kept }
  if (setAside.length === 0 || stale.every(({ cell }) => keyIdAt(table, cell) === null)) return opened
  return apart(table, opened, found)
}

const keyIdAt = (table: TableWalk, { field }: Cell) => table.places[field]?.keyId ?? null

/** Values with one key id beside them change together or not at all: a new id beside a value that stays would lose it its key. */
function apart(table: TableWalk, opened: OpenedRow, { cells, results, from, to }: Found): OpenedRow {
  const { row, stale, setAside } = opened
  const stuck = new Set<number | null>()
  for (let at = from; at < to; at++) if (results[at] instanceof KeyturnError) stuck.add(keyIdAt(table, cells[at] as Cell))
  const stays = ({ cell }: StaleCell) => keyIdAt(table, cell) !== null && stuck.has(keyIdAt(table, cell))
  const tied = stale.filter(stays).map(({ cell }) => setAsideOf(table, row, cell, fail('ERR_KEY_ID_SHARED', fieldName(table, cell))))
  return { ...opened, stale: stale.filter((each) => !stays(each)), setAside: [...setAside, ...tied] }
}

const fieldName = (table: TableWalk, { field }: Cell) => (table.fields[field] as Field).name

/** Reserves message counts for all values that will be encrypted, one sum for each keyring. */
async function reserve(table: TableWalk, rows: readonly OpenedRow[]): Promise<void> {
  const messages = new Map<LiveKeyring, number>()
  for (const { stale } of rows) {
    for (const { cell } of stale) {
      const { keyring } = table.fields[cell.field] as Field
      messages.set(keyring, (messages.get(keyring) ?? 0) + 1)
    }
  }
  for (const [keyring, count] of messages) await keyring.reserve(count)
}

const reserveTries = 100

/** Seals what is stale of some rows. What was reserved for us the application may have spent by then. */
async function sealReserving(table: TableWalk, rows: readonly OpenedRow[]): Promise<SealedRow[]> {
  for (let tries = 1; ; tries++) {
    await reserve(table, rows)
    try {
      return sealRows(table, rows)
    } catch (error) {
      if (tries === reserveTries || !isKeyturnError(error, 'ERR_KEY_NOT_LOADED')) throw error
    }
  }
}

interface SealedRow {
  readonly row: Row
  readonly stale: readonly StaleCell[]
  readonly to: readonly (Stored | null)[]
}

/** All values at once: those of a row that share a key id must be sealed by one version, and a keyring changes only while somebody waits. */
function sealRows(table: TableWalk, rows: readonly OpenedRow[]): SealedRow[] {
  for (let index = 0; index < table.fields.length; index++) {
    const values = staleOf(rows, index)
    if (values.length === 0) continue
    const { stored, keyId } = (table.fields[index] as Field).sealMany(values.map(plaintextOf), values.map(boundOf))
    for (let at = 0; at < values.length; at++) {
      const value = values[at] as StaleCell
      value.sealed = stored[at] as Stored
      value.keyId = keyId
    }
  }
  return rows.map(({ row, stale }) => ({ row, stale, to: newValues(table, row, stale) }))
}

/** The stale values of one field. */
function staleOf(rows: readonly Pick<OpenedRow, 'stale'>[], field: number): StaleCell[] {
  const values: StaleCell[] = []
  for (const { stale } of rows) for (const value of stale) if (value.cell.field === field) values.push(value)
  return values
}

const plaintextOf = ({ plaintext }: StaleCell) => plaintext
const boundOf = ({ bound }: StaleCell) => bound
const sealedOf = ({ sealed }: StaleCell) => sealed
const keyIdOf = ({ keyId }: StaleCell) => keyId
const cellOf = ({ cell }: StaleCell) => cell

/** What the columns of a row will hold. */
function newValues(table: TableWalk, row: Row, stale: readonly StaleCell[]): (Stored | null)[] {
  const to = row.values.slice()
  let documents: Map<number, Edit[]> | null = null
  for (const { cell, sealed, keyId } of stale) {
    const { column, keyId: keyIdAt } = table.places[cell.field] as TableWalk['places'][number]
    if (keyIdAt !== null) to[keyIdAt] = keyId
    if (cell.spot === null) {
      to[column] = sealed
      continue
    }
    if (typeof sealed !== 'string')
      throw fail('ERR_CONFIG', `field "${fieldName(table, cell)}"`, 'a document holds text, and the format writes bytes')
    const { start, end } = cell.spot
    documents ??= new Map()
    documents.set(column, [...(documents.get(column) ?? []), { start, end, value: sealed }])
  }
  for (const [column, edits] of documents ?? nothing) to[column] = splice(to[column] as string, edits)
  return to
}

/** Decrypts every new value and compares it with what was encrypted. @throws `ERR_ROUND_TRIP` */
function checked(table: TableWalk, rows: readonly SealedRow[]): SealedChange[] {
  for (let index = 0; index < table.fields.length; index++) openAgain(table.fields[index] as Field, index, rows)
  const testimonies = testify(table, rows)
  return rows.map(({ row, stale, to }, index) => ({
    key: row.key,
    from: row.values,
    to,
    bound: row.bound,
    cells: stale.map(cellOf),
    testimony: testimonies[index] as Testimony,
  }))
}

function openAgain(field: Field, index: number, rows: readonly SealedRow[]): void {
  const values = staleOf(rows, index)
  const together = field.openMany(values.map(sealedOf), values.map(boundOf), field.keyId === null ? undefined : values.map(keyIdOf))
  for (let at = 0; at < values.length; at++) {
    const value = values[at] as StaleCell
    const again = together[at] ?? reopened(field, value.sealed, value.bound, value.keyId)
    if (again?.codec !== field.writes || Buffer.compare(again.plaintext, value.plaintext) !== 0) throw fail('ERR_ROUND_TRIP', field.name)
    value.again = again.plaintext
  }
}

/** Null for a new value that does not open: then it is the round trip that failed, and not a value of the application's. */
function reopened(field: Field, stored: Stored, bound: readonly Uint8Array[], keyId: string | null | undefined): Opened | null {
  try {
    return field.open(stored, bound, keyId)
  } catch (error) {
    if (isKeyturnError(error, 'ERR_DECRYPT')) return null
    throw error
  }
}

/** The values of a row that the database refuses to replace, as the list of values set aside names them. */
export function refusedValues(table: TableWalk, change: SealedChange, error: DatabaseError): SetAside[] {
  const reason = error.detail === '22001' ? 'ERR_COLUMN_TOO_SHORT' : 'ERR_ROW_REFUSED'
  return change.cells.map((cell) => ({ ...nameOf(table, change, cell), reason, digest: digestOf(cell.stored) }))
}
