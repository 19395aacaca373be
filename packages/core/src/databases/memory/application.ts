import { fail } from '../../errors.ts'
import { DatabaseError } from '../../rotation/database-error.ts'
import { type Contents, mapKey, rowMap, type Store } from './contents.ts'
import { assertFits, fullName, keyOf, type MemoryRow } from './table.ts'

/** Writes of the application, in one transaction. `key` has the columns of the table's key. */
export interface ApplicationTransaction {
  /** @throws `ERR_HELD`; DatabaseError `23505` where the key is there already */
  insert(table: string, row: MemoryRow): void
  /** Changes some columns of a row; a row that is not there is passed over. @throws `ERR_HELD` */
  update(table: string, key: MemoryRow, changes: MemoryRow): void
  delete(table: string, key: MemoryRow): void
}

/** The application as a test plays it: reads what is committed, and writes when no transaction is open. */
export class Application {
  /** How many client sessions of it are said to be connected. */
  sessions = 0
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  /** All rows of a table, in no order. */
  async rows(table: string): Promise<MemoryRow[]> {
    return [...this.#store.rowsOf(this.#store.table(table))]
  }

  /** Several writes, all or none. Waits while a transaction of others is open. */
  transaction<T>(work: (tx: ApplicationTransaction) => T | Promise<T>): Promise<T> {
    return this.#store.change((copy) => work(writes(this.#store, copy)))
  }

  insert(table: string, row: MemoryRow): Promise<void> {
    return this.transaction((tx) => tx.insert(table, row))
  }

  update(table: string, key: MemoryRow, changes: MemoryRow): Promise<void> {
    return this.transaction((tx) => tx.update(table, key, changes))
  }

  delete(table: string, key: MemoryRow): Promise<void> {
    return this.transaction((tx) => tx.delete(table, key))
  }
}

function writes(store: Store, copy: Contents): ApplicationTransaction {
  const assertNotHeld = (table: string, columns: readonly string[] | null) => {
    const held = copy.holds.get(table)
    if (held !== undefined && (columns === null || columns.some((name) => held.columns.includes(name))))
      throw fail('ERR_HELD', table, held.rotationId)
  }
  return {
    insert: (name, row) => {
      const table = store.table(name)
      assertNotHeld(fullName(table), null)
      assertFits(table, row)
      const rows = rowMap(copy, table)
      const key = mapKey(keyOf(table, row))
      if (rows.has(key)) throw new DatabaseError('data', '23505', 'running a statement')
      rows.set(key, row)
    },
    update: (name, key, changes) => {
      const table = store.table(name)
      assertNotHeld(fullName(table), Object.keys(changes))
      const rows = rowMap(copy, table)
      const at = mapKey(keyOf(table, key))
      const row = rows.get(at)
      if (row === undefined) return
      const changed = { ...row, ...changes }
      assertFits(table, changed)
      rows.delete(at)
      rows.set(mapKey(keyOf(table, changed)), changed)
    },
    delete: (name, key) => {
      const table = store.table(name)
      rowMap(copy, table).delete(mapKey(keyOf(table, key)))
    },
  }
}
