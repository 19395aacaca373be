import type { Alert, Notice } from '@keyturn/secrets'
import { z } from 'zod'

/** What channels of a test were told, by id. */
export const told = new Map<string, Notice[]>()
/** Channels that fail, and how often yet. */
export const failing = new Map<string, number>()

export const options = z.strictObject({ id: z.string() })

/** A channel that keeps what it is told. */
export default function scriptedAlert({ id }: z.infer<typeof options>): Alert {
  return {
    check: async () => [],
    send: async (_, notice) => {
      const left = failing.get(id) ?? 0
      failing.set(id, Math.max(0, left - 1))
      if (left > 0) throw new Error('the channel is down')
      told.set(id, [...(told.get(id) ?? []), notice])
    },
  }
}
