import { z } from 'zod'
import { outside } from '../outside/failure.ts'
import type { Finding } from '../secret/call.ts'
import type { Store } from '../secret/store.ts'
import { envValues, isEnvValue, withEnvValues } from './file/env-text.ts'
import { filePath, LockedFile } from './file/locked-file.ts'

export const options = z.strictObject({
  /** The file; made with mode 0600 if it is not there, in a folder that is. */
  path: filePath,
})

/**
 * A `.env` file, as dotenv, Docker Compose and a shell read it. All names change in one step; comments, order, quotes, line ends, mode and
 * owner stay, and a crash leaves the file before or after.
 *
 * Needs the right to write in the folder of the file. Refused: a file that git tracks, that is not in UTF-8, that has a hard link, or that is
 * another user's and not for everybody to read; and a value with a line break, with quotes of every kind, or with a backslash at its end, which
 * readers understand differently. For Docker's own `--env-file`, which takes quotes as they stand, rotate values of
 * letters, digits and `_ - . : / @ + = , % ?` only: those are written without quotes. After dotenv 17 and the documentation of Compose.
 */
export default function envFile({ path }: z.infer<typeof options>): Store {
  const file = new LockedFile(path)
  return {
    async check(_, names) {
      const odd = names.filter((name) => !isName(name))
      const faults = odd.map((name): Finding => ({ severity: 'fault', sentence: `${file.where}: "${name}" is no name of a variable` }))
      return [...faults, ...(await file.check())]
    },
    async look(_, names) {
      const values = envValues((await file.read()) ?? '')
      return Object.fromEntries(
        names.map((name) => {
          const value = values.get(name)
          return [name, value === undefined ? null : { value }]
        }),
      )
    },
    async write(call, values) {
      const odd = Object.entries(values).find(([name, value]) => !isName(name) || !isEnvValue(value ?? ''))
      if (odd !== undefined) throw outside('refused', file.where, `"${odd[0]}" has a line break or all kinds of quotes, or is no name`)
      await file.change(call, (text) => withEnvValues(text ?? '', values))
      return { version: null }
    },
  }
}

const isName = (name: string): boolean => /^[A-Za-z_]\w*$/.test(name)
