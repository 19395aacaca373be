import { setTimeout as sleep } from 'node:timers/promises'
import type { ErrorCode } from '../errors.ts'
import type { Field } from '../field/field.ts'
import type { Throttle } from '../keyturn.ts'
import { cellsOf, digestOf, nameOf, openCell, setAsideOf } from './cells.ts'
import { type Database, positionAfter, type Row } from './database.ts'
import { DatabaseError } from './database-error.ts'
import { Pace } from './pace.ts'
import type { FailedValue, FieldVerification, Verification } from './result.ts'
import type { SetAside } from './run.ts'
import { type TableWalk, tableWalks } from './walks.ts'

/** Reasons of values that open and could not be rewritten. */
const refusals: readonly ErrorCode[] = ['ERR_ROW_REFUSED', 'ERR_COLUMN_TOO_SHORT', 'ERR_KEY_ID_SHARED']

/** How many values a list shows; counts say how many there are. */
export const listed = 1_000
const batchRows = 1_000

/** A verification, with what a rotation keeps of it. */
export interface Checked extends Omit<Verification, 'fences'> {
  /** All values that stay as they are. */
  readonly setAsideValues: readonly SetAside[]
  /** Whether it was stopped before the end. */
  readonly aborted: boolean
}
export interface VerifyWork {
  readonly database: Database
  readonly fields: readonly Field[]
  readonly signal?: AbortSignal | undefined
  /** Values that a rotation set aside: those that still stand as they did are counted as such. */
  readonly known: readonly SetAside[]
  /** As fast as it goes unless given. */
  readonly throttle?: Throttle | undefined
  readonly onRows?: (done: number, total: number) => void
}
type Tally = { -readonly [name in Exclude<keyof FieldVerification, 'field'>]-?: number } & { setAside: number }

const none: Tally = { total: 0, current: 0, other: 0, failedCount: 0, unencrypted: 0, setAside: 0 }

/** Opens every value of some fields and counts what stands under what. Changes nothing. Memory does not grow with the tables. */
export async function verifyFields(work: VerifyWork): Promise<Checked> {
  const known = new Map(work.known.map((value) => [textOf(value), value]))
  const tallies = new Map(work.fields.map(({ name }): [string, Tally] => [name, { ...none }]))
  const setAsideValues: SetAside[] = []
  const tables = await tableWalks(work.database, work.fields, false)
  const estimate = tables.reduce((sum, { shape }) => sum + shape.rows, 0)
  const pace = new Pace(work.throttle ?? { share: 1 })
  let done = 0
  for (const table of tables) {
    const earlier = { done, setAside: setAsideValues.length }
    for await (const rows of batches(work, table)) {
      const before = performance.now()
      if (rows[0]?.anew) {
        for (const { name } of table.fields) Object.assign(tallies.get(name) as Tally, none)
        setAsideValues.length = earlier.setAside
        done = earlier.done
      }
      for (const row of rows) await checkRow(table, row, { tallies, known, setAsideValues })
      done += rows.length
      work.onRows?.(done, Math.max(done, estimate))
      pace.note(rows.length, performance.now() - before)
      await pace.rest(work.signal)
    }
  }
  const fields = work.fields.map((field) => fieldResult(field, tallies.get(field.name) as Tally))
  const sum = (part: keyof Tally) => [...tallies.values()].reduce((total, tally) => total + tally[part], 0)
  return {
    total: sum('total'),
    current: sum('current'),
    other: sum('other'),
    failed: setAsideValues.slice(0, listed).map(failedValue),
    failedCount: sum('failedCount'),
    setAside: sum('setAside'),
    fields,
    setAsideValues,
    aborted: work.signal?.aborted ?? false,
  }
}

function fieldResult({ name, only }: Field, { total, current, other, failedCount, unencrypted }: Tally): FieldVerification {
  return { field: name, total, current, other, failedCount, ...(only === null ? {} : { unencrypted }) }
}

/** The rows of a table, read one batch ahead. */
export async function* batches({ database, signal }: Pick<VerifyWork, 'database' | 'signal'>, { walk }: TableWalk): AsyncGenerator<Row[]> {
  const read = (after: readonly string[] | null) => reading(() => database.scan(walk, after, batchRows))
  let next = read(null)
  for (;;) {
    const rows = await next
    const after = positionAfter(rows)
    if (after === null || signal?.aborted) return
    next = read(after)
    next.catch(() => {})
    yield rows
  }
}

const connectionTries = 12

/** Reads again on another connection when one is lost: a verification takes long, and a lost one would begin anew. */
async function reading<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      const lost = error instanceof DatabaseError && (error.kind === 'connection' || error.kind === 'unknown-commit')
      if (!lost || attempt === connectionTries) throw error
      await sleep(Math.min(5_000, 50 * 2 ** attempt))
    }
  }
}

type Findings = {
  readonly tallies: ReadonlyMap<string, Tally>
  readonly known: ReadonlyMap<string, SetAside>
  readonly setAsideValues: SetAside[]
}

async function checkRow(table: TableWalk, row: Row, { tallies, known, setAsideValues }: Findings): Promise<void> {
  const tallyOf = (field: number) => tallies.get((table.fields[field] as Field).name) as Tally
  for (const cell of cellsOf(table, row, [], (field) => tallyOf(field).unencrypted++)) {
    const tally = tallyOf(cell.field)
    tally.total++
    const opened = await openCell(table, row, cell)
    if (!(opened instanceof Error) && (opened === 'kept' || opened.opened.current)) {
      tally.current++
      continue
    }
    const before = known.get(textOf(nameOf(table, row, cell)))
    const stands = before !== undefined && Buffer.compare(before.digest, digestOf(cell.stored)) === 0
    // A value that opens is set aside only where the database would not let us rewrite it: that it did not open once is of the past.
    if (!(opened instanceof Error) && !(stands && refusals.includes(before.reason))) {
      tally.other++
      continue
    }
    tally.failedCount++
    if (stands) tally.setAside++
    setAsideValues.push(opened instanceof Error ? setAsideOf(table, row, cell, opened) : (before as SetAside))
  }
}

function textOf({ field, row, path = '' }: Pick<SetAside, 'field' | 'row' | 'path'>): string {
  return JSON.stringify([field, Object.entries(row).sort(), path])
}

/** A value set aside, as results show it: without its digest. */
export function failedValue({ digest: _, ...shown }: SetAside): FailedValue {
  return shown
}
