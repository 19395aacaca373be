import { setTimeout as sleep } from 'node:timers/promises'
import { isKeyturnError } from '../errors.ts'
import type { Field } from '../field/field.ts'
import { refusedValues, type SealedBatch, type SealedChange, sealBatch } from './batch.ts'
import { type Database, positionAfter, type Row } from './database.ts'
import { DatabaseError } from './database-error.ts'
import type { Pace } from './pace.ts'
import { assertPreserved, digestsOf, plus, preservedKey } from './preserved.ts'
import type { Lease, Progress } from './run.ts'
import type { TableWalk } from './walks.ts'

/**
 * The online rotation: batches by primary key, in passes, until a pass leaves nothing to rewrite.
 *
 * In the first pass the next batch is sealed while the database writes one, and the one after it read. What was read may change before
 * it is written: the swap compares, and what it refuses comes again in the next pass. The cursor commits with its rows, so that a kill
 * between any two statements leaves a run that goes on where it stopped and changes nothing twice.
 */
export interface Rewriting {
  readonly database: Database
  readonly lease: Lease
  readonly tables: readonly TableWalk[]
  readonly pace: Pace
  readonly signal: AbortSignal | undefined
  /** Throws `ERR_LEASE_LOST` once the lease could not be renewed. */
  readonly assertLease: () => void
  /** Resolves when no process can encrypt under an older version any more; a pass that began before is not the last. */
  readonly quiet: Quiet
  /**
   * A pass that began in quiet and lost no swap is the last one, whatever it rewrote: every value has been read since then, and what turns up
   * behind it is found by the verification, after which a strict round follows. Else a pass must find nothing.
   */
  readonly verifiedNext: boolean
  readonly onBatch: (progress: Progress, batch: DoneBatch) => void
}
/** A batch that was committed, with what it set out to change. */
export interface DoneBatch {
  readonly rows: number
  readonly setAside: number
  readonly table: TableWalk
  readonly changes: readonly Pick<SealedChange, 'cells'>[]
}
export interface Quiet {
  /** Asked before a pass begins. */
  readonly over: () => boolean | Promise<boolean>
  readonly wait: (signal: AbortSignal | undefined) => Promise<void>
}

/** Why rewriting ended. `done`: the last pass left nothing. */
export type Ending = 'done' | 'pause' | 'cancel' | 'waiting'

/** Passes without progress before the run waits for whoever still writes the old key. */
const patience = 5
const contentionTries = 100
const connectionTries = 12

class Stopped extends Error {
  readonly why: 'pause' | 'cancel'
  readonly progress: Progress
  constructor(why: 'pause' | 'cancel', progress: Progress) {
    super(why)
    this.why = why
    this.progress = progress
  }
}

/** Rewrites every value that is not current, from where `progress` stands. @throws `ERR_ROUND_TRIP` when not every plaintext was kept */
export async function rewrite(run: Rewriting, from: Progress): Promise<{ ending: Ending; progress: Progress }> {
  // What an earlier round waited for may be over: patience begins anew, or a run that waits could never be resumed.
  let progress: Progress = { ...from, idlePasses: 0 }
  try {
    for (;;) {
      const quiet = progress.table === 0 && progress.after === null && (await run.quiet.over())
      progress = await pass(run, progress)
      const found = progress.passRotated + progress.passConflicts
      if (quiet && (found === 0 || (run.verifiedNext && progress.passConflicts === 0))) {
        assertPreserved(
          progress,
          run.tables.flatMap(({ fields }) => fields),
        )
        return { ending: 'done', progress }
      }
      if (found === 0) await run.quiet.wait(run.signal)
      const idlePasses = progress.pass > 1 && found > 0 && found >= progress.previousFound ? progress.idlePasses + 1 : 0
      if (idlePasses >= patience) return { ending: 'waiting', progress }
      if (found > 0 && idlePasses > 0) await sleep(Math.min(1_000, 50 * 2 ** idlePasses))
      progress = await save(run, {
        ...progress,
        pass: progress.pass + 1,
        table: 0,
        after: null,
        passRotated: 0,
        passConflicts: 0,
        previousFound: found,
        idlePasses,
      })
    }
  } catch (error) {
    if (error instanceof Stopped) return { ending: error.why, progress: error.progress }
    throw error
  }
}

