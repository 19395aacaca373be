import { actingAs } from '../../audit/acting.ts'
import { fail, isKeyturnError } from '../../errors.ts'
import type { Keyturn, RotateOptions, RotationStatus } from '../../keyturn.ts'
import type { RotationResult } from '../../rotation/result.ts'
import type { RotationState } from '../../rotation/run.ts'

const over: readonly RotationState[] = ['completed', 'cancelled', 'failed']

/** By somebody who asked for it: what an error has stopped says so. */
const isPaused = ({ state, note }: RotationStatus): boolean => state === 'paused' && note === null

/** Rotations that requests have begun: one of a keyring at a time. They go on when the request is answered. */
export class Turning {
  readonly #keyturn: Keyturn
  readonly #running = new Map<string, { readonly work: Promise<unknown>; id: string }>()
  readonly #stop = new AbortController()

  constructor(keyturn: Keyturn) {
    this.#keyturn = keyturn
  }

  /**
   * Begins what rotates a keyring, in the name of an actor.
   *
   * @param work - gets what a rotation is to be called with
   * @throws `ERR_ROTATION_RUNNING` while another request's goes on
   */
  async begin<T>(keyring: string, actor: string, work: (options: RotateOptions) => Promise<T>): Promise<T> {
    const other = this.#running.get(keyring)
    if (other !== undefined) throw fail('ERR_ROTATION_RUNNING', keyring, other.id, 'running', other.id)
    const options: RotateOptions = {
      throttle: { share: 1 },
      signal: this.#stop.signal,
      handOver: true,
      onProgress: ({ rotationId }) => {
        running.id = rotationId
      },
    }
    const running = { work: actingAs(actor, () => work(options)), id: 'which is being planned' }
    this.#running.set(keyring, running)
    try {
      return await running.work
    } finally {
      this.#running.delete(keyring)
    }
  }

  /**
   * Goes on with a rotation whose process has ended, or that an error has stopped; else begins one.
   *
   * @throws `ERR_ROTATION_RUNNING` while another process runs one, and when somebody has paused one: who paused it resumes it
   * @throws `ERR_ROTATION_STATE` when the rotation ended in another way than completed
   */
  async rotate(keyring: string, { mode, ...options }: RotateOptions): Promise<RotationResult> {
    const { rotations } = await this.#keyturn.status(keyring)
    const left = rotations.find((each) => each.keyring === keyring && !over.includes(each.state))
    const result = await (left === undefined || isPaused(left)
      ? this.#keyturn.rotate(keyring, { ...options, ...(mode && { mode }) })
      : this.#resume(left, options))
    if (result.state !== 'completed') throw fail('ERR_ROTATION_STATE', result.id, result.state, 'completed')
    return result
  }

  async #resume({ id, keyring, state }: RotationStatus, options: RotateOptions): Promise<RotationResult> {
    const keyturn = this.#keyturn
    const result = await keyturn.resume(id, options).catch((error: unknown) => {
      throw isKeyturnError(error, 'ERR_LEASE_HELD') ? fail('ERR_ROTATION_RUNNING', keyring, id, state, id) : error
    })
    const { fields } = await keyturn.rotations.get(id)
    const others = Object.keys(keyturn.config.fields).some((name) => keyturn.field(name).keyring.name === keyring && !fields.includes(name))
    if (result.state !== 'completed' || !others) return result
    // Somebody began it for some fields; this request is for all of them.
    const rest = await keyturn.rotate(keyring, { ...options, newVersion: false })
    return { ...rest, rotated: result.rotated + rest.rotated, rows: result.rows + rest.rows }
  }

  /** Retires what is retiring now. @returns null, or the code of why it could not be: the rotation is done all the same */
  async retire(keyring: string, { signal }: RotateOptions): Promise<string | null> {
    try {
      await this.#keyturn.retire(keyring, { throttle: { share: 1 }, ...(signal && { signal }) })
      return null
    } catch (error) {
      return isKeyturnError(error) ? error.code : 'ERR_UNEXPECTED'
    }
  }

  /** Leaves what runs to whoever is asked next, as at the end of the process, and waits until it has stopped. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await Promise.allSettled([...this.#running.values()].map(({ work }) => work))
  }
}
