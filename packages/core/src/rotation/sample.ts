import { fail } from '../errors.ts'
import type { Stored } from '../field/codec.ts'
import { printPointer, splice } from '../field/document.ts'
import type { Field } from '../field/field.ts'
import { printReference } from '../field/reference.ts'
import { type Cell, cellsOf, openCell } from './cells.ts'
import { columnOf } from './check-walk.ts'
import type { Database } from './database.ts'
import { sealedForAMoment } from './for-a-moment.ts'
import type { PlannedField } from './plan.ts'
import type { TableWalk } from './walks.ts'

/** Values looked at in each field before a rotation. */
const sampleSize = 100

/** What a sample of one field says. */
export interface Sampled {
  readonly field: PlannedField
  /** Microseconds to open and seal a value; 0 without values. */
  readonly microseconds: number
}

/**
 * Opens a sample of a field, and checks that its column can hold what will be written.
 *
 * @throws `ERR_SAMPLE` when none of its values opens: then the key or the format is wrong, and nothing may be attempted
 * @throws `ERR_COLUMN_TOO_SHORT`
 */
export async function sampleField(database: Database, table: TableWalk, index: number): Promise<Sampled> {
  const field = table.fields[index] as Field
  const { column: place } = table.places[index] as TableWalk['places'][number]
  const rows = await database.sample(table.walk, place, sampleSize)
  const counts = { sampled: 0, opened: 0, current: 0, unencrypted: 0, longest: 0 }
  const before = performance.now()
  for (const row of rows) {
    const sealed: Sealed[] = []
    const onUnencrypted = (field: number) => {
      if (field === index) counts.unencrypted++
    }
    for (const cell of cellsOf(table, row, [], onUnencrypted)) {
      if (cell.field !== index) continue
      counts.sampled++
      const opened = await openCell(table, row, cell)
      if (opened instanceof Error) continue
      counts.opened++
      if (opened === 'kept' || opened.opened.current) counts.current++
      else sealed.push({ cell, value: sealedForAMoment(field, opened.opened.plaintext, opened.bound) })
    }
    counts.longest = Math.max(counts.longest, lengthAfter(row.values[place] as Stored, sealed))
  }
  const took = performance.now() - before
  if (counts.sampled > 0 && counts.opened === 0) throw fail('ERR_SAMPLE', field.name, counts.sampled)
  const { maxLength } = columnOf(table.shape, field.location.column) ?? { maxLength: null }
  if (maxLength !== null && counts.longest > maxLength) {
    throw fail('ERR_COLUMN_TOO_SHORT', field.name, field.location.column, maxLength, counts.longest)
  }
  const { sampled, opened, current, unencrypted } = counts
  const { store, column, path } = field.location
  return {
    field: {
      field: field.name,
      column:
        store === undefined
          ? `${table.name}.${column}${path === undefined ? '' : `:${printPointer(path)}`}`
          : printReference(field.location),
      writes: field.writes.name,
      reads: field.reads.map(({ codec }) => codec.name),
      bound: field.bind.map(({ column }) => column),
      sampled,
      opened,
      current,
      ...(field.only === null ? {} : { unencrypted }),
    },
    microseconds: sampled === 0 ? 0 : (took * 1000) / sampled,
  }
}

/** A value of the sample, as it would stand. */
interface Sealed {
  readonly cell: Cell
  readonly value: Stored
}

/** How long the column would be; of a document its characters, as the database counts them. */
function lengthAfter(column: Stored, sealed: readonly Sealed[]): number {
  const edits = sealed.flatMap(({ cell: { spot }, value }) => (spot === null ? [] : [{ ...spot, value: String(value) }]))
  if (edits.length > 0) return [...splice(column as string, edits)].length
  return sealed[0]?.value.length ?? 0
}
