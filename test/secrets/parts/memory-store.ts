import type { Call, Store, Values } from '@keyturn/secrets'
import { z } from 'zod'

/** What each store of a test holds, by its id: consumers read it here. */
export const memory = new Map<string, Map<string, string>>()

export const options = z.strictObject({ id: z.string() })

/** A store in this process, for tests of everything else. */
export default function memoryStore({ id }: z.infer<typeof options>): Store {
  const held = () => {
    const values = memory.get(id) ?? new Map<string, string>()
    memory.set(id, values)
    return values
  }
  return {
    check: async () => [],
    look: async (_: Call, names) =>
      Object.fromEntries(
        names.map((name) => {
          const value = held().get(name)
          return [name, value === undefined ? null : { value }]
        }),
      ),
    write: async (_: Call, values: Values) => {
      for (const [name, value] of Object.entries(values)) value === null ? held().delete(name) : held().set(name, value)
      return { version: null }
    },
  }
}
