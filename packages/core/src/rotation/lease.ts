import { fail, isKeyturnError } from '../errors.ts'
import type { Lease, RunStore } from './run.ts'

/** A lease that is renewed while its run works. */
export interface HeldLease {
  readonly lease: Lease
  /** @throws `ERR_LEASE_LOST` once another process has it */
  readonly assert: () => void
  /** Aborted once another process has asked for a pause or a cancellation. Seen at each renewal, so also where no batch commits. */
  readonly asked: AbortSignal
  /** What was asked for. */
  readonly requested: () => 'pause' | 'cancel' | null
  /** Ends the renewing and gives the lease back. */
  readonly release: () => Promise<void>
}

/**
 * Takes the lease of a run and renews it three times in its length.
 *
 * A lease cannot stop a paused process: the epoch in each commit does.
 * A renewal that comes late fails if another process took over, and changes nothing if none did.
 *
 * @throws `ERR_LEASE_HELD` while another process runs it
 */
export async function holdLease(runs: RunStore, rotationId: string, ttlMs: number): Promise<HeldLease> {
  const lease = await runs.acquire(rotationId, ttlMs)
  let lost = false
  let requested: 'pause' | 'cancel' | null = null
  const asked = new AbortController()
  let renewing: Promise<void> = Promise.resolve()
  const renew = async () => {
    try {
      requested = await runs.renew(lease)
      if (requested !== null) asked.abort()
    } catch (error) {
      // A database that is away for a moment is tried again: what decides is the epoch.
      if (isKeyturnError(error, 'ERR_LEASE_LOST')) lost = true
    }
  }
  const timer = setInterval(() => {
    renewing = renewing.then(renew)
  }, ttlMs / 3)
  timer.unref()
  return {
    lease,
    assert: () => {
      if (lost) throw fail('ERR_LEASE_LOST', rotationId)
    },
    asked: asked.signal,
    requested: () => requested,
    release: async () => {
      clearInterval(timer)
      await renewing
      await runs.surrender(lease).catch(() => {})
    },
  }
}
