import { fail } from '../errors.ts'
import type { RotationState } from '../rotation/run.ts'

/**
 * The steps that a rotation may take; drawn at `RotationState`.
 *
 * A rotation that is planned, waits or verifies can be paused like one that runs. It goes back from verifying to running when values appeared
 * under the old key meanwhile; when that does not end, it waits.
 */
const allowed: Record<RotationState, readonly RotationState[]> = {
  planned: ['running', 'paused', 'cancelled', 'failed'],
  running: ['paused', 'waiting', 'verifying', 'cancelled', 'failed'],
  paused: ['running', 'cancelled', 'failed'],
  waiting: ['running', 'paused', 'cancelled', 'failed'],
  verifying: ['running', 'paused', 'waiting', 'completed', 'cancelled', 'failed'],
  completed: [],
  cancelled: [],
  failed: [],
}

/** Every state of a rotation. */
export const rotationStates: readonly RotationState[] = Object.keys(allowed) as RotationState[]

/** Whether a rotation is over: nothing follows this state. */
export function isOver(state: RotationState): boolean {
  return allowed[state].length === 0
}

/** @throws `ERR_ROTATION_STATE` where the table has no such step */
export function assertStep(id: string, from: RotationState, to: RotationState): void {
  if (!allowed[from].includes(to)) throw fail('ERR_ROTATION_STATE', id, from, to)
}

/** Whether a request of another process has been answered, or has lost its meaning, once this step is taken. */
export function endsRequest(from: RotationState, to: RotationState): boolean {
  return isOver(to) || to === 'paused' || from === 'paused'
}
