import { invalidRequest, type Secret } from './secret.ts'
import { CURRENT, PENDING } from './versions.ts'

const steps = ['createSecret', 'setSecret', 'testSecret', 'finishSecret'] as const

/** What a rotation function is called with. */
export interface RotationEvent {
  readonly SecretId: string
  readonly ClientRequestToken: string
  readonly Step: (typeof steps)[number]
}

/** A rotation function, which works on the secret through the API as a real one does. */
export type Lambda = (event: RotationEvent) => Promise<void>

/** A call of a function, and how it ended. */
export interface Invocation {
  readonly step: RotationEvent['Step']
  readonly token: string
  outcome: 'running' | 'ok' | 'failed' | 'cancelled'
}

type Running = { done: Promise<void>; cancelled: boolean }

/** Calls the functions of the secrets, as the service does behind its API. */
export class Rotations {
  /** By ARN. */
  readonly lambdas = new Map<string, Lambda>()
  readonly invocations: Invocation[] = []
  /** Whether AWSPENDING goes away after a rotation; else it stays, on the version that is current. Both happen. */
  cleansPending = true
  readonly #running = new Map<Secret, Running>()
  readonly #clock: () => Date

  constructor(clock: () => Date) {
    this.#clock = clock
  }

  /**
   * Registers the placeholder under AWSPENDING and goes on behind the answer.
   *
   * @throws `InvalidRequestException` while AWSPENDING stands on a version that is not the current one, also with the same token
   */
  start(secret: Secret, token: string): void {
    const { versions } = secret
    const pending = versions.holder(PENDING)
    if (pending !== null && pending !== versions.holder(CURRENT))
      throw invalidRequest('A previous rotation isn’t complete. That rotation will be reattempted.')
    const existing = versions.get(token)
    if (existing?.stages.has(CURRENT)) return
    if (existing !== null) throw invalidRequest('There is a version with this ClientRequestToken.')
    versions.attach(PENDING, versions.reserve(token))
    this.#go(secret, token, steps, () => this.#finish(secret, token))
  }

  /** Tries the configuration: the step testSecret on a version that goes away again. */
  probe(secret: Secret, token: string): void {
    const { versions } = secret
    const current = versions.holder(CURRENT)
    const probe = versions.reserve(token)
    probe.content = current?.content ?? null
    versions.attach(PENDING, probe)
    this.#go(secret, token, ['testSecret'], () => versions.detach(PENDING))
  }

  /** AWS tries a rotation that failed again by itself; when, only it knows. */
  reattempt(secret: Secret): void {
    const pending = secret.versions.holder(PENDING)
    if (pending !== null) this.#go(secret, pending.id, steps, () => this.#finish(secret, pending.id))
  }

  /** No further step is begun. Labels stay where they are. */
  cancel(secret: Secret): void {
    const running = this.#running.get(secret)
    if (running !== undefined) running.cancelled = true
  }

  /** Resolves when nothing runs for this secret. */
  async settled(secret: Secret): Promise<void> {
    await this.#running.get(secret)?.done
  }

  #go(secret: Secret, token: string, these: readonly RotationEvent['Step'][], after: () => void): void {
    const run: Running = { cancelled: false, done: Promise.resolve() }
    this.#running.set(secret, run)
    const work = async () => {
      // Behind the answer, as the real one.
      await new Promise((resolve) => setImmediate(resolve))
      for (const step of these) if (!(await this.#invoke(secret, { step, token, outcome: 'running' }, run))) break
      after()
    }
    run.done = work().finally(() => this.#running.delete(secret))
  }

  #finish(secret: Secret, token: string): void {
    const { versions } = secret
    const current = versions.holder(CURRENT)
    if (current?.id !== token) return
    secret.lastRotatedAt = secret.changedAt = this.#clock()
    if (this.cleansPending && versions.holder(PENDING) === current) versions.detach(PENDING)
  }

  async #invoke(secret: Secret, invocation: Invocation, run: { readonly cancelled: boolean }): Promise<boolean> {
    this.invocations.push(invocation)
    const lambda = this.lambdas.get(secret.rotation?.lambda ?? '')
    if (run.cancelled || lambda === undefined) {
      invocation.outcome = 'cancelled'
      return false
    }
    const { step, token } = invocation
    try {
      await lambda({ SecretId: secret.arn, ClientRequestToken: token, Step: step })
      invocation.outcome = 'ok'
      return true
    } catch {
      invocation.outcome = 'failed'
      return false
    }
  }
}