async function pass(run: Rewriting, from: Progress): Promise<Progress> {
  let progress = from
  while (progress.table < run.tables.length) {
    progress = await walkTable(run, run.tables[progress.table] as TableWalk, progress)
    progress = { ...progress, table: progress.table + 1, after: null }
  }
  return progress
}

async function walkTable(run: Rewriting, table: TableWalk, from: Progress): Promise<Progress> {
  let progress = from
  const { database } = run
  // A walk that finds nothing goes through the whole key; asked at once, the database reads the table as it lies.
  const asks = progress.pass > 1 && progress.after === null && database.anyLeft !== undefined
  if (asks && !(await retrying(run, async () => await database.anyLeft?.(table.walk)))) return progress
  const reader = new Reader(run, table, progress.after)
  // Later passes meet what is written all the time: what was read before a rest would have changed by its end, and never be current.
  const ahead = progress.pass === 1
  let next = reader.next(ahead)
  try {
    for (;;) {
      const batch = await next
      if (batch.last === null) return progress
      if (ahead) next = reader.next(ahead)
      // Awaited in the next round; until then a failure must not end the process.
      next.catch(() => {})
      const before = performance.now()
      progress = await commit(run, table, batch, progress)
      run.pace.note(batch.rows, performance.now() - before)
      run.onBatch(progress, { rows: batch.rows, setAside: batch.setAside.length, table, changes: batch.changes })
      await run.pace.rest(run.signal)
      if (!ahead) next = reader.next(ahead)
    }
  } finally {
    // Nothing of ours runs on after this: the caller may close the pool.
    await next.catch(() => {})
    await reader.end()
  }
}

/** Reads batches in key order and seals them. Ahead: while one is sealed, the one after it is read, so that neither side waits. */
class Reader {
  readonly #run: Rewriting
  readonly #table: TableWalk
  #after: readonly string[] | null
  #ahead: Promise<Row[]> | null = null

  constructor(run: Rewriting, table: TableWalk, after: readonly string[] | null) {
    this.#run = run
    this.#table = table
    this.#after = after
  }

  async next(ahead: boolean): Promise<SealedBatch> {
    const rows = await (this.#ahead ?? this.#scan())
    this.#ahead = null
    const after = positionAfter(rows)
    if (after !== null) this.#after = after
    if (ahead && after !== null) this.#ahead = this.#scan()
    const batch = await sealBatch(this.#table, rows)
    this.#run.database.prepare?.(this.#table.walk, batch.changes)
    if (ahead && batch.changes.length > 0) prepared.set(batch.changes, digests(this.#run, this.#table, batch.changes))
    return batch
  }

  async end(): Promise<void> {
    await this.#ahead?.catch(() => {})
  }

  #scan(): Promise<Row[]> {
    const { database, pace } = this.#run
    const after = this.#after
    const rows = retrying(this.#run, () => database.scan(this.#table.walk, after, pace.size))
    // Awaited when the batch before it is sealed; until then a failure must not end the process.
    rows.catch(() => {})
    return rows
  }
}

/** What the proof will say of batches, made ahead; gone with them. */
const prepared = new WeakMap<readonly SealedChange[], Progress['preserved']>()

function digests({ lease }: Rewriting, { fields }: TableWalk, changes: readonly SealedChange[]): Progress['preserved'] {
  return digestsOf(
    preservedKey(fields[0] as Field, lease.rotationId),
    changes.map(({ testimony }) => testimony),
  )
}

/** Tries again while locks or the connection fail; for what can be repeated as it is. */
async function retrying<T>(run: Rewriting, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      await recover(run, error, attempt)
    }
  }
}

/** Waits for a better moment, or throws what cannot be waited out. */
async function recover(run: Rewriting, error: unknown, attempt: number): Promise<void> {
  if (!(error instanceof DatabaseError) || error.kind === 'other' || error.kind === 'data') throw error
  if (attempt >= (error.kind === 'contention' ? contentionTries : connectionTries)) throw error
  if (error.kind === 'contention') {
    run.pace.backOff()
    await run.pace.rest(run.signal)
  } else {
    await sleep(Math.min(5_000, 50 * 2 ** attempt))
  }
  run.assertLease()
}

async function commit(run: Rewriting, table: TableWalk, batch: SealedBatch, progress: Progress): Promise<Progress> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await attemptCommit(run, table, batch, progress)
    } catch (error) {
      if (error instanceof DatabaseError && error.kind === 'data' && batch.changes.length > 0)
        return await divide(run, table, batch, { progress, error })
      await recover(run, error, attempt)
      const committed = await committedSince(run, progress, error)
      if (committed !== null) return committed
    }
  }
}

