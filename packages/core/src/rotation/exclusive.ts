import { setTimeout as sleep } from 'node:timers/promises'
import { fail } from '../errors.ts'
import type { Field } from '../field/field.ts'
import { refusedValues, type SealedBatch, type SealedChange, sealBatch } from './batch.ts'
import type { Database, ExclusiveTransaction } from './database.ts'
import { DatabaseError } from './database-error.ts'
import { assertPreserved, preservedKey, withPreserved } from './preserved.ts'
import type { Lease, Progress, SetAside } from './run.ts'
import type { TableWalk } from './walks.ts'

/** The transaction rotation: all values or none, with the tables locked against writers, for applications that know one key only. */
export interface Exclusive {
  readonly database: Database
  readonly rotationId: string
  /** Null where no run is recorded. */
  readonly lease: Lease | null
  readonly tables: readonly TableWalk[]
  /** What earlier rounds of the same run have done; counted on. */
  readonly from: Progress
  /** Whether values that do not open stay as they are while the rest is committed. */
  readonly setAside: boolean
  /** Whether a hold is made; false for formats that name their key, and where the operator has stopped the application. */
  readonly hold: boolean
  /** Whether other client sessions are refused. */
  readonly appStopped: boolean
  readonly signal: AbortSignal | undefined
  readonly onBatch: (progress: Progress, batch: { readonly rows: number; readonly setAside: number }) => void
}
/** What it came to. Rolled back unless `committed`; then nothing was changed and `setAside` says why. */
export interface ExclusiveResult {
  readonly committed: boolean
  readonly stopped: boolean
  readonly progress: Progress
  readonly skipped: number
  /** Values that opened under the new key as they were. */
  readonly current: number
  readonly setAside: readonly SetAside[]
}

const batchRows = 2_000

/** Leaves the transaction without committing it. */
class RolledBack extends Error {
  readonly result: ExclusiveResult
  constructor(result: ExclusiveResult) {
    super('rolled back')
    this.result = result
  }
}

/**
 * Rewrites everything in one transaction. A kill at any point leaves the old state or the new one.
 *
 * @throws `ERR_LOCK_TIMEOUT`, `ERR_APP_RUNNING`, `ERR_ROUND_TRIP` when not every plaintext was kept; nothing is changed then
 */
export async function rewriteExclusively(work: Exclusive): Promise<ExclusiveResult> {
  let finished = null as ExclusiveResult | null
  try {
    return await work.database.exclusive(
      work.tables.map(({ walk }) => walk),
      async (tx) => {
        await assertAlone(work, tx)
        const result = await walkAll(work, tx)
        finished = result
        if (!result.committed) throw new RolledBack(result)
        if (work.hold && !wasDone(result))
          await tx.hold(
            work.tables.map(({ walk }) => walk),
            work.rotationId,
          )
        if (work.lease !== null) await tx.advance(work.lease, result.progress, result.setAside)
        // Somebody may have connected meanwhile: their next statement waits for our lock and would land an old-key value after it.
        await assertAlone(work, tx)
        return result
      },
    )
  } catch (error) {
    if (error instanceof RolledBack) return error.result
    const unknown = error instanceof DatabaseError && error.kind === 'unknown-commit'
    if (unknown && finished !== null && (await committed(work, finished))) return finished
    throw error
  }
}

/**
 * Whether everything was under the new key before: then the application has that key already, or the two keys were exchanged, and a hold
 * would refuse its writes for nothing. Where nothing opened at all nobody knows which key it has.
 */
const wasDone = ({ progress, current, setAside }: ExclusiveResult): boolean =>
  progress.rotated === 0 && current > 0 && setAside.length === 0

const connectionTries = 12

/**
 * After a commit whose outcome is not known: whether it happened. The run's progress says so; where no run is recorded, the values do.
 *
 * Waits for the tables once more, because a server that lost its client may still be committing.
 */
