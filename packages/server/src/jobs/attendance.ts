import { isKeyturnError, type Keyturn, type RecordedRotation, type SqlState } from '@keyturn/core'
import type { FastifyBaseLogger } from 'fastify'
import type { Runner } from '../rotation/runner.ts'
import type { SecretRuns } from '../secret/secret-runs.ts'
import { claimRotation } from '../state/claims.ts'
import { forgetOperations } from '../state/operations.ts'

export interface AttendanceOptions {
  readonly keyturn: Keyturn
  readonly state: SqlState
  readonly runner: Runner
  readonly secrets: SecretRuns | null
  readonly log: FastifyBaseLogger
  /** After which time a rotation that has a process is looked at again. */
  readonly wakeMs: number
  /** Wakes some server for a rotation after a while. */
  readonly wake: (rotationId: string, afterMs: number) => Promise<void>
}

/** Who begins a rotation because its keyring is due. */
export const automaticActor = 'server:policy'

/** States in which somebody should be working. One that is paused, a person or an error has stopped; one that waits, waits for others. */
const atWork = ['planned', 'running', 'verifying'] as const

/** Sees to it that rotations which should run are run by somebody, and that keyrings are rotated when their policy says so. */
export class Attendance {
  readonly #options: AttendanceOptions

  constructor(options: AttendanceOptions) {
    this.#options = options
  }

  /** Looks at one rotation, and has it looked at again while it is not over. */
  async rotation(rotationId: string): Promise<void> {
    const { keyturn } = this.#options
    const found = await keyturn.rotations.get(rotationId).catch((error: unknown) => {
      if (isKeyturnError(error, 'ERR_UNKNOWN_NAME')) return null
      throw error
    })
    if (found !== null) await this.#attend(found)
  }

  /** Looks at everything. */
  async sweep(): Promise<void> {
    const { keyturn, state, secrets } = this.#options
    // Not waited for: a rotation of a secret may wait for its deployment, and keyrings do not wait with it.
    secrets?.sweep()
    for (const at of atWork) for (const found of (await keyturn.rotations.list({ state: at, limit: 200 })).items) await this.#attend(found)
    await this.#rotateDue()
    await forgetOperations(state)
  }

  async #attend(rotation: RecordedRotation): Promise<void> {
    const { runner, wake, wakeMs } = this.#options
    const { id, startedBy } = rotation
    if (!isOurs(rotation)) return
    if (!rotation.live && !isBeginning(rotation, wakeMs)) await runner.takeOver(startedBy ?? automaticActor, id)
    await wake(id, wakeMs)
  }

  async #rotateDue(): Promise<void> {
    const { keyturn, state, runner, log } = this.#options
    const { keyrings } = keyturn.config
    for (const status of await keyturn.keyrings()) {
      const configured = keyrings[status.name]
      const automatic = configured !== undefined && 'automatic' in configured && configured.automatic === true
      if (!automatic || !status.due.some((sentence) => sentence.startsWith('rotate'))) continue
      const replaced = status.versions.find(({ state }) => state === 'active')
      // By the version that is replaced: a server that has not heard of its successor yet must not replace that one as well.
      if (replaced === undefined || !(await claimRotation(state, status.name, replaced.id))) continue
      await runner.rotate(automaticActor, status.name, {}).then(
        (rotationId) => log.info({ rotationId, keyring: status.name }, 'a keyring is due and is being rotated'),
        (error: unknown) =>
          log.warn(
            { keyring: status.name, code: isKeyturnError(error) ? error.code : 'ERR_UNEXPECTED' },
            'a keyring is due and was not rotated',
          ),
      )
    }
  }
}

/** Those of the command are gone on with by whoever gave it: it was told more than stands in the configuration. */
function isOurs({ state, startedBy }: RecordedRotation): boolean {
  return (atWork as readonly string[]).includes(state) && startedBy !== null && !/^(command:|library$)/.test(startedBy)
}

/** Its process has recorded it and is about to take its lease. */
const isBeginning = ({ state, createdAt }: RecordedRotation, wakeMs: number): boolean =>
  state === 'planned' && Date.now() - Date.parse(createdAt) < wakeMs
