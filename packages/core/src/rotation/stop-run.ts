import type { AuditEvent } from '../audit/event.ts'
import { fail, isKeyturnError } from '../errors.ts'
import type { RotationState, RunStore } from './run.ts'

/** How a run is to be stopped from outside. */
export interface Stopping {
  readonly to: 'paused' | 'cancelled'
  readonly event: AuditEvent
  readonly leaseMs: number
}

const asking = { paused: 'pause', cancelled: 'cancel' } as const

/**
 * Pauses or cancels a run from any process. One that nobody runs, because it waits or its process died, is stopped at once; else its
 * process is asked, and obeys at its next batch or at the next renewal of its lease.
 *
 * @returns the state it is in now
 * @throws `ERR_ROTATION_STATE` if it is over, `ERR_UNKNOWN_NAME`
 */
export async function stopRun(runs: RunStore, id: string, { to, event, leaseMs }: Stopping): Promise<RotationState> {
  try {
    return await stopUnattended(runs, id, { to, event, leaseMs })
  } catch (error) {
    if (!isKeyturnError(error, 'ERR_LEASE_HELD')) throw error
  }
  await runs.request(id, asking[to], { ...event, action: `rotation.request-${asking[to]}` })
  return await stateOf(runs, id)
}

async function stopUnattended(runs: RunStore, id: string, { to, event, leaseMs }: Stopping): Promise<RotationState> {
  const lease = await runs.acquire(id, leaseMs)
  try {
    const state = await stateOf(runs, id)
    if (state !== to) await runs.change(lease, to, null, event)
    return to
  } finally {
    await runs.surrender(lease)
  }
}

async function stateOf(runs: RunStore, id: string): Promise<RotationState> {
  const run = await runs.get(id)
  if (run === null) throw fail('ERR_UNKNOWN_NAME', 'rotation', id, '')
  return run.state
}
