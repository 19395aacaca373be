import type { ProgressReport } from '@keyturn/core'
import { Presets, SingleBar } from 'cli-progress'
import type { Io } from '../io.ts'
import { duration, number } from './words.ts'

/** Time between two lines where there is no terminal to draw a bar in. */
const LINE_EVERY_MS = 5000

/** Shows how far a run is: a bar in a terminal, else a line every few seconds. On standard error. */
export interface ProgressScreen {
  report(report: ProgressReport): void
  end(): void
}

export function progressScreen(io: Io): ProgressScreen {
  return 'isTTY' in io.stderr && io.stderr.isTTY === true ? bar(io) : lines(io)
}

const phases: Record<ProgressReport['phase'], string> = {
  'waiting-for-readers': 'waiting until every reader has the new key',
  rewriting: 'rewriting',
  verifying: 'verifying',
  counting: 'counting',
}

function words({ phase, rowsDone, rowsTotal, rowsPerSecond, secondsLeft, setAside }: ProgressReport): string {
  if (phase === 'waiting-for-readers') return phases[phase]
  const total = Math.max(rowsDone, rowsTotal)
  const parts = [
    `${number(rowsDone)} of ${number(total)} rows`,
    ...(rowsPerSecond > 0 ? [`${number(Math.round(rowsPerSecond))} rows/s`] : []),
  ]
  if (secondsLeft !== null) parts.push(`${duration(secondsLeft)} left`)
  if (setAside > 0) parts.push(`${number(setAside)} set aside`)
  return `${phases[phase]}: ${parts.join(', ')}`
}

function lines({ stderr }: Io): ProgressScreen {
  let last = Number.NEGATIVE_INFINITY
  let phase = ''
  return {
    report(report) {
      const now = performance.now()
      if (report.phase === phase && now - last < LINE_EVERY_MS) return
      last = now
      phase = report.phase
      stderr.write(`${words(report)}\n`)
    },
    end() {},
  }
}

function bar({ stderr }: Io): ProgressScreen {
  const single = new SingleBar(
    { format: '{bar} {percentage} % {words}', stream: stderr as NodeJS.WriteStream, hideCursor: true, fps: 4, barsize: 24 },
    Presets.shades_classic,
  )
  let started = false
  return {
    report(report) {
      const total = Math.max(1, report.rowsDone, report.rowsTotal)
      if (!started) single.start(total, 0, { words: '' })
      started = true
      single.setTotal(total)
      single.update(report.rowsDone, { words: words(report) })
    },
    end() {
      if (started) single.stop()
    },
  }
}
