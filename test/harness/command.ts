import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll } from 'vitest'
import { type Io, main } from '../../packages/cli/src/main.ts'

/** What a run of the command came to. */
export interface CommandRun {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}
export interface CommandOptions {
  readonly cwd?: string
  readonly env?: { readonly [name: string]: string | undefined }
  readonly stdin?: string
  readonly isTTY?: boolean
  /** Called with what has been written to stderr so far; `interrupt` is a Ctrl-C. */
  readonly watch?: (stderr: string, interrupt: () => void) => void
}

/** Runs the command in this process. */
export async function runCommand(argv: readonly string[], options: CommandOptions = {}): Promise<CommandRun> {
  const listeners = new Set<() => void>()
  const run = { code: -1, stdout: '', stderr: '' }
  const interrupt = () => {
    for (const listener of listeners) listener()
  }
  const io: Io = {
    stdout: { write: (text) => (run.stdout += text) },
    stderr: {
      write: (text) => {
        run.stderr += text
        options.watch?.(run.stderr, interrupt)
      },
    },
    stdin: Readable.from(options.stdin === undefined ? [] : [Buffer.from(options.stdin)]),
    env: options.env ?? {},
    cwd: options.cwd ?? tmpdir(),
    isTTY: options.isTTY ?? false,
    onInterrupt(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    exit: (code) => {
      run.stderr += `ended at once with ${code}\n`
    },
  }
  run.code = await main(argv, io)
  return run
}

const folders: string[] = []

/** A new folder with these files; removed at the end of the test file. */
export async function createFolder(files: { readonly [name: string]: string } = {}): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'keyturn-folder-'))
  if (folders.length === 0) afterAll(() => Promise.all(folders.map((path) => rm(path, { recursive: true, force: true }))))
  folders.push(folder)
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  return folder
}
