import type { Identified } from '../field/definition.ts'
import type { Field } from '../field/field.ts'
import type { LiveKeyring } from '../keyring/live-keyring.ts'
import type { Throttle } from '../keyturn.ts'
import { type Cell, cellsOf, openCell } from './cells.ts'
import type { Census, CensusGroup, FieldCensus } from './census.ts'
import type { Database, Row } from './database.ts'
import { Pace } from './pace.ts'
import { batches } from './verify.ts'
import { type TableWalk, tableWalks } from './walks.ts'

export interface CensusWork {
  readonly database: Database
  readonly fields: readonly Field[]
  readonly signal?: AbortSignal | undefined
  /** As fast as it goes unless given. */
  readonly throttle?: Throttle | undefined
  readonly onRows?: (done: number, total: number) => void
}

interface Tally {
  kept: number
  unreadable: number
  unencrypted: number
  readonly groups: Map<string, { -readonly [name in keyof CensusGroup]: CensusGroup[name] }>
}

const noTally = (): Tally => ({ kept: 0, unreadable: 0, unencrypted: 0, groups: new Map() })

/**
 * Counts the values of some fields by key and format. A value that names its key is not opened: that it stands under a key does not
 * say that it opens, which `verifyFields` finds out. Memory does not grow with the tables. Changes nothing.
 *
 * @returns null when `signal` was aborted: counts of some rows are no census
 */
export async function takeCensus(work: CensusWork): Promise<Census | null> {
  const tallies = new Map(work.fields.map(({ name }) => [name, noTally()]))
  const tables = await tableWalks(work.database, work.fields, false)
  const estimate = tables.reduce((sum, { shape }) => sum + shape.rows, 0)
  const pace = new Pace(work.throttle ?? { share: 1 })
  let done = 0
  let withValues = 0
  for (const table of tables) {
    const earlier = { done, withValues }
    for await (const rows of batches(work, table)) {
      const before = performance.now()
      if (rows[0]?.anew) {
        for (const { name } of table.fields) tallies.set(name, noTally())
        ;({ done, withValues } = earlier)
      }
      for (const row of rows) if (await countRow(table, row, tallies)) withValues++
      done += rows.length
      work.onRows?.(done, Math.max(done, estimate))
      pace.note(rows.length, performance.now() - before)
      await pace.rest(work.signal)
    }
  }
  if (work.signal?.aborted) return null
  return { fields: work.fields.map((field) => fieldCensus(field, tallies.get(field.name) as Tally)), rows: withValues }
}

/** @returns whether the row has a value that is not left as it is */
async function countRow(table: TableWalk, row: Row, tallies: ReadonlyMap<string, Tally>): Promise<boolean> {
  let any = false
  const tallyOf = (field: number) => tallies.get((table.fields[field] as Field).name) as Tally
  for (const cell of cellsOf(table, row, [], (field) => tallyOf(field).unencrypted++)) {
    const field = table.fields[cell.field] as Field
    const tally = tallyOf(cell.field)
    const found = identified(field, cell) ?? (await looked(table, row, cell))
    any ||= found !== 'kept'
    if (found === 'kept') tally.kept++
    else if (found === null) tally.unreadable++
    else count(tally, found)
  }
  return any
}

type Found = Identified | 'kept' | null

function identified(field: Field, { stored, keyId, fault }: Cell): Found {
  if (fault !== null) return null
  return field.isKept(stored) ? 'kept' : field.identify(stored, keyId)
}

/** Opens what says nothing of its key. The keyring may have been loaded again for it, and then know the key that it names. */
async function looked(table: TableWalk, row: Row, cell: Cell): Promise<Found> {
  const opened = await openCell(table, row, cell)
  if (opened === 'kept') return 'kept'
  return opened instanceof Error ? identified(table.fields[cell.field] as Field, cell) : opened.opened
}

function count({ groups }: Tally, { codec, version, keyring, current }: Identified): void {
  const [keyId, state] = [version === null ? null : shownId(keyring, version.id), version?.state ?? null]
  const name = `${codec.name} ${keyId} ${current}`
  const group = groups.get(name)
  const known = version !== null && keyring?.knownToAll?.has(version.id)
  if (group === undefined) groups.set(name, { codec: codec.name, keyId, state, values: 1, current, ...(known ? { knownToAll: true } : {}) })
  else group.values++
}

/**
 * A key id as it may be shown: the id of a key from the environment is derived from the key, and would let others test guesses of a
 * passphrase. Such a key is called by where it comes from.
 */
export function shownId(keyring: LiveKeyring | null, id: string): string {
  return keyring?.labels?.get(id) ?? id
}

function fieldCensus({ name, only }: Field, { kept, unreadable, unencrypted, groups }: Tally): FieldCensus {
  const sorted = [...groups.values()].sort((a, b) => Number(b.current) - Number(a.current) || b.values - a.values)
  const total = sorted.reduce((sum, { values }) => sum + values, kept + unreadable)
  return { field: name, total, groups: sorted, unreadable, kept, ...(only === null ? {} : { unencrypted }) }
}
