import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { isKeyturnError } from '@keyturn/core'
import { z } from 'zod'
import type { World } from '../secret/call.ts'
import { outside } from './failure.ts'

/** A program and its arguments, without a shell: nothing in them is replaced. Everybody on the machine can read them. */
export const commandLine = z
  .array(z.string().regex(/^[^\0]*$/))
  .min(1, { error: 'expected a program and its arguments: ["pm2", "reload", "shop"]' })
  .refine(([program = '']) => program !== '', { error: 'expected a program and its arguments: ["pm2", "reload", "shop"]' })

/** A program to run once. */
export interface Running {
  /** What it is called in messages. */
  readonly where: string
  readonly command: readonly string[]
  readonly folder?: string | undefined
  /** What it reads. Secrets go this way only: arguments and variables can be seen by others. */
  readonly input?: string
  /** Takes what it prints line by line; then `stdout` stays empty, and there may be much of it. */
  readonly onLine?: (line: string) => void
  /** Its whole environment. */
  readonly env: { readonly [name: string]: string }
  /** Ends it, and what it started. */
  readonly signal: AbortSignal
}

export interface Ended {
  readonly code: number
  readonly stdout: string
  /** The beginning of what it complained. To look for words in, never to keep. */
  readonly stderr: string
}

// What programs need to find themselves and their user. Everything else is passed on by name only: our own environment holds secrets.
const usual = [
  'PATH',
  'HOME',
  'USER',
  'LOGNAME',
  'LANG',
  'LC_ALL',
  'TZ',
  'TMPDIR',
  'SHELL',
  'SSL_CERT_FILE',
  'HTTPS_PROXY',
  'NO_PROXY',
  'SystemRoot',
]
const MOST_OUTPUT = 4 * 1024 * 1024
const MOST_COMPLAINT = 64 * 1024
const PATIENCE_MS = 5_000
const DRAIN_MS = 1_000

/** The usual variables and those named. @throws `ERR_ENV_MISSING` for one that is named and not set */
export async function environment(world: World, names: readonly string[] = []): Promise<Record<string, string>> {
  const env: Record<string, string> = {}
  for (const name of usual) {
    const value = await world.read({ env: name }).catch((error: unknown) => {
      if (isKeyturnError(error, 'ERR_ENV_MISSING')) return null
      throw error
    })
    if (value !== null) env[name] = value
  }
  for (const name of names) env[name] = await world.read({ env: name })
  return env
}

/**
 * Runs a program to its end. What it prints stays here: it may print what it was given.
 *
 * @throws `ERR_OUTSIDE_REFUSED` where it cannot be started, `ERR_OUTSIDE_UNCERTAIN` where it was ended, by us or by another
 */
export async function runProgram({ where, command, folder, env, input = '', onLine, signal }: Running): Promise<Ended> {
  const [program = '', ...args] = command
  if (signal.aborted) throw outside('busy', where, 'the time was over before it was started')
  // A group of its own, so that what it starts can be ended with it.
  const child = spawn(program, args, { cwd: folder, env, stdio: ['pipe', 'pipe', 'pipe'], detached: true })
  // A program need not read what it is given.
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  let stdout = ''
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    if (stderr.length < MOST_COMPLAINT) stderr += chunk
  })
  if (onLine !== undefined) createInterface({ input: child.stdout, crlfDelay: Number.POSITIVE_INFINITY }).on('line', onLine)
  else
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      if (stdout.length < MOST_OUTPUT) stdout += chunk
    })
  const end = (how: NodeJS.Signals) => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, how)
    } catch {
      // It has ended already.
    }
  }
  let timer: NodeJS.Timeout | undefined
  const stop = () => {
    end('SIGTERM')
    timer = setTimeout(() => end('SIGKILL'), PATIENCE_MS)
  }
  signal.addEventListener('abort', stop, { once: true })
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', () =>
        reject(outside('refused', where, `the program "${program}" cannot be started: is it installed, and its folder there?`)),
      )
      // What it printed is all there when its output is closed; a daemon that it left behind may hold that open for ever.
      child.once('close', resolve)
      child.once('exit', (exit) => setTimeout(resolve, DRAIN_MS, exit).unref())
    })
    if (signal.aborted) throw outside('uncertain', where, 'it had not ended in time, and was ended')
    if (code === null) throw outside('uncertain', where, 'somebody ended it')
    return { code, stdout, stderr }
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', stop)
    child.stdout.destroy()
    child.stderr.destroy()
  }
}
