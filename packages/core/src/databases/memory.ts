import { randomBytes } from 'node:crypto'
import type { LoggedEvent } from '../audit/chain.ts'
import { fail } from '../errors.ts'
import type { Change, Database, DatabaseTransaction, ExclusiveTransaction, Walk } from '../rotation/database.ts'
import { DatabaseError } from '../rotation/database-error.ts'
import { Application } from './memory/application.ts'
import { type Contents, copyOf, mapKey, rowMap, Store } from './memory/contents.ts'
import { advance, memoryRunStore } from './memory/run-store.ts'
import { assertFits, fullName, type MemoryRow, type MemoryTable, same, sampleRows, scanRows, shapeOf } from './memory/table.ts'

/** What a test runs at certain moments. They can be set and taken away at any time. */
export interface MemoryHooks {
  /** After rows were read by `Database.scan` and before the engine has them: what is written here lies between scan and swap. */
  afterScan?: ((walk: Walk) => void | Promise<void>) | undefined
  /** After the work of a transaction and before its commit. When it throws, everything is rolled back. Must not write. */
  beforeCommit?: (() => void | Promise<void>) | undefined
  /** After a commit. When it throws, the commit has happened and the engine does not know. */
  afterCommit?: (() => void | Promise<void>) | undefined
}

/** A database in memory, with what a test needs of it. */
export interface MemoryDatabase extends Database {
  readonly application: Application
  readonly hooks: MemoryHooks
  /** The audit chain. */
  events(): readonly LoggedEvent[]
}

/** What a database in memory begins with. */
export interface MemoryOptions {
  readonly tables: readonly MemoryTable[]
  /** The clock of leases and of the audit chain; the machine's unless given. */
  readonly now?: () => Date
  /** Whether it says that Keyturn's own state exists; true unless given. */
  readonly recorded?: boolean
}

/**
 * A database in memory, for tests: nothing is kept. It has the duties of every Database. Transactions take turns, so work inside
 * one must not wait for another; readers see what is committed and do not wait.
 *
 * @example
 * const database = memory({ tables: [{ name: 'users', key: [{ name: 'id', type: 'int' }], columns: [{ name: 'token', type: 'text' }] }] })
 * await database.application.insert('users', { id: 1, token: 'a' })
 * await database.application.rows('users') // [{ id: 1, token: 'a' }]
 */
export default function memory({ tables, now = () => new Date(), recorded = true }: MemoryOptions): MemoryDatabase {
  const store = new Store(tables, now)
  const hooks: MemoryHooks = {}
  const keys = new Map<string, Uint8Array>()
  const application = new Application(store)
  const commit = async <T>(work: (copy: Contents) => Promise<T>): Promise<T> => {
    const result = await store.change(async (copy) => {
      const worked = await work(copy)
      await hooks.beforeCommit?.()
      return worked
    })
    await hooks.afterCommit?.()
    return result
  }
  return {
    name: 'memory',
    application,
    hooks,
    events: () => store.committed.events,
    ...reads(store, hooks),
    transaction: (work) => commit((copy) => work(transaction(store, copy))),
    exclusive: (_walks, work) => commit((copy) => work(exclusiveTransaction(store, copy, application))),
    otherSessions: async () => application.sessions,
    holds: async () => holdsOf(store.committed),
    releaseHold: (rotationId, event) =>
      store.change((copy) => {
        const released = holdsOf(copy).find((held) => held.rotationId === rotationId)?.tables ?? []
        for (const table of released) copy.holds.delete(table)
        if (released.length > 0 && recorded) store.log(copy, event)
        return released
      }),
    hasState: async () => recorded,
    keptKey: async (name) => {
      const key = keys.get(name) ?? randomBytes(32)
      keys.set(name, key)
      return key
    },
    runs: memoryRunStore(store),
    fencing: null,
  }
}

