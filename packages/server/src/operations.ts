import { actingAs, fail, isKeyturnError, type SqlState } from '@keyturn/core'
import type { FastifyBaseLogger } from 'fastify'
import { type Problem, problemOf } from './problem.ts'
import {
  aliveEveryMs,
  beginOperation,
  endOperation,
  findOperation,
  keepOperation,
  type Operation,
  type OperationKind,
  runningOperations,
} from './state/operations.ts'

/** What is to be done. */
interface Work {
  readonly kind: OperationKind
  /** Null: all of them. */
  readonly keyring: string | null
  readonly actor: string
  /** @returns what is shown of it; no value, no key */
  readonly run: (signal: AbortSignal) => Promise<object>
}

/** Of one whose server has died. */
const lost = (): Problem => problemOf(fail('ERR_INTERRUPTED', 'the work')).problem

/** Long work that is no rotation: it goes on when its request is answered, and every server knows of it. */
export class Operations {
  readonly #state: SqlState
  readonly #log: FastifyBaseLogger
  readonly #stop = new AbortController()
  readonly #running = new Map<string, Promise<void>>()

  constructor(state: SqlState, log: FastifyBaseLogger) {
    this.#state = state
    this.#log = log
  }

  /** @returns its id; null where one of its kind runs for this keyring already */
  async begin({ kind, keyring, actor, run }: Work): Promise<string | null> {
    if (this.#stop.signal.aborted) throw fail('ERR_INTERRUPTED', 'the server, which closes,')
    const id = await beginOperation(this.#state, { kind, keyring, actor }, lost())
    if (id === null) return null
    const done = this.#work(id, () => actingAs(actor, () => run(this.#stop.signal))).finally(() => this.#running.delete(id))
    this.#running.set(id, done)
    return id
  }

  async find(id: string): Promise<Operation> {
    const found = await findOperation(this.#state, id, lost())
    if (found === null) throw fail('ERR_UNKNOWN_NAME', 'operation', id, '')
    return found
  }

  /** Ids of those of a kind that run, by keyring. */
  running(kind: OperationKind): Promise<ReadonlyMap<string, string>> {
    return runningOperations(this.#state, kind)
  }

  /** Interrupts what runs here: it says so, and can be begun again. */
  async close(): Promise<void> {
    this.#stop.abort()
    await Promise.allSettled(this.#running.values())
  }

  async #work(id: string, run: () => Promise<object>): Promise<void> {
    const alive = setInterval(() => void keepOperation(this.#state, id).catch(() => {}), aliveEveryMs)
    try {
      const outcome = await run().then(
        (result) => ({ result }),
        (error: unknown) => ({ problem: this.#failed(id, error) }),
      )
      await endOperation(this.#state, id, outcome)
    } catch {
      // The database is away: in half a minute everybody sees that nobody is at it any more.
      this.#log.warn({ operationId: id }, 'what an operation came to could not be kept')
    } finally {
      clearInterval(alive)
    }
  }

  #failed(operationId: string, error: unknown): Problem {
    this.#log.warn({ operationId, code: isKeyturnError(error) ? error.code : 'ERR_UNEXPECTED' }, 'an operation failed')
    return problemOf(error).problem
  }
}
