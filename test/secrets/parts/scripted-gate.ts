import type { Asked, Gate, Verdict } from '@keyturn/secrets'
import { z } from 'zod'

/** What gates of a test say, by id. */
export const verdicts = new Map<string, (asked: Asked) => Verdict>()

export const options = z.strictObject({ id: z.string(), at: z.enum(['deployed', 'unused']).default('deployed') })

/** A gate that says what a test tells it to. */
export default function scriptedGate({ id, at }: z.infer<typeof options>): Gate {
  return {
    at,
    check: async () => [],
    before: async () => ({ seen: 1 }),
    look: async (_, asked) => verdicts.get(id)?.(asked) ?? { works: true, sentence: 'all is well' },
  }
}
