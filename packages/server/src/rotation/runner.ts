import {
  actingAs,
  fail,
  isKeyturnError,
  type Keyturn,
  type ProgressReport,
  type RotateOptions,
  type RotationResult,
  type Throttle,
} from '@keyturn/core'
import type { FastifyBaseLogger } from 'fastify'

export interface RunnerOptions {
  readonly keyturn: Keyturn
  readonly log: FastifyBaseLogger
  /** Told at each look at a rotation that runs here, at most once a second and once at its beginning. */
  readonly onReport: (report: ProgressReport) => Promise<void>
  /** Told of each rotation that begins or goes on here. */
  readonly onBegin: (rotationId: string) => Promise<void>
  /** Told of each rotation that was completed here. */
  readonly onCompleted: (rotationId: string) => Promise<void>
  readonly throttle: Throttle | undefined
}

const reportMs = 1_000

/**
 * Rotations that run in this process, each until it is over, stopped by somebody, or handed over.
 *
 * What they are stands in the rotation's own row and its lease: here is only who works on them. A server that closes lets its batches
 * finish and leaves the rotations as they are, for the next one to go on with.
 */
export class Runner {
  readonly #options: RunnerOptions
  readonly #stop = new AbortController()
  readonly #running = new Map<string, Promise<unknown>>()
  /** Begun and without an id yet. */
  readonly #beginning = new Set<Promise<unknown>>()
  /** Those that are not this server's to go on with: other keys or fields. */
  readonly #refused = new Set<string>()

  constructor(options: RunnerOptions) {
    this.#options = options
  }

  /** How many run here. */
  get size(): number {
    return this.#running.size
  }

  runs(rotationId: string): boolean {
    return this.#running.has(rotationId)
  }

  /**
   * Plans and begins a rotation in the name of an actor.
   *
   * @returns its id, once it is recorded
   * @throws every refusal of the plan; nothing is changed then
   */
  async rotate(actor: string, keyring: string, options: RotateOptions): Promise<string> {
    return await this.#begin(null, (given) => actingAs(actor, () => this.#options.keyturn.rotate(keyring, { ...options, ...given })))
  }

  /** Goes on with one, in the name of an actor. @throws `ERR_ROTATION_STATE`, `ERR_LEASE_HELD`, `ERR_RESUME_KEYS`, `ERR_UNKNOWN_NAME` */
  async resume(actor: string, rotationId: string): Promise<void> {
    if (this.#running.has(rotationId)) throw fail('ERR_ROTATION_STATE', rotationId, 'running', 'resumed')
    this.#refused.delete(rotationId)
    await this.#begin(rotationId, (given) => actingAs(actor, () => this.#options.keyturn.resume(rotationId, given)))
  }

  /** Goes on with one whose server has died, unless another server is faster. Never throws. */
  async takeOver(actor: string, rotationId: string): Promise<void> {
    const { log } = this.#options
    if (this.#stop.signal.aborted || this.#running.has(rotationId) || this.#refused.has(rotationId)) return
    try {
      await this.resume(actor, rotationId)
      log.info({ rotationId }, 'goes on with a rotation that nobody ran')
    } catch (error) {
      const code = isKeyturnError(error) ? error.code : 'ERR_UNEXPECTED'
      if (code === 'ERR_RESUME_KEYS' || code === 'ERR_UNKNOWN_NAME') this.#refused.add(rotationId)
      if (code !== 'ERR_LEASE_HELD') log.warn({ rotationId, code }, 'a rotation that nobody runs could not be gone on with')
    }
  }

  /** Lets each rotation finish its batch and leaves it for the next server. */
  async close(): Promise<void> {
    this.#stop.abort()
    await Promise.allSettled([...this.#beginning, ...this.#running.values()])
  }

  /** Runs `work` until it is over; comes back as soon as it has an id and has its lease. */
  async #begin(known: string | null, work: (options: RotateOptions) => Promise<RotationResult>): Promise<string> {
    const begun = Promise.withResolvers<string>()
    let id: string | null = null
    const enter = (rotationId: string) => {
      if (id !== null) return
      id = rotationId
      this.#running.set(rotationId, done)
      begun.resolve(rotationId)
      this.#told(this.#options.onBegin(rotationId))
    }
    const { throttle } = this.#options
    const reported = this.#reporting(enter)
    // In another turn: `done` must be there when the first report comes.
    const done: Promise<void> = Promise.resolve()
      .then(() => work({ signal: this.#stop.signal, handOver: true, onProgress: reported, ...(throttle && { throttle }) }))
      .then(
        ({ id, state }) => {
          enter(id)
          if (state === 'completed') this.#told(this.#options.onCompleted(id))
        },
        (error: unknown) => {
          if (id === null) begun.reject(error)
          else this.#failed(id, error)
        },
      )
      .finally(() => {
        this.#beginning.delete(done)
        if (id !== null) this.#running.delete(id)
      })
    this.#beginning.add(done)
    if (known !== null) this.#running.set(known, done)
    try {
      return await begun.promise
    } finally {
      if (known !== null && id === null) this.#running.delete(known)
    }
  }

  #reporting(enter: (rotationId: string) => void): (report: ProgressReport) => void {
    let last = Number.NEGATIVE_INFINITY
    let phase = ''
    return (report) => {
      enter(report.rotationId)
      const now = performance.now()
      if (report.phase === phase && now - last < reportMs) return
      last = now
      phase = report.phase
      this.#told(this.#options.onReport(report))
    }
  }

  #failed(rotationId: string, error: unknown): void {
    const code = isKeyturnError(error) ? error.code : 'ERR_UNEXPECTED'
    this.#options.log.warn({ rotationId, code }, 'a rotation stopped')
  }

  /** What is told is for people who watch: a rotation does not end for it. */
  #told(telling: Promise<void>): void {
    telling.catch((error: unknown) => {
      this.#options.log.warn({ code: isKeyturnError(error) ? error.code : 'ERR_UNEXPECTED' }, 'the progress of a rotation was not told')
    })
  }
}
