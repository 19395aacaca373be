import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, rmdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../harness/child.ts'

const folder = join(root, 'packages/console')
const dist = join(folder, 'dist')
const lock = join(root, 'node_modules/.keyturn-console-is-built')
const stepMs = 200
const longestMs = 120_000

/** Builds the console where its build is missing or older than a source of it; one process at a time. @returns where it stands */
export function builtConsole(): string {
  // While the lock is held a build is on its way: its page may be there before what the page names.
  for (let waited = 0; existsSync(lock) || !isFresh(); waited += stepMs) {
    if (taken() || waited > longestMs) return built()
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, stepMs)
  }
  return dist
}

function isFresh(): boolean {
  const page = join(dist, 'index.html')
  const sources = ['src', 'public', 'index.html', 'vite.config.ts'].map((name) => newest(join(folder, name)))
  return existsSync(page) && statSync(page).mtimeMs >= Math.max(...sources)
}

const newest = (path: string): number =>
  statSync(path).isDirectory() ? Math.max(0, ...readdirSync(path).map((name) => newest(join(path, name)))) : statSync(path).mtimeMs

function taken(): boolean {
  try {
    mkdirSync(lock)
    return true
  } catch {
    return false
  }
}

function build(): void {
  // The tests run with another one, under which React would bring everything that is for its developers.
  const env = { ...process.env, NODE_ENV: 'production' }
  execFileSync(join(root, 'node_modules/.bin/vite'), ['build', '--logLevel', 'error'], { cwd: folder, stdio: 'inherit', env })
}

function built(): string {
  try {
    // Under the lock: another may have built it meanwhile.
    if (!isFresh()) build()
    return dist
  } finally {
    rmdirSync(lock)
  }
}
