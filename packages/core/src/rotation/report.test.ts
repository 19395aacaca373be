import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { ProgressReport } from '../keyturn.ts'
import { Reporter } from './report.ts'
import { start } from './run.ts'
import type { TableWalk } from './walks.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

function reporterOf(...rows: number[]) {
  const reports: ProgressReport[] = []
  const reporter = new Reporter('r', { onProgress: (report) => reports.push(report) })
  reporter.expect(rows.map((count) => ({ shape: { rows: count } }) as TableWalk))
  return { reporter, reports }
}

test('rows, rate and time left are those of the pass, against the estimate of all tables', () => {
  const { reporter, reports } = reporterOf(600, 400)
  reporter.enter('rewriting', start)
  expect(reports[0]).toMatchObject({ rotationId: 'r', phase: 'rewriting', pass: 1, rowsDone: 0, rowsTotal: 1000, secondsLeft: null })
  vi.advanceTimersByTime(2_000)
  reporter.batch({ ...start, rotated: 90, conflicts: 2 }, { rows: 200, setAside: 3 })
  expect(reports[1]).toMatchObject({ rowsDone: 200, rotated: 90, conflicts: 2, setAside: 3, rowsPerSecond: 100, secondsLeft: 8 })
})

test('between two reports lies some time, and what came meanwhile is in the next one', () => {
  const { reporter, reports } = reporterOf(100)
  reporter.enter('rewriting', start)
  for (let batch = 0; batch < 10; batch++) {
    vi.advanceTimersByTime(50)
    reporter.batch(start, { rows: 1, setAside: 0 })
  }
  expect(reports.map(({ rowsDone }) => rowsDone)).toEqual([0, 4, 8])
})

test('a new pass begins at nothing, and a total that was estimated too low grows', () => {
  const { reporter, reports } = reporterOf(10)
  reporter.enter('rewriting', start)
  vi.advanceTimersByTime(1_000)
  reporter.batch(start, { rows: 25, setAside: 4 })
  vi.advanceTimersByTime(1_000)
  reporter.batch({ ...start, pass: 2 }, { rows: 5, setAside: 1 })
  expect(reports[1]).toMatchObject({ rowsDone: 25, rowsTotal: 25, secondsLeft: 0 })
  // How much a later pass will meet nobody knows: no time is promised.
  expect(reports[2]).toMatchObject({ pass: 2, rowsDone: 5, rowsTotal: 10, setAside: 1, secondsLeft: null })
})

test('each phase is told at once', () => {
  const { reporter, reports } = reporterOf(10)
  for (const phase of ['waiting-for-readers', 'rewriting', 'verifying'] as const) reporter.enter(phase, start)
  expect(reports.map(({ phase }) => phase)).toEqual(['waiting-for-readers', 'rewriting', 'verifying'])
  vi.advanceTimersByTime(500)
  reporter.verified(7, start, 9)
  expect(reports.at(-1)).toMatchObject({ phase: 'verifying', rowsDone: 7, rowsTotal: 9 })
})
