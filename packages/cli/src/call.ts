import type { Io } from './io.ts'
import type { Options } from './options.ts'
import { oneLine, printable } from './printable.ts'

/** One use of a verb: its arguments, its options, and the process it runs in. */
export interface Call {
  readonly verb: { readonly name: string; readonly arguments: readonly string[] }
  readonly args: readonly string[]
  readonly options: Options
  readonly io: Io
  /** Set once something was attempted: from then on an error is a failure and not a refusal. */
  attempted: boolean
  /** Names that stand in messages for the reserved ones under which keys of files and standard input are passed on. */
  readonly labels: Map<string, string>
}

/** Prints a result: one line of JSON, or words. */
export function print({ io, options }: Call, data: unknown, words: string): void {
  const text = printable(options.json ? JSON.stringify(data) : words)
  io.stdout.write(text.endsWith('\n') || text === '' ? text : `${text}\n`)
}

/**
 * Prints a line of which every byte counts, because it is signed or hashed: into a file or a pipe as it is. On a terminal what it
 * holds must not command, and nobody checks it there.
 */
export function printExact({ io }: Pick<Call, 'io'>, line: string): void {
  const terminal = 'isTTY' in io.stdout && io.stdout.isTTY === true
  io.stdout.write(`${terminal ? printable(line) : line}\n`)
}

/** Says something beside the result. */
export function say({ io }: Pick<Call, 'io'>, text: string): void {
  io.stderr.write(`${printable(text)}\n`)
}

/** Says a warning, a sentence. */
export function caution(call: Pick<Call, 'io'>, sentence: string): void {
  say(call, `warning: ${oneLine(sentence)}`)
}
