import type { Readable } from 'node:stream'

/** All that the command touches of its process, so that a test can be another one. */
export interface Io {
  /** Results, and nothing else. */
  readonly stdout: Output
  /** Progress, questions, warnings and errors. */
  readonly stderr: Output
  readonly stdin: Readable
  readonly env: { readonly [name: string]: string | undefined }
  readonly cwd: string
  /** Whether a person sits there: answers on stdin, and sees stderr. */
  readonly isTTY: boolean
  /**
   * Calls `listener` at each Ctrl-C (SIGINT) or SIGTERM instead of ending the process.
   *
   * @returns ends this
   */
  onInterrupt(listener: () => void): () => void
  /** Ends the process at once. */
  exit(code: number): void
}
export interface Output {
  write(text: string): unknown
}

/** The process as it is. */
export function processIo(): Io {
  // A reader that left (`keyturn plan | head`) is no fault, and nobody is left to tell.
  process.stdout.on('error', () => process.exit(0))
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    stdin: process.stdin,
    env: process.env,
    cwd: process.cwd(),
    isTTY: process.stdin.isTTY === true && process.stderr.isTTY === true,
    onInterrupt(listener) {
      const signals = ['SIGINT', 'SIGTERM'] as const
      for (const signal of signals) process.on(signal, listener)
      return () => {
        for (const signal of signals) process.off(signal, listener)
      }
    },
    exit: (code) => process.exit(code),
  }
}
