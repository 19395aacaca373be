import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { resolve } from 'node:path'
import { fail } from '@keyturn/core'

/**
 * Takes an embedded database for this process alone: a file beside its folder that names the process.
 *
 * PGlite itself lets two processes open one folder, and both would destroy it. A lock whose process has ended, also by a crash, is
 * taken over; one of another machine is not, because nothing can be known of it.
 *
 * @returns gives the lock back
 * @throws `ERR_STATE_IN_USE` while another process has it
 */
export function lockFolder(folder: string): () => void {
  const path = `${resolve(folder)}.lock`
  const owner = JSON.stringify({ host: hostname(), pid: process.pid, started: startOf(process.pid) })
  if (!create(path, owner)) {
    const held = read(path)
    if (held !== null && isAlive(held)) throw fail('ERR_STATE_IN_USE', folder)
    takeAway(path, held, folder)
    if (!create(path, owner)) throw fail('ERR_STATE_IN_USE', folder)
  }
  return () => {
    if (read(path) === owner) rmSync(path, { force: true })
  }
}

function create(path: string, owner: string): boolean {
  try {
    writeFileSync(path, owner, { flag: 'wx', mode: 0o600 })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

/** Removes a lock that was found abandoned, unless somebody has taken it over since: then theirs is put back. */
function takeAway(path: string, held: string | null, folder: string): void {
  if (held === null) return
  const aside = `${path}.${process.pid}`
  try {
    renameSync(path, aside)
  } catch {
    return
  }
  const found = read(aside)
  rmSync(aside, { force: true })
  if (found === held || found === null) return
  create(path, found)
  throw fail('ERR_STATE_IN_USE', folder)
}

function isAlive(held: string): boolean {
  let owner: { host?: unknown; pid?: unknown; started?: unknown }
  try {
    owner = JSON.parse(held) as typeof owner
  } catch {
    // Created and not yet written, or written by somebody else: leave it.
    return true
  }
  if (owner.host !== hostname() || typeof owner.pid !== 'number') return true
  try {
    process.kill(owner.pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
  // Numbers of processes are used again: the time of the start tells another process from the one that took the lock.
  return startOf(owner.pid) === owner.started
}

/** When a process started, in ticks since the machine did; null where the system does not say. */
function startOf(pid: number): string | null {
  const stat = read(`/proc/${pid}/stat`)
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null
}
