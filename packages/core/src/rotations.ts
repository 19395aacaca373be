import { fail } from './errors.ts'
import type { Opening } from './opened-keyturn.ts'
import type { TableShape } from './rotation/database.ts'
import type { RotationMode, RotationState, Run, SetAside } from './rotation/run.ts'
import { type ListedRun, listRuns, pageSetAside } from './state/run-listing.ts'

/** What was recorded of one rotation. */
export interface RecordedRotation {
  readonly id: string
  readonly keyring: string
  readonly mode: RotationMode
  readonly state: RotationState
  readonly createdAt: string
  readonly endedAt: string | null
  /** Why it waits, paused or failed; null if there is nothing to say. */
  readonly note: string | null
  /** What another process has asked for and the one that runs it has not answered yet. */
  readonly requested: 'pause' | 'cancel' | null
  /** Goes up with each commit. */
  readonly sequence: number
  readonly pass: number
  /** Values rewritten. */
  readonly rotated: number
  /** Rows in which at least one value was rewritten, by table. */
  readonly rows: { readonly [table: string]: number }
  readonly conflicts: number
  /** Values set aside in the latest pass. */
  readonly setAside: number
  readonly fields: readonly string[]
  /** Of the estimates of all tables; null where a field is not configured here any more. */
  readonly rowsTotal: number | null
  readonly rowsDone: number | null
  /** In the order in which they are walked. */
  readonly tables: readonly RecordedTable[]
  readonly hasCertificate: boolean
  /** Whether some process holds its lease. */
  readonly live: boolean
  /** Who began it, by the audit log; null where that does not say. */
  readonly startedBy: string | null
}
/** How far a rotation is in one table. Rows that were current before are counted once their table is done. */
export interface RecordedTable {
  readonly name: string
  /** An estimate of the database. */
  readonly rowsTotal: number | null
  readonly rowsDone: number
}
export interface RotationPage {
  readonly items: readonly RecordedRotation[]
  /** Where the next page begins; null: this is the last. */
  readonly next: string | null
}
/** Some of the values that a rotation set aside. */
export interface SetAsidePage {
  readonly items: readonly Omit<SetAside, 'digest'>[]
  readonly total: number
  readonly next: string | null
}

/** What was recorded of rotations, by this process and by others. No value is opened. */
export interface Rotations {
  /** The newest first. @throws `ERR_USAGE` when `after` is no place in the list */
  list(options?: {
    readonly keyring?: string
    readonly state?: RotationState
    /** How many at most; 50 unless given. */
    readonly limit?: number
    /** The `next` of the page before. */
    readonly after?: string
  }): Promise<RotationPage>
  /** @throws `ERR_UNKNOWN_NAME` */
  get(id: string): Promise<RecordedRotation>
  /** Values set aside in its latest pass. @throws `ERR_UNKNOWN_NAME`, `ERR_USAGE` when `after` is no place in the list */
  setAside(id: string, options?: { readonly limit?: number; readonly after?: string }): Promise<SetAsidePage>
}

const usual = 50
/** How long an estimate of rows is good enough: it comes from statistics that change as rarely. */
const estimateMs = 10_000

/** The rotations of an opened configuration. */
export function rotationsOf(opening: Opening): Rotations {
  const { state, database } = opening
  const estimates = new Estimates(opening)
  const recorded = async (listed: ListedRun) => recordedRotation(listed, await estimates.of(listed.run.fields))
  // Tables that are there stay there: they are looked for until they are.
  let made = false
  const hasState = async () => {
    made ||= await database.hasState()
    return made
  }
  const find = async (id: string) => {
    const found = (await hasState()) ? (await listRuns(state, { id, limit: 1 })).items[0] : undefined
    if (found === undefined) throw fail('ERR_UNKNOWN_NAME', 'rotation', id, '')
    return found
  }
  return {
    list: async ({ limit = usual, ...filter } = {}) => {
      if (!(await hasState())) return { items: [], next: null }
      const { items, next } = await listRuns(state, { ...filter, limit })
      return { items: await Promise.all(items.map(recorded)), next }
    },
    get: async (id) => await recorded(await find(id)),
    setAside: async (id, { limit = usual, after } = {}) => {
      const { setAside: total } = await find(id)
      return { ...(await pageSetAside(state, id, { limit, ...(after === undefined ? {} : { after }) })), total }
    },
  }
}

/** As `Progress.rows` names a table. */
const tableName = ({ store, schema, table }: TableShape): string => (store === undefined ? `${schema}.${table}` : `${store}:${table}`)

type Estimate = readonly { readonly name: string; readonly rows: number }[]

/** Rows by table, as the database estimates them, asked for rarely. */
class Estimates {
  readonly #opening: Opening
  readonly #known = new Map<string, { readonly at: number; readonly tables: Promise<Estimate | null> }>()

  constructor(opening: Opening) {
    this.#opening = opening
  }

  /** In the order of the walk; null where a field is not configured here, or the database does not say. */
  of(names: readonly string[]): Promise<Estimate | null> {
    const key = names.join('\n')
    const known = this.#known.get(key)
    if (known !== undefined && performance.now() - known.at < estimateMs) return known.tables
    const tables = this.#look(names).catch(() => null)
    this.#known.set(key, { at: performance.now(), tables })
    return tables
  }

  async #look(names: readonly string[]): Promise<Estimate | null> {
    const { fields, database } = this.#opening
    const chosen = names.flatMap((name) => fields.get(name) ?? [])
    if (chosen.length < names.length) return null
    const shapes = await database.inspect(chosen.map(({ location }) => location))
    const rows = new Map(shapes.flatMap((shape) => (shape === null ? [] : [[tableName(shape), shape.rows] as const])))
    return [...rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, rows]) => ({ name, rows }))
  }
}

function recordedRotation({ run, live, setAside, hasCertificate, startedBy }: ListedRun, estimate: Estimate | null): RecordedRotation {
  const { progress } = run
  const tables = (estimate ?? []).map((table, index) => recordedTable(run, table, index))
  const sum = (counts: readonly number[]) => (estimate === null ? null : counts.reduce((total, count) => total + count, 0))
  return {
    id: run.id,
    keyring: run.keyring,
    mode: run.mode,
    state: run.state,
    createdAt: run.createdAt.toISOString(),
    endedAt: run.endedAt?.toISOString() ?? null,
    note: run.note,
    requested: run.requested,
    sequence: progress.sequence,
    pass: progress.pass,
    rotated: progress.rotated,
    rows: progress.rows,
    conflicts: progress.conflicts,
    setAside,
    fields: run.fields,
    rowsTotal: sum(tables.map(({ rowsTotal }) => rowsTotal ?? 0)),
    rowsDone: sum(tables.map(({ rowsDone }) => rowsDone)),
    tables,
    hasCertificate,
    live,
    startedBy,
  }
}

function recordedTable({ state, progress }: Run, { name, rows }: Estimate[number], index: number): RecordedTable {
  const rewritten = progress.rows[name] ?? 0
  // After an ANALYZE that is old there may be more rows than estimated.
  const rowsTotal = Math.max(rows, rewritten)
  const over = state === 'completed' || state === 'verifying' || progress.pass > 1 || index < progress.table
  return { name, rowsTotal, rowsDone: over ? rowsTotal : rewritten }
}
