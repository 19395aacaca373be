import { emptyHead, type LoggedEvent, nextEvent } from '../../audit/chain.ts'
import type { AuditEvent } from '../../audit/event.ts'
import { fail } from '../../errors.ts'
import type { Run, SetAside } from '../../rotation/run.ts'
import { assertFits, fullName, keyOf, type MemoryRow, type MemoryTable } from './table.ts'

/** A run with its lease. */
export interface RunRecord {
  readonly run: Run
  readonly epoch: number
  /** When the lease ends, in milliseconds; null: it is free. */
  readonly until: number | null
}
/** Writes of a table that are refused. */
export interface Held {
  readonly rotationId: string
  readonly columns: readonly string[]
}

/** Everything that one commit replaces. What the maps hold is never changed in place. */
export interface Contents {
  /** Rows by `schema.table` and by their key. */
  readonly rows: ReadonlyMap<string, Map<string, MemoryRow>>
  readonly runs: Map<string, RunRecord>
  /** By run; then each value by field and row, with its pass. */
  readonly setAside: Map<string, ReadonlyMap<string, { readonly value: SetAside; readonly pass: number }>>
  /** By `schema.table`. */
  readonly holds: Map<string, Held>
  readonly events: LoggedEvent[]
}

/**
 * What is committed, and the one who may change it: changes take turns, and each is all or nothing. Readers see what is committed
 * and never wait.
 */
export class Store {
  readonly tables: readonly MemoryTable[]
  readonly now: () => Date
  #committed: Contents
  #turn: Promise<void> = Promise.resolve()

  constructor(tables: readonly MemoryTable[], now: () => Date) {
    this.tables = tables
    this.now = now
    const rows = tables.map(
      (table) => [fullName(table), new Map((table.rows ?? []).map((row) => [mapKey(keyOf(table, row)), row]))] as const,
    )
    this.#committed = { rows: new Map(rows), runs: new Map(), setAside: new Map(), holds: new Map(), events: [] }
    for (const table of tables) for (const row of this.rowsOf(table)) assertFits(table, row)
  }

  get committed(): Contents {
    return this.#committed
  }

  /** A table by its name, with or without `public.`. @throws `ERR_UNKNOWN_NAME` */
  table(name: string): MemoryTable {
    const table = this.tables.find((each) => fullName(each) === name || fullName(each) === `public.${name}`)
    if (table === undefined) throw fail('ERR_UNKNOWN_NAME', 'table', name, '')
    return table
  }

  rowsOf(table: MemoryTable, contents: Contents = this.#committed): Iterable<MemoryRow> {
    return rowMap(contents, table).values()
  }

  /** Runs `work` on a copy when everybody before has finished, and puts the copy in place unless it throws. */
  async change<T>(work: (copy: Contents) => T | Promise<T>): Promise<T> {
    const before = this.#turn
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#turn = promise
    await before
    try {
      const copy = copyOf(this.#committed)
      const result = await work(copy)
      this.#committed = copy
      return result
    } finally {
      resolve()
    }
  }

  /** Adds an event to the chain of a copy. */
  log({ events }: Contents, event: AuditEvent): void {
    events.push(nextEvent(events.at(-1) ?? emptyHead, event, this.now()))
  }
}

/** A copy that can be changed without the other. */
export function copyOf({ rows, runs, setAside, holds, events }: Contents): Contents {
  return {
    rows: new Map([...rows].map(([name, map]) => [name, new Map(map)])),
    runs: new Map(runs),
    setAside: new Map(setAside),
    holds: new Map(holds),
    events: [...events],
  }
}

export function mapKey(key: readonly string[]): string {
  return JSON.stringify(key)
}

export function rowMap({ rows }: Contents, table: MemoryTable): Map<string, MemoryRow> {
  return rows.get(fullName(table)) ?? new Map()
}
