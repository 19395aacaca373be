import type { ProgressReport, RunOptions } from '../keyturn.ts'
import type { Progress } from './run.ts'
import type { TableWalk } from './walks.ts'

const intervalMs = 200

/** Tells the caller how far a run is, a few times a second. */
export class Reporter {
  readonly #rotationId: string
  readonly #onProgress: RunOptions['onProgress']
  #began = performance.now()
  #last = Number.NEGATIVE_INFINITY
  #pass = 1
  #rows = 0
  #setAside = 0
  #total = 0

  constructor(rotationId: string, { onProgress }: RunOptions) {
    this.#rotationId = rotationId
    this.#onProgress = onProgress
  }

  /** The tables that will be walked: their estimates make the total. */
  expect(tables: readonly TableWalk[]): void {
    this.#total = tables.reduce((sum, { shape }) => sum + shape.rows, 0)
  }

  /** The phase began. */
  enter(phase: ProgressReport['phase'], progress: Progress): void {
    this.#rows = 0
    this.#began = performance.now()
    this.#last = Number.NEGATIVE_INFINITY
    this.#send(phase, progress)
  }

  batch(progress: Progress, { rows, setAside }: { readonly rows: number; readonly setAside: number }): void {
    if (progress.pass !== this.#pass) {
      this.#pass = progress.pass
      this.#rows = 0
      this.#setAside = 0
    }
    this.#rows += rows
    this.#setAside += setAside
    this.#send('rewriting', progress)
  }

  verified(done: number, progress: Progress, total: number): void {
    this.#looked('verifying', done, progress, total)
  }

  counted(done: number, progress: Progress, total: number): void {
    this.#looked('counting', done, progress, total)
  }

  #looked(phase: 'verifying' | 'counting', done: number, progress: Progress, total: number): void {
    this.#rows = done
    this.#total = total
    this.#send(phase, progress)
  }

  #send(phase: ProgressReport['phase'], progress: Progress): void {
    const now = performance.now()
    if (this.#onProgress === undefined || now - this.#last < intervalMs) return
    this.#last = now
    const rowsPerSecond = this.#rows / Math.max(0.001, (now - this.#began) / 1000)
    const rowsTotal = Math.max(this.#rows, this.#total)
    this.#onProgress({
      rotationId: this.#rotationId,
      phase,
      pass: progress.pass,
      rowsDone: this.#rows,
      rowsTotal,
      rotated: progress.rotated,
      conflicts: progress.conflicts,
      setAside: this.#setAside,
      rowsPerSecond,
      // A later pass meets only what is left, and how much that is nobody knows.
      secondsLeft: this.#rows === 0 || (phase === 'rewriting' && progress.pass > 1) ? null : (rowsTotal - this.#rows) / rowsPerSecond,
    })
  }
}
