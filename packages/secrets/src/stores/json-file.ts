import { z } from 'zod'
import { outside } from '../outside/failure.ts'
import { findings } from '../outside/findings.ts'
import type { Held, Store } from '../secret/store.ts'
import { JsonTextError, jsonValue, pathOf, withJsonValue } from './file/json-text.ts'
import { filePath, LockedFile } from './file/locked-file.ts'

export const options = z.strictObject({
  /** The file; made with mode 0600 if it is not there, in a folder that is. */
  path: filePath,
})

/**
 * A JSON file that the application reads. A name is a member of the document, or a JSON Pointer: `/database/password`. All names change in one
 * step; comments (of both kinds), order, numbers, white space, mode and owner stay, and a crash leaves the file before or after.
 *
 * Needs the right to write in the folder of the file. Refused: a file that git tracks, that is not in UTF-8, that has a hard link, or that is
 * another user's and not for everybody to read; and a place where an object or a list stands.
 */
export default function jsonFile({ path }: z.infer<typeof options>): Store {
  const file = new LockedFile(path)
  const reading = <T>(work: () => T): T => {
    try {
      return work()
    } catch (error) {
      // Those of JSON.parse quote what stands there.
      throw outside('refused', file.where, error instanceof JsonTextError ? error.message : 'it is no JSON')
    }
  }
  const look = async (names: readonly string[]) => {
    const text = await file.read()
    const held = (name: string): Held => {
      const value = text === null || text.trim() === '' ? null : reading(() => jsonValue(text, name))
      return value === null ? null : { value }
    }
    return Object.fromEntries(names.map((name) => [name, held(name)]))
  }
  return {
    check: (_, names) =>
      findings(async () => {
        await look(names)
        return file.check()
      }),
    look: (_, names) => look(names),
    async write(call, values) {
      await file.change(call, (text) => {
        const before = text === null || text.trim() === '' ? '{}\n' : text
        const next = reading(() =>
          Object.entries(values).reduce(
            (now, [name, value]) => (jsonValue(now, name) === value ? now : withJsonValue(now, name, value)),
            before,
          ),
        )
        const isWritten = Object.entries(values).every(([name, value]) => reading(() => jsonValue(next, name)) === value)
        if (!isWritten || pathsOverlap(Object.keys(values)))
          throw outside('refused', file.where, 'a place that is named stands inside another')
        return next
      })
      return { version: null }
    },
  }
}

const pathsOverlap = (names: readonly string[]): boolean => {
  const paths = names.map((name) => `${JSON.stringify(pathOf(name)).slice(0, -1)},`)
  return paths.some((path, index) => paths.some((other, place) => place !== index && other.startsWith(path)))
}
