import { isKeyturnError } from '@keyturn/core'
import { exit, exitOfError } from './exit.ts'
import { describe, places } from './failure.ts'
import type { Io } from './io.ts'
import { oneLine, printable } from './printable.ts'
import { parse } from './program.ts'
import { version } from './version.ts'

export { commandDocs } from './help.ts'
export { type Io, processIo } from './io.ts'

/**
 * Runs the command.
 *
 * Results go to `io.stdout`, all else to `io.stderr`. With `--json` there is exactly one line on stdout, also for an error:
 * `{"error":{"code","message"}}`. Never throws.
 *
 * @param argv - verb, arguments and options, without the program
 * @returns the exit code, by the table of `exit.ts`
 */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  let attempted = false
  let labels: ReadonlyMap<string, string> = new Map()
  try {
    const parsed = await parse(argv, io, version)
    if (parsed === null) return exit.done
    const { verb, call } = parsed
    labels = call.labels
    try {
      return await (await verb.load()).default(call)
    } finally {
      attempted = call.attempted
    }
  } catch (error) {
    const { code, message } = describe(error, labels)
    if (argv.includes('--json')) io.stdout.write(`${printable(JSON.stringify({ error: { code, message } }))}\n`)
    io.stderr.write(`keyturn: ${oneLine(message)} [${code}]\n`)
    if (io.env.KEYTURN_DEBUG === '1') io.stderr.write(`${places(error)}\n`)
    return isKeyturnError(error) ? exitOfError(error, attempted) : exit.failed
  }
}
