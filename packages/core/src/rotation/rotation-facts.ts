import type { AuditValue } from '../audit/event.ts'
import type { RotationFacts } from './claims.ts'
import type { KeyLives } from './database.ts'
import type { RotationResult } from './result.ts'
import type { Rotation } from './rotate.ts'
import type { Run, SetAside } from './run.ts'
import { failedValue, listed } from './verify.ts'

/** What a completed run says of itself, for its certificate. */
export interface Completed {
  readonly run: Pick<Run, 'id' | 'mode' | 'progress' | 'createdAt' | 'endedAt'>
  readonly result: Pick<RotationResult, 'total' | 'rotated' | 'skipped' | 'failedCount' | 'conflicts' | 'rows' | 'tables'>
  readonly after: RotationFacts['after']
  readonly setAside: readonly SetAside[]
  readonly source: RotationFacts['source']
}

/** Adds what the keyring and the database say: versions and their fences. */
export async function rotationFacts(rotation: Rotation, { run, result, after, setAside, source }: Completed): Promise<RotationFacts> {
  const { database, keyring, versions, fields } = rotation
  const known = versions === null ? [] : keyring.snapshot.versions
  const fences = (await database.fencing?.list()) ?? []
  const lives = await livesOf(rotation)
  return {
    ...result,
    id: run.id,
    mode: run.mode,
    keyring: keyring.name,
    fields,
    after,
    startedAt: run.createdAt,
    endedAt: run.endedAt,
    versions: known,
    preserved: run.progress.preserved,
    setAside: {
      count: result.failedCount,
      listed: setAside.slice(0, listed).map(failedValue),
    },
    fences: fences.filter(({ keyId }) => known.some(({ id }) => id === keyId)),
    source,
    ...(lives === null ? {} : { lives }),
  }
}

/** How long the keys live that values in Redis stand in; null where there are none. */
async function livesOf({ database, fields }: Rotation): Promise<KeyLives | null> {
  const patterns = [...new Set(fields.flatMap(({ location }) => (location.store === undefined ? [] : [location.table])))]
  const { keys } = database
  const all: KeyLives[] = []
  for (const pattern of patterns) if (keys !== undefined) all.push(await keys.lives(pattern))
  if (all.length === 0) return null
  const ends = all.flatMap(({ until }) => (until === null ? [] : [until.getTime()]))
  return {
    keys: all.reduce((sum, { keys }) => sum + keys, 0),
    withoutEnd: all.reduce((sum, { withoutEnd }) => sum + withoutEnd, 0),
    until: ends.length === 0 ? null : new Date(Math.max(...ends)),
  }
}

/** Facts of the event `rotation.complete`: enough to certify the run later. */
export function completionData(
  { total, rotated, skipped, failedCount, conflicts }: Completed['result'],
  after: Completed['after'],
): { [name: string]: AuditValue } {
  const fields = after.map(({ field, total, current, other, failedCount }) => ({ field, total, current, other, failedCount }))
  return { total, rotated, skipped, failedCount, conflicts, fields }
}

/** Reads what `completionData` wrote; null where an older event does not hold it. */
export function completedFromEvent(
  run: Run,
  data: { readonly [name: string]: AuditValue },
  setAside: readonly SetAside[],
): Completed | null {
  const { total, rotated, skipped, failedCount, conflicts, fields } = data
  const numbers = [total, rotated, skipped, failedCount, conflicts]
  if (!numbers.every((value) => typeof value === 'number') || !Array.isArray(fields)) return null
  const [totalCount = 0, rotatedCount = 0, skippedCount = 0, failed = 0, conflictCount = 0] = numbers as number[]
  const { rows } = run.progress
  return {
    run,
    result: {
      total: totalCount,
      rotated: rotatedCount,
      skipped: skippedCount,
      failedCount: failed,
      conflicts: conflictCount,
      rows: Object.values(rows).reduce((sum, count) => sum + count, 0),
      tables: Object.keys(rows).length,
    },
    after: fields as unknown as RotationFacts['after'],
    setAside,
    source: 'log',
  }
}
