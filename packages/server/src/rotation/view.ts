import type { ProgressReport, RecordedRotation, SqlState } from '@keyturn/core'
import { freshReports } from '../state/reports.ts'
import type { WireRotation } from '../wire/rotation.ts'

type Phase = WireRotation['phase']

/** What a rotation does in a state, where no report says it more exactly. */
const phases: { readonly [state: string]: Phase } = { running: 'rewriting', verifying: 'verifying' }

/** Rotations as they are shown: what is recorded, and where some server runs them, how fast. */
export async function viewRotations(state: SqlState, rotations: readonly RecordedRotation[]): Promise<WireRotation[]> {
  const reports = await freshReports(
    state,
    rotations.filter(({ live }) => live).map(({ id }) => id),
  )
  return rotations.map((rotation) => view(rotation, reports.get(rotation.id)))
}

function view(rotation: RecordedRotation, report: ProgressReport | undefined): WireRotation {
  const { live, state, endedAt } = rotation
  const still = { rowsPerSecond: null, secondsLeft: null, phase: live && endedAt === null ? (phases[state] ?? null) : null }
  const base = { ...rotation, rows: { ...rotation.rows }, fields: [...rotation.fields], tables: [...rotation.tables] }
  if (report === undefined || !live || endedAt !== null || report.phase === 'counting') return { ...base, ...still }
  return {
    ...base,
    phase: report.phase,
    // What waits for its readers has not looked at any row.
    ...(report.phase === 'waiting-for-readers'
      ? { rowsPerSecond: null, secondsLeft: null }
      : {
          rowsDone: report.rowsDone,
          rowsTotal: report.rowsTotal,
          rowsPerSecond: Math.round(report.rowsPerSecond),
          secondsLeft: report.secondsLeft === null ? null : Math.ceil(report.secondsLeft),
        }),
  }
}
