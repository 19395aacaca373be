import { setTimeout as sleep } from 'node:timers/promises'
import type { KeyVersion } from '../keyring/key-version.ts'
import type { LiveKeyring } from '../keyring/live-keyring.ts'
import type { Fencing } from './fencing.ts'
import type { Quiet } from './rewrite.ts'

/** A stored keyring, as a rotation changes it. */
export interface VersionSource {
  /** Adds a pending version. One that is pending already, left by a run that died, is taken instead. */
  addPending(): Promise<KeyVersion>
  /** Makes a pending version active, in one save. Does nothing if it is active already. */
  activate(id: string): Promise<void>
  /** The store's clock. */
  now(): Promise<Date>
  /** How often every process refreshes. */
  readonly refreshMs: number
}

/**
 * Waits until every reader has had a version for two refresh intervals: a process that could not refresh in that time has stopped
 * encrypting, and one that could knows the version.
 *
 * A pending one is waited for by this process's own clock, from now on, when the caller has just seen it in the store. Its date would
 * not do: it was read before the commit, which may have waited long for a lock, and the clock of the store may have been set since.
 *
 * @returns false when `signal` was aborted first
 */
export async function waitForReaders(versions: VersionSource, version: KeyVersion, signal: AbortSignal | undefined): Promise<boolean> {
  return await waitUntil(version.state === 'pending' ? 2 * versions.refreshMs : await remaining(versions, version.createdAt), signal)
}

/** The date of an activation is read before its commit: no process loads the old state later than this after it. */
const commitMarginMs = 1_000

/**
 * When no process can encrypt under the version before `active` any more: two refresh intervals after the activation.
 *
 * @param activatedAtMs - when this process has seen the activation committed, by `performance.now`; null where another one did it
 */
export async function quietAfter(
  versions: VersionSource | null,
  keyring: LiveKeyring,
  activatedAtMs: number | null,
): Promise<Quiet & { readonly over: () => boolean }> {
  const { activatedAt } = keyring.snapshot.active
  const owed =
    versions === null || activatedAt === null ? 0 : (await remaining(versions, activatedAt)) + Math.min(versions.refreshMs, commitMarginMs)
  const over = Math.max(performance.now() + owed, versions === null || activatedAtMs === null ? 0 : activatedAtMs + 2 * versions.refreshMs)
  return {
    over: () => performance.now() >= over,
    wait: async (signal) => {
      await waitUntil(over - performance.now(), signal)
    },
  }
}

const settlePollMs = 100

/**
 * Waits until every transaction has ended that was open at `since`: one of them may still write a value that it encrypted before.
 *
 * @returns null, or who keeps one open, in words, when the time is over or `signal` was aborted
 */
export async function settled(
  fencing: Pick<Fencing, 'unsettled'>,
  since: Date,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal | undefined },
): Promise<string | null> {
  const end = performance.now() + timeoutMs
  for (;;) {
    const open = await fencing.unsettled(since)
    if (open === null || performance.now() >= end || !(await waitUntil(settlePollMs, signal))) return open
  }
}

/** Never more than two intervals: a date in the future is one of a clock that was set back since. */
async function remaining(versions: VersionSource, since: Date): Promise<number> {
  const now = await versions.now()
  return Math.min(since.getTime() - now.getTime(), 0) + 2 * versions.refreshMs
}

async function waitUntil(ms: number, signal: AbortSignal | undefined): Promise<boolean> {
  if (ms > 0) await sleep(ms, undefined, signal === undefined ? {} : { signal }).catch(() => {})
  return !signal?.aborted
}
