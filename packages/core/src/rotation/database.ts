import type { AuditEvent } from '../audit/event.ts'
import type { BoundType } from '../field/bound.ts'
import type { Stored } from '../field/codec.ts'
import type { Location } from '../field/location.ts'
import type { Fencing } from './fencing.ts'
import type { RunStore, RunTransaction } from './run.ts'
import type { FindTokens } from './token-column.ts'

/** How values stand in a column: as text, as bytes, or inside a document, which is read and compared as text. */
export type Holds = 'text' | 'bytes' | 'json' | 'jsonb'

/** One column of a table, as the plan sees it. */
export interface ColumnShape {
  readonly name: string
  /** As the database prints it: `character varying(255)`. */
  readonly type: string
  /** How values stand in it; null: they cannot. */
  readonly holds: Holds | null
  /** Characters at most; null without a limit. */
  readonly maxLength: number | null
  readonly nullable: boolean
  /** The type of bound values it gives, or null if nothing can be bound to it. */
  readonly boundType: BoundType | null
  /** Whether the database gives it a value at insert (identity, sequence, generated, default). */
  readonly assigned: boolean
}

/** A table, as the plan sees it. */
export interface TableShape {
  /** As `Location.store`. */
  readonly store?: 'redis'
  readonly schema: string
  readonly table: string
  /** `table` (also partitioned), or what else it is, in words: `a view`. */
  readonly kind: string
  readonly columns: readonly ColumnShape[]
  /** The columns of the unique key by which rows are walked; empty if there is none. */
  readonly key: readonly string[]
  /** Estimates of the database's statistics. */
  readonly rows: number
  readonly bytes: number
  /** Privileges that a rotation needs and the user lacks: `UPDATE`. */
  readonly missingPrivileges: readonly string[]
  /** Whether the user owns it, or may act as its owner: needed to make a hold. */
  readonly owned: boolean
  /** Whether the user may lock it against writers: needed in transaction mode. */
  readonly lockable: boolean
  /** Why nothing can be rewritten there, in words, where that is known. */
  readonly refusesWrites?: string
  /** What a rotation sets off: triggers, publications, in words. */
  readonly notes: readonly string[]
}

/** A column within a walk: of one field, of several in the same document, or of key ids. Each column of the table is there once. */
export interface WalkColumn {
  /** A field that stands in it. */
  readonly field: string
  readonly column: string
  readonly holds: Holds
  /** Values that begin with this are current: the scan may leave out rows in which all are. Null: read all. */
  readonly currentPrefix: Stored | null
  /** As `currentPrefix`: values beside which this key id stands are current. */
  readonly currentKeyId?: { readonly column: string; readonly id: string }
  /** It holds key ids and no values: it is read and written along with them. */
  readonly isKeyId?: true
  /**
   * Of documents: those in which `any` stands, and everywhere as the beginning of `current`, are current, unless escapes may hide another
   * one. The scan may leave them out.
   */
  readonly currentMark?: { readonly any: string; readonly current: string }
  /** It holds documents, which have no usual length: a scan may end before its limit, so that what it reads at once stays small. */
  readonly isDocument?: true
}

/** One table's way through the rows: its key, its fields, and the columns that values are bound to. */
export interface Walk {
  /** As `Location.store`. There a row's key says nothing of its place in the walk: `Row.position` does. */
  readonly store?: 'redis'
  readonly schema: string
  readonly table: string
  /** Key columns with their database types, in the order of the key. */
  readonly key: readonly { readonly name: string; readonly type: string }[]
  readonly columns: readonly WalkColumn[]
  /** Columns read along for binding, with the type declared. */
  readonly bound: readonly { readonly column: string; readonly type: BoundType }[]
  /** Rows are counted: a scan that can give one twice must see to it that it does not. */
  readonly once?: true
  /** Whether a column of a field is unique: changing it takes a stronger lock, for which rows that others refer to are passed over. */
  readonly unique?: boolean
}

/** A row read by `scan`. Keys in the database's text form, NULL values as null. */
export interface Row {
  readonly key: readonly string[]
  /** In the order of `walk.columns`. */
  readonly values: readonly (Stored | null)[]
  /** In the order of `walk.bound`; as the driver gives them. */
  readonly bound: readonly unknown[]
  /** Where the walk goes on after this row; its key unless given. */
  readonly position?: readonly string[]
  /** Present on the first row of a walk that begins anew, because its place meant nothing any more: all rows come again. */
  readonly anew?: true
}

/** What a walk goes on after, once these rows are done; null where there are none. */
export function positionAfter(rows: readonly Row[]): readonly string[] | null {
  const last = rows.at(-1)
  return last === undefined ? null : (last.position ?? last.key)
}

/** How long the keys of a pattern live. */
export interface KeyLives {
  readonly keys: number
  /** How many of them have no time to live. */
  readonly withoutEnd: number
  /** When the last of the others expires, unless its life is lengthened; null where there are none. */
  readonly until: Date | null
}
export interface KeyEnd {
  readonly signal?: AbortSignal | undefined
  /** Told how many have ended so far. */
  readonly onBatch?: (ended: number) => void
}
/** What can be said and done of keys that expire. */
export interface Keys {
  lives(pattern: string): Promise<KeyLives>
  count(pattern: string): Promise<number>
  /** Deletes every key of a pattern that is there all the time. @returns how many */
  end(pattern: string, options?: KeyEnd): Promise<number>
}