async function committed(work: Exclusive, finished: ExclusiveResult): Promise<boolean> {
  const { database, tables, lease } = work
  const walks = tables.map(({ walk }) => walk)
  for (let attempt = 1; ; attempt++) {
    try {
      const current = await database.exclusive(walks, (tx) => (lease === null ? allCurrent(tables, tx) : Promise.resolve(true)))
      if (lease === null) return current
      return (await database.runs.get(lease.rotationId))?.progress.sequence === finished.progress.sequence
    } catch (error) {
      const again = error instanceof DatabaseError && (error.kind === 'connection' || error.kind === 'unknown-commit')
      if (!again || attempt === connectionTries) throw error
      await sleep(Math.min(5_000, 50 * 2 ** attempt))
    }
  }
}

async function allCurrent(tables: readonly TableWalk[], tx: ExclusiveTransaction): Promise<boolean> {
  for (const table of tables) {
    for (let after: readonly string[] | null = null; ; ) {
      const batch = await sealBatch(table, await tx.scan(table.walk, after, batchRows))
      if (batch.last === null) break
      if (batch.changes.length > 0) return false
      after = batch.last
    }
  }
  return true
}

async function assertAlone({ appStopped }: Exclusive, tx: ExclusiveTransaction): Promise<void> {
  const others = appStopped ? await tx.otherSessions() : 0
  if (others > 0) throw fail('ERR_APP_RUNNING', others)
}

async function walkAll(work: Exclusive, tx: ExclusiveTransaction): Promise<ExclusiveResult> {
  const setAside: SetAside[] = []
  let progress: Progress = { ...work.from, sequence: work.from.sequence + 1, passRotated: 0 }
  let skipped = 0
  let current = 0
  if (work.hold) await tx.liftHold(work.rotationId)
  for (const table of work.tables) {
    for (let after: readonly string[] | null = null; ; ) {
      if (work.signal?.aborted) return { committed: false, stopped: true, progress, skipped, current, setAside }
      const batch = await sealBatch(table, await tx.scan(table.walk, after, batchRows))
      if (batch.last === null) break
      after = batch.last
      skipped += batch.current
      current += batch.current - batch.kept
      setAside.push(...batch.setAside)
      // Once it is known that nothing will be committed, the rest is only read, so that the list of what does not open is complete.
      const doomed = setAside.length > 0 && !work.setAside
      const written = doomed ? { ...batch, changes: [], setAside: [] } : await write(tx, table, { ...batch, setAside: [] })
      setAside.push(...written.setAside)
      progress = counted(work, table, progress, written.changes)
      work.onBatch(progress, { rows: batch.rows, setAside: batch.setAside.length + written.setAside.length })
    }
  }
  assertPreserved(
    progress,
    work.tables.flatMap(({ fields }) => fields),
  )
  return { committed: setAside.length === 0 || work.setAside, stopped: false, progress, skipped, current, setAside }
}

/** Writes a batch. A row that the database refuses is found by halves and set aside; the others are written. */
async function write(tx: ExclusiveTransaction, table: TableWalk, batch: SealedBatch): Promise<SealedBatch> {
  if (batch.changes.length === 0) return batch
  try {
    const missed = await tx.attempt(() => tx.swap(table.walk, batch.changes))
    if (missed.length > 0) throw fail('ERR_CONFLICT_REMAINS')
    return batch
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.kind !== 'data') throw error
    const [only] = batch.changes
    if (batch.changes.length === 1 && only !== undefined) {
      return { ...batch, changes: [], setAside: refusedValues(table, only, error) }
    }
    const middle = batch.changes.length >> 1
    const half = (from: number, to?: number) => ({ ...batch, changes: batch.changes.slice(from, to) })
    const [left, right] = [await write(tx, table, half(0, middle)), await write(tx, table, half(middle))]
    return {
      ...batch,
      changes: [...left.changes, ...right.changes],
      setAside: [...left.setAside, ...right.setAside],
    }
  }
}

function counted({ rotationId }: Exclusive, { name, fields }: TableWalk, progress: Progress, changes: readonly SealedChange[]): Progress {
  if (changes.length === 0) return progress
  const rotated = changes.reduce((sum, { cells }) => sum + cells.length, 0)
  return {
    ...progress,
    rotated: progress.rotated + rotated,
    passRotated: progress.passRotated + rotated,
    rows: { ...progress.rows, [name]: (progress.rows[name] ?? 0) + changes.length },
    preserved: withPreserved(
      progress.preserved,
      preservedKey(fields[0] as Field, rotationId),
      changes.map(({ testimony }) => testimony),
    ),
  }
}