/** What needs no transaction. */
function reads(store: Store, hooks: MemoryHooks): Pick<Database, 'inspect' | 'tables' | 'walk' | 'scan' | 'sample'> {
  const { tables } = store
  return {
    inspect: async (locations) =>
      locations.map(({ schema, table: name }) => {
        const same = locations.filter((other) => other.schema === schema && other.table === name).map(({ column }) => column)
        const table = tables.find((each) => fullName(each) === `${schema ?? 'public'}.${name}`)
        return table === undefined ? null : shapeOf(table, store.rowsOf(table), same)
      }),
    tables: async () => tables.map((table) => fullName(table).replace(/^public\./, '')).sort(),
    walk: async (shape, columns, bound) => {
      const types = new Map(store.table(`${shape.schema}.${shape.table}`).key.map(({ name, type }) => [name, type]))
      return {
        schema: shape.schema,
        table: shape.table,
        key: shape.key.map((name) => ({ name, type: types.get(name) ?? 'text' })),
        columns,
        bound,
      }
    },
    scan: async (walk, after, limit) => {
      const table = tableOf(store, walk)
      const rows = scanRows(table, store.rowsOf(table), walk, { after, limit })
      await hooks.afterScan?.(walk)
      return rows
    },
    sample: async (walk, column, limit) => {
      const table = tableOf(store, walk)
      return sampleRows(table, store.rowsOf(table), walk, { column, limit })
    },
  }
}

function tableOf(store: Store, { schema, table }: Walk): MemoryTable {
  return store.table(`${schema}.${table}`)
}

function transaction(store: Store, copy: Contents): DatabaseTransaction {
  return {
    swap: async (walk, changes) => {
      const table = tableOf(store, walk)
      const held = copy.holds.get(fullName(table))
      if (changes.length > 0 && held !== undefined && walk.columns.some(({ column }) => held.columns.includes(column))) {
        throw new DatabaseError('data', 'KT001', 'running a statement')
      }
      const rows = rowMap(copy, table)
      return changes.flatMap((change, index) => (swapRow(table, rows, walk, change) ? [] : [index]))
    },
    advance: async (lease, progress, setAside) => advance(copy, lease, { now: store.now().getTime() }, { progress, setAside }),
  }
}

function swapRow(
  table: MemoryTable,
  rows: Map<string, MemoryRow>,
  { columns, bound: boundTo }: Walk,
  { key, from, to, bound }: Change,
): boolean {
  const row = rows.get(mapKey(key))
  if (row === undefined) return false
  if (bound !== undefined && !boundTo.every(({ column }, index) => same((row[column] ?? null) as never, (bound[index] ?? null) as never)))
    return false
  if (!columns.every(({ column }, index) => same((row[column] ?? null) as (typeof from)[number], from[index] ?? null))) return false
  const swapped = { ...row, ...Object.fromEntries(columns.map(({ column }, index) => [column, to[index] ?? null])) }
  assertFits(table, swapped)
  rows.set(mapKey(key), swapped)
  return true
}

function exclusiveTransaction(store: Store, copy: Contents, application: Application): ExclusiveTransaction {
  return {
    ...transaction(store, copy),
    scan: async (walk, after, limit) => {
      const table = tableOf(store, walk)
      return scanRows(table, store.rowsOf(table, copy), walk, { after, limit })
    },
    hold: async (walks, rotationId) => {
      for (const walk of walks) {
        const name = fullName(tableOf(store, walk))
        const held = copy.holds.get(name)
        if (held !== undefined && held.rotationId !== rotationId) throw fail('ERR_HELD', name, held.rotationId)
        copy.holds.set(name, { rotationId, columns: walk.columns.map(({ column }) => column) })
      }
    },
    // Only the application meets a hold here; our own writes never do.
    liftHold: async () => {},
    attempt: async (work) => {
      const before = copyOf(copy)
      try {
        return await work()
      } catch (error) {
        Object.assign(copy, before)
        throw error
      }
    },
    otherSessions: async () => application.sessions,
  }
}

function holdsOf({ holds }: Contents): { rotationId: string; tables: string[] }[] {
  const byRotation = new Map<string, string[]>()
  for (const [table, { rotationId }] of holds) byRotation.set(rotationId, [...(byRotation.get(rotationId) ?? []), table].sort())
  return [...byRotation].sort(([a], [b]) => (a < b ? -1 : 1)).map(([rotationId, tables]) => ({ rotationId, tables }))
}