/** A row to change: replaced only where every value still equals `from`, and every bound column what it was sealed for. */
export interface Change {
  readonly key: readonly string[]
  readonly from: readonly (Stored | null)[]
  readonly to: readonly (Stored | null)[]
  /** As `Row.bound` gave them; not compared unless given. */
  readonly bound?: readonly unknown[]
}

/** A transaction in which values and the progress of their run change together. */
export interface DatabaseTransaction extends RunTransaction {
  /**
   * Replaces the values of rows that have not changed since they were read. Rows that are locked by others are passed over, so
   * that it never waits for a row and is never part of a deadlock.
   *
   * @returns the indexes of `changes` that were not made
   * @throws DatabaseError of kind `data` when the database stored something else than it was given: a trigger of the application
   *   changed it. The transaction must be rolled back
   */
  swap(walk: Walk, changes: readonly Change[]): Promise<readonly number[]>
}

/** A transaction that has the tables for itself: others can read, nobody else can write. */
export interface ExclusiveTransaction extends DatabaseTransaction {
  /** As `Database.scan`, within the transaction. */
  scan(walk: Walk, after: readonly string[] | null, limit: number): Promise<Row[]>
  /** Makes the database refuse writes of these columns, and every INSERT, until `releaseHold`. */
  hold(walks: readonly Walk[], rotationId: string): Promise<void>
  /** Lets a hold of this rotation, of an earlier round, pass our own writes; `hold` makes it stand again. */
  liftHold(rotationId: string): Promise<void>
  /** Undoes what `work` did when it throws; the transaction goes on. */
  attempt<T>(work: () => Promise<T>): Promise<T>
  /** Client sessions other than ours; 0 when nobody is connected. */
  otherSessions(): Promise<number>
}

/** What a rotation needs of a database. */
export interface Database {
  readonly name: string
  /** Shapes of the tables of these locations, in their order; null where there is no such table. */
  inspect(locations: readonly Location[]): Promise<(TableShape | null)[]>
  /** Names of all tables with `schema.` unless it is on the search path; to say which are near. */
  tables(): Promise<string[]>
  /** Walk of a table; key and types are taken from the database. */
  walk(shape: TableShape, columns: readonly WalkColumn[], bound: Walk['bound']): Promise<Walk>
  /** The next rows in key order after `after`, at most `limit`; rows without any value, or with current ones only, may be left out. */
  scan(walk: Walk, after: readonly string[] | null, limit: number): Promise<Row[]>
  /** Whether a scan from the beginning would find a row, where that costs less than the scan. */
  anyLeft?(walk: Walk): Promise<boolean>
  /** Up to `limit` rows with a value in the column of index `column`, from both ends of the key. */
  sample(walk: Walk, column: number, limit: number): Promise<Row[]>
  /** Does ahead, while nobody waits for it, what `swap` of these changes will need of this process. Changes nothing. */
  prepare?(walk: Walk, changes: readonly Change[]): void
  /** Runs `work` in one transaction; rolled back when it throws. @throws ServiceError `ERR_COMMIT_UNKNOWN` when the commit's outcome is not known */
  transaction<T>(work: (tx: DatabaseTransaction) => Promise<T>): Promise<T>
  /** As `transaction`, with the tables of `walks` locked against writers first. @throws `ERR_LOCK_TIMEOUT` */
  exclusive<T>(walks: readonly Walk[], work: (tx: ExclusiveTransaction) => Promise<T>): Promise<T>
  /** Client sessions other than ours, at this moment. */
  otherSessions(): Promise<number>
  /** What other client sessions call themselves, and how many each; for saying who may still write. Not asked where it cannot be known. */
  sessionNames?(): Promise<readonly { readonly name: string; readonly sessions: number }[]>
  /** Holds that stand: rotation id and tables. */
  holds(): Promise<{ readonly rotationId: string; readonly tables: readonly string[] }[]>
  /** Ends the hold of a rotation, with its audit event where our own state exists. @returns the tables released */
  releaseHold(rotationId: string, event: AuditEvent): Promise<readonly string[]>
  /**
   * 32 random bytes that our own state keeps under this name, made on first use. Without state, or where they are not there and
   * `make` is false, others that last as long as this object.
   */
  keptKey(name: string, make: boolean): Promise<Uint8Array>
  /** Whether our own state (runs, audit log) exists. Without it only a transaction rotation of keys from the environment can run. */
  hasState(): Promise<boolean>
  readonly runs: RunStore
  /** Of fields in Redis. */
  readonly keys?: Keys
  /** Null for a database that cannot refuse a key id. */
  readonly fencing: Fencing | null
  /** Of a database in which tokens can be hashed. */
  readonly tokens?: FindTokens
}
