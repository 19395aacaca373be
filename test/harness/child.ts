import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** How a child ended. `code` is null where a signal ended it. */
export interface ChildExit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** A Node process that runs one script of the repository. */
export interface Child {
  readonly pid: number
  /** What it has printed so far. */
  readonly stdout: string
  readonly stderr: string
  readonly exit: Promise<ChildExit>
  /** Resolves when stdout contains `text`. @throws Error if it ends without having printed it */
  printed(text: string): Promise<void>
  write(text: string): void
  /** Nothing more comes on its stdin. */
  end(): void
  /** SIGKILL unless another signal is named: no handler runs, nothing is tidied up. */
  kill(signal?: NodeJS.Signals): Promise<ChildExit>
}

export interface ChildOptions {
  /** Added to the environment; undefined takes a variable away. */
  readonly env?: { readonly [name: string]: string | undefined }
  readonly cwd?: string
  /** Arguments of Node itself; `--conditions=source` unless given. */
  readonly node?: readonly string[]
}

/** The folder of the repository. */
export const root = fileURLToPath(new URL('../..', import.meta.url))

/** Starts `node --conditions=source script args…`. The script is a path from the root of the repository, or absolute. */
export function startChild(script: string, args: readonly string[] = [], options: ChildOptions = {}): Child {
  const path = fileURLToPath(new URL(script, new URL('../../', import.meta.url)))
  const child = spawn(process.execPath, [...(options.node ?? ['--conditions=source']), path, ...args], {
    cwd: options.cwd ?? root,
    env: { ...process.env, ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (chunk: string) => {
      output[name] += chunk
    })
  }
  // A child that has ended no longer reads.
  child.stdin.on('error', () => {})
  const exit = once(child, 'close').then(([code, signal]): ChildExit => ({ code, signal, ...output }))
  return {
    pid: child.pid ?? 0,
    get stdout() {
      return output.stdout
    },
    get stderr() {
      return output.stderr
    },
    exit,
    printed: async (text) => {
      let ended = false
      const end = exit.then(() => {
        ended = true
      })
      while (!output.stdout.includes(text)) {
        if (ended) throw new Error(`the child ended without printing "${text}". It wrote:\n${output.stdout}\n${output.stderr}`)
        await Promise.race([once(child.stdout, 'data'), end])
      }
    },
    write: (text) => void child.stdin.write(text),
    end: () => void child.stdin.end(),
    kill: (signal = 'SIGKILL') => {
      child.kill(signal)
      return exit
    },
  }
}

/** Runs a script to its end, with `input` as its whole standard input. */
export async function runChild(
  script: string,
  args: readonly string[] = [],
  { input = '', ...options }: ChildOptions & { readonly input?: string } = {},
): Promise<ChildExit> {
  const child = startChild(script, args, options)
  if (input !== '') child.write(input)
  child.end()
  return child.exit
}
