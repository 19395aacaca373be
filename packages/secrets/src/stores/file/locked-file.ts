import { isUtf8 } from 'node:buffer'
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import type { Stats } from 'node:fs'
import { access, constants, link, open, readdir, readFile, realpath, rename, stat, unlink, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isKeyturnError } from '@keyturn/core'
import { z } from 'zod'
import { outside } from '../../outside/failure.ts'
import { findings } from '../../outside/findings.ts'
import type { Call, Finding } from '../../secret/call.ts'

/** The path of a file. */
export const filePath = z.string().refine((path) => path !== '' && !/[\0\r\n]|:\/\//.test(path), { error: 'expected the path of a file' })

interface Owner {
  readonly pid: number
  readonly host: string
  readonly token: string
}

const POLL_MS = 50
/** Locks of this process: one with our pid that is not here was left by a process that had the pid before us. */
const ours = new Set<string>()
const codeOf = (error: unknown): string => {
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : ''
  return /^E[A-Z]+$/.test(code) ? code : 'an unknown fault'
}

/**
 * A file of secrets beside which others may write, too.
 *
 * A change is made under a lock file, written to a second file with the rights of the first, flushed, compared once more with what was
 * read, and renamed: a crash leaves the file before or after. What a crash leaves beside it is taken away by the next change.
 */
export class LockedFile {
  readonly #path: string
  readonly where: string

  constructor(path: string) {
    this.#path = path
    this.where = `the file ${path}`
  }

  /** What stands in it; null where there is none. @throws `ERR_OUTSIDE_REFUSED` where it cannot be read, or is no UTF-8: written again, it would be lost */
  async read(): Promise<string | null> {
    let bytes: Buffer
    try {
      bytes = await readFile(this.#path)
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return null
      throw outside('refused', this.where, `it cannot be read (${codeOf(error)})`)
    }
    if (!isUtf8(bytes)) throw outside('refused', this.where, 'it is not in UTF-8')
    return bytes.toString('utf8')
  }

  /**
   * Replaces the text by what `edit` makes of it; null is a file that is not there yet. The same text is not written.
   *
   * @throws `ERR_OUTSIDE_BUSY` while another has the lock, or when the text changed meanwhile; `ERR_OUTSIDE_REFUSED` where git tracks the
   * file, or it cannot be written
   */
  async change(call: Call, edit: (text: string | null) => string): Promise<void> {
    if ((await this.#git('ls-files', '--error-unmatch')) === 0)
      throw outside('refused', this.where, 'git tracks it: a secret would be committed')
    try {
      const path = await realpath(this.#path).catch(() => this.#path)
      await this.#underLock(`${path}.keyturn-lock`, call, () => this.#replace(path, call, edit))
    } catch (error) {
      if (isKeyturnError(error)) throw error
      throw outside('refused', this.where, `it cannot be written (${codeOf(error)})`)
    }
  }

  /** Whether it could be written, and whether others could read it. */
  async check(): Promise<Finding[]> {
    const found: Finding[] = []
    const fault = (sentence: string) => found.push({ severity: 'fault', sentence: `${this.where}: ${sentence}` })
    const warning = (sentence: string) => found.push({ severity: 'warning', sentence: `${this.where}: ${sentence}` })
    const mode = await stat(this.#path).catch(() => null)
    if (mode !== null && !mode.isFile()) fault('it is no file')
    else if (mode !== null) found.push(...(await findings(() => this.read().then(() => []))))
    const keeps = mode === null ? null : whyNot(mode, process.geteuid?.() ?? mode.uid)
    if (keeps !== null) fault(keeps)
    const folder = dirname(await realpath(this.#path).catch(() => this.#path))
    if (!(await mayAccess(folder, constants.W_OK | constants.X_OK))) fault('its folder is not there, or may not be written')
    if (mode !== null && (mode.mode & 0o077) !== 0) warning('other users of this machine may read it. chmod 600 takes that away')
    if ((await this.#git('ls-files', '--error-unmatch')) === 0)
      fault('git tracks it: a secret would be committed. Take it out of the repository first')
    else if ((await this.#git('check-ignore', '--quiet')) === 1) warning('it stands in a repository, and .gitignore does not name it')
    return found
  }

  async #replace(path: string, call: Call, edit: (text: string | null) => string): Promise<void> {
    const folder = dirname(path)
    const prefix = `.${basename(path)}.keyturn-`
    for (const left of await readdir(folder)) if (left.startsWith(prefix)) await unlink(join(folder, left))
    const before = await this.read()
    const next = edit(before)
    if (next === before) return
    const kept = before === null ? null : await stat(path)
    const why = kept === null ? null : whyNot(kept, process.geteuid?.() ?? kept.uid)
    if (why !== null) throw outside('refused', this.where, why)
    const temporary = join(folder, `${prefix}${call.attempt}`)
    try {
      await writeLike(kept, temporary, next)
      if ((await this.read()) !== before || call.signal.aborted)
        throw outside('busy', this.where, 'somebody else changed it at the same time, or the time was over')
      await rename(temporary, path)
    } catch (error) {
      await unlink(temporary).catch(() => {})
      throw error
    }
    const directory = await open(folder)
    await directory.sync().finally(() => directory.close())
  }

  async #underLock(path: string, { signal }: Call, work: () => Promise<void>): Promise<void> {
    const owner: Owner = { pid: process.pid, host: hostname(), token: randomUUID() }
    ours.add(owner.token)
    try {
      while (!(await take(path, owner))) {
        if (await removeStale(path, owner)) continue
        const isOver = await sleep(POLL_MS, false, { signal }).catch(() => true)
        if (isOver) throw outside('busy', this.where, 'another process has its lock')
      }
      await work().finally(() => unlink(path).catch(() => {}))
    } finally {
      ours.delete(owner.token)
    }
  }

  /** The exit code of a question to git about the file; 128 and up outside of a repository, null without git. */
  #git(...question: string[]): Promise<number | null> {
    // In a repository of somebody else, too, of which it would run a program that its settings name: this one not.
    const settings = ['-c', 'safe.directory=*', '-c', 'core.fsmonitor=false']
    const args = [...settings, '-C', dirname(this.#path), ...question, '--', basename(this.#path)]
    const { PATH, HOME } = process.env
    return new Promise((resolve) => {
      execFile('git', args, { env: { PATH, HOME } }, (error) =>
        resolve(error === null ? 0 : typeof error.code === 'number' ? error.code : null),
      )
    })
  }
}

/** Why a file in the place of this one would not be the same to those who read it; null where it would. */
function whyNot({ uid, mode, nlink }: Stats, self: number): string | null {
  if (nlink > 1) return 'it has a second name, a hard link, by which the old value would still be read'
  // Who is not root may not give files away.
  if (self === 0 || uid === self || (mode & 0o004) !== 0) return null
  return 'it is of another user, and would be of the one who writes: its owner might not read it any more. Let its owner write it'
}

/** Writes a new file with the rights of another one, and flushes it. */
async function writeLike(kept: Stats | null, path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    if (kept !== null) {
      // Who is not root keeps at least the group where that is theirs.
      await file.chown(kept.uid, kept.gid).catch(() => file.chown(process.geteuid?.() ?? -1, kept.gid).catch(() => {}))
      await file.chmod(kept.mode & 0o777)
    }
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

const mayAccess = (path: string, mode: number): Promise<boolean> =>
  access(path, mode).then(
    () => true,
    () => false,
  )

/** Complete under another name and then linked, which fails if it is there: who reads it sees its owner. */
async function take(path: string, owner: Owner): Promise<boolean> {
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

/** A lock of this machine whose process has ended is taken away, by one of those that find it. Of another machine nobody can know. */
async function removeStale(path: string, owner: Owner): Promise<boolean> {
  const stale = await ownerOf(path)
  if (stale === null || stale.host !== hostname() || isAlive(stale)) return false
  const right = `${path}.stale-${stale.token}`
  if (!(await take(right, owner))) return false
  try {
    if ((await ownerOf(path))?.token === stale.token) await unlink(path)
  } finally {
    await unlink(right).catch(() => {})
  }
  return true
}

async function ownerOf(path: string): Promise<Owner | null> {
  try {
    const { pid, host, token } = JSON.parse(await readFile(path, 'utf8'))
    return { pid: Number(pid), host: String(host), token: String(token).replace(/[^a-z0-9-]/gi, '') }
  } catch {
    return null
  }
}

function isAlive({ pid, token }: Owner): boolean {
  if (pid === process.pid) return ours.has(token)
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return codeOf(error) !== 'ESRCH'
  }
}