/** After a lost connection only the cursor knows whether the batch committed: one commit, one step of its sequence. */
async function committedSince(run: Rewriting, progress: Progress, error: unknown): Promise<Progress | null> {
  if (!(error instanceof DatabaseError) || error.kind === 'contention') return null
  const saved = await retrying(run, () => run.database.runs.get(run.lease.rotationId))
  return saved !== null && saved.progress.sequence === progress.sequence + 1 ? saved.progress : null
}

async function attemptCommit(run: Rewriting, table: TableWalk, batch: SealedBatch, progress: Progress): Promise<Progress> {
  run.assertLease()
  const { next, requested } = await run.database.transaction(async (tx) => {
    const missed = await tx.swap(table.walk, batch.changes)
    const next = count(run, table, batch, { progress, missed })
    return { next, requested: await tx.advance(run.lease, next, batch.setAside) }
  })
  if (requested !== null) throw new Stopped(requested, next)
  if (run.signal?.aborted) throw new Stopped('pause', next)
  return next
}

function count(
  run: Rewriting,
  table: TableWalk,
  batch: SealedBatch,
  { progress, missed }: { readonly progress: Progress; readonly missed: readonly number[] },
): Progress {
  const misses = new Set(missed)
  const committed = misses.size === 0 ? batch.changes : batch.changes.filter((_, index) => !misses.has(index))
  if (committed.length === 0 && misses.size === 0) return { ...progress, after: batch.last, sequence: progress.sequence + 1 }
  const rotated = committed.reduce((sum, { cells }) => sum + cells.length, 0)
  const rows = committed.length
  return {
    ...progress,
    after: batch.last,
    sequence: progress.sequence + 1,
    rotated: progress.rotated + rotated,
    rows: rows === 0 ? progress.rows : { ...progress.rows, [table.name]: (progress.rows[table.name] ?? 0) + rows },
    conflicts: progress.conflicts + missed.length,
    passRotated: progress.passRotated + rotated,
    passConflicts: progress.passConflicts + missed.length,
    preserved: rows === 0 ? progress.preserved : plus(progress.preserved, prepared.get(committed) ?? digests(run, table, committed)),
  }
}

/** A row of this batch is refused by a constraint or a trigger: halves find it, the others go on, it is set aside. */
async function divide(
  run: Rewriting,
  table: TableWalk,
  batch: SealedBatch,
  { progress, error }: { readonly progress: Progress; readonly error: DatabaseError },
): Promise<Progress> {
  if (batch.changes.length <= 1) {
    const refused = batch.changes.flatMap((change) => refusedValues(table, change, error))
    return await commit(run, table, { ...batch, changes: [], setAside: [...batch.setAside, ...refused] }, progress)
  }
  const middle = batch.changes.length >> 1
  const left = { ...batch, changes: batch.changes.slice(0, middle) }
  const right = { ...batch, changes: batch.changes.slice(middle), setAside: [] }
  // Where keys are no places in the walk, both halves are done before it goes on.
  const last = table.walk.store === undefined ? (left.changes.at(-1)?.key ?? null) : progress.after
  const done = await commit(run, table, { ...left, last }, progress)
  return await commit(run, table, right, done)
}

/** Saves progress by itself, between passes. */
async function save(run: Rewriting, progress: Progress): Promise<Progress> {
  const next = { ...progress, sequence: progress.sequence + 1 }
  for (let attempt = 1; ; attempt++) {
    try {
      const requested = await run.database.transaction((tx) => tx.advance(run.lease, next, []))
      if (requested !== null) throw new Stopped(requested, next)
      if (run.signal?.aborted) throw new Stopped('pause', next)
      return next
    } catch (error) {
      if (error instanceof Stopped || isKeyturnError(error, 'ERR_LEASE_LOST')) throw error
      await recover(run, error, attempt)
      if ((await committedSince(run, progress, error)) !== null) return next
    }
  }
}
