import { actingAs, isKeyturnError } from '@keyturn/core'
import type { Run, Secrets } from '@keyturn/secrets'
import type { FastifyBaseLogger } from 'fastify'

/** Who begins the rotation of a secret because it is due. */
const policyActor = 'server:policy'
/** Who goes on with what another process has left. */
const serverActor = 'server'
/** How long a run may wait in this process before it is left to a sweep. */
const waitMs = 60_000
/** How long somebody who asks something of a run waits for the process that works on it. */
const patienceMs = 10_000
const lookMs = 200

/** A run that is worked on here. */
interface Working {
  /** Somebody has asked something of it: it is looked at once more. */
  again: boolean
  /** Ends its rest. */
  wake: () => void
  done: Promise<void>
}

/**
 * Works on rotations of secrets in this process. All that is true stands in their rows: another server may do the same at the same time,
 * and one that dies is followed by the next sweep of any.
 */
export class SecretRuns {
  readonly secrets: Secrets
  readonly #log: FastifyBaseLogger
  readonly #stop = new AbortController()
  readonly #working = new Map<string, Working>()
  #sweeping: Promise<void> | null = null

  constructor(secrets: Secrets, log: FastifyBaseLogger) {
    this.secrets = secrets
    this.#log = log
  }

  /** How many runs are worked on, or wait, in this process. */
  get size(): number {
    return this.#working.size
  }

  /** Puts a rotation on record and begins to work on it. @throws `ERR_SECRET_PLAN`, `ERR_RUN_RUNNING`, `ERR_UNKNOWN_NAME` */
  async begin(actor: string, name: string, { leaked }: { readonly leaked: boolean }): Promise<Run> {
    const run = await this.secrets.rotate(name, { leaked, actor })
    this.#goOn(run.id)
    return run
  }

  /**
   * Asks something of a run, waits a while for whoever works on it, and goes on with it.
   *
   * @throws `ERR_RUN_STATE`, `ERR_UNKNOWN_NAME`, and `ERR_RUN_LEASE` where its process does not let go of it in time
   */
  async ask(runId: string, what: (secrets: Secrets) => Promise<Run>): Promise<void> {
    for (const until = performance.now() + patienceMs; ; ) {
      try {
        await what(this.secrets)
        return this.#goOn(runId)
      } catch (error) {
        if (!isKeyturnError(error, 'ERR_RUN_LEASE') || performance.now() > until || this.#stop.signal.aborted) throw error
        await new Promise((resolve) => setTimeout(resolve, lookMs))
      }
    }
  }

  /** Begins what is due and goes on with what nobody works on. Comes back at once where an earlier sweep is not over. */
  sweep(): void {
    if (this.#stop.signal.aborted) return
    this.#sweeping ??= this.#sweep().finally(() => {
      this.#sweeping = null
    })
  }

  /** Stops between two steps. What is called meanwhile is looked at again by whoever goes on. */
  async close(): Promise<void> {
    this.#stop.abort()
    await Promise.all([...[...this.#working.values()].map(({ done }) => done), this.#sweeping])
  }

  async #sweep(): Promise<void> {
    await this.#attempt('what is due could not be begun', () =>
      actingAs(policyActor, async () => {
        for (const { id, secret } of await this.secrets.beginDue(policyActor)) {
          this.#log.info({ runId: id, secret }, 'a secret is due and is being rotated')
          this.#goOn(id)
        }
      }),
    )
    await this.#attempt('the rotations of secrets could not be gone on with', () =>
      actingAs(serverActor, () => this.secrets.attend(this.#stop.signal)),
    )
  }

  /** Works on a run until it is over, is paused or waits for long; nobody waits for that. */
  #goOn(runId: string): void {
    if (this.#stop.signal.aborted) return
    const there = this.#working.get(runId)
    if (there !== undefined) {
      there.again = true
      there.wake()
      return
    }
    const working: Working = { again: false, wake: () => {}, done: Promise.resolve() }
    this.#working.set(runId, working)
    working.done = this.#attempt('a rotation of a secret stopped', () => this.#work(runId, working), runId).finally(() =>
      this.#working.delete(runId),
    )
  }

  async #work(runId: string, working: Working): Promise<void> {
    const { signal } = this.#stop
    for (;;) {
      working.again = false
      const { state, wakeAt } = await this.secrets.settle(runId, { waitMs: 0, signal })
      if (signal.aborted) return
      if (working.again) continue
      const forMs = wakeAt === null ? 0 : wakeAt - Date.now()
      if (state !== 'waiting' || wakeAt === null || forMs > waitMs) return
      await this.#rest(Math.max(lookMs, forMs), working)
    }
  }

  /** Until the time has come, somebody has asked something of the run, or the server closes. */
  async #rest(forMs: number, working: Working): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, forMs)
    working.wake = resolve
    this.#stop.signal.addEventListener('abort', () => resolve(), { once: true })
    await promise
    clearTimeout(timer)
    working.wake = () => {}
  }

  /** What fails is looked at anew by the next sweep. */
  async #attempt(what: string, work: () => Promise<unknown>, runId?: string): Promise<void> {
    try {
      await work()
    } catch (error) {
      // Somebody else works on it, which is as good.
      if (isKeyturnError(error, 'ERR_RUN_LEASE')) return
      this.#log.warn({ ...(runId && { runId }), code: isKeyturnError(error) ? error.code : 'ERR_UNEXPECTED' }, what)
    }
  }
}
