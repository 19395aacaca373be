import { randomUUID } from 'node:crypto'
import { link, readFile, unlink, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { fail } from '../errors.ts'

/** How long to wait for another process, and how often to look. */
export interface LockWait {
  readonly waitMs: number
  readonly pollMs: number
}

interface Owner {
  readonly pid: number
  readonly host: string
  readonly token: string
}

/** Locks that this process has or waits for: one with our own pid that is not here was left by a process that had the pid before us. */
const ours = new Set<string>()

/**
 * Runs `work` while this process has the lock file.
 *
 * The file is made complete under another name and then linked, which fails if it is there: so only one has it, and whoever reads it
 * sees its owner. One that a process of this machine left behind when it died is taken away; one of another machine never is:
 * whether its process lives cannot be known here.
 *
 * @throws `ERR_STATE_IN_USE` when it cannot be had in time
 */
export async function withLock<T>(path: string, { waitMs, pollMs }: LockWait, work: () => Promise<T>): Promise<T> {
  const owner: Owner = { pid: process.pid, host: hostname(), token: randomUUID() }
  ours.add(owner.token)
  try {
    const end = performance.now() + waitMs
    while (!(await make(path, owner))) {
      if (await removeStale(path, owner)) continue
      if (performance.now() >= end) throw fail('ERR_STATE_IN_USE', path)
      await sleep(pollMs)
    }
    try {
      return await work()
    } finally {
      await unlink(path).catch(() => {})
    }
  } finally {
    ours.delete(owner.token)
  }
}

/** Makes the file unless it is there. @returns whether it was made */
async function make(path: string, owner: Owner): Promise<boolean> {
  const complete = `${path}.${owner.token}`
  await writeFile(complete, JSON.stringify(owner), { mode: 0o600 })
  try {
    await link(complete, path)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  } finally {
    await unlink(complete).catch(() => {})
  }
}

/**
 * Takes away a lock whose process has ended. Of several that find it, the one that makes the file named after it may: so nobody takes
 * away the lock that another has made meanwhile.
 */
async function removeStale(path: string, owner: Owner): Promise<boolean> {
  const stale = await readOwner(path)
  if (stale === null || !isDead(stale)) return false
  const right = `${path}.stale-${stale.token}`
  if (!(await make(right, owner))) return false
  try {
    if ((await readOwner(path))?.token === stale.token) await unlink(path)
  } finally {
    await unlink(right).catch(() => {})
  }
  return true
}

async function readOwner(path: string): Promise<Owner | null> {
  try {
    const { pid, host, token } = JSON.parse(await readFile(path, 'utf8'))
    return { pid: Number(pid), host: String(host), token: String(token).replace(/[^a-z0-9-]/gi, '') }
  } catch {
    // It is gone, or no lock of ours.
    return null
  }
}

function isDead({ pid, host, token }: Owner): boolean {
  if (host !== hostname()) return false
  if (pid === process.pid) return !ours.has(token)
  try {
    process.kill(pid, 0)
    return false
  } catch (error) {
    return codeOf(error) === 'ESRCH'
  }
}

const codeOf = (error: unknown): unknown => (typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined)
