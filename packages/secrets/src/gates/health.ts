import { z } from 'zod'
import type { Call, World } from '../secret/call.ts'
import type { Gate } from '../secret/gate.ts'
import { httpUrl, secretRef } from '../secret/options.ts'
import { askAndCompare, expectations } from './http/asked.ts'

export const options = z.strictObject({
  /** The address of the document. */
  url: httpUrl,
  /** Headers whose values stand in variables: `{ authorization: env('HEALTH_TOKEN') }`. */
  headers: z.record(z.string().regex(/^[\w-]+$/), secretRef).optional(),
  ...expectations,
})

/**
 * The health document of the application says that it works: `{ gate: 'health', url: 'https://app/health', path: '.components.postgres' }`.
 *
 * Asked until it does, or until the settling time is over. Nothing of the document is kept but a plain word at the place.
 */
export default function health({ url, headers = {}, settleMs, ...expected }: z.infer<typeof options>, world: World): Gate {
  const { origin, pathname } = new URL(url)
  const where = `${origin}${pathname}`
  const look = async (call: Call) => {
    const given = await Promise.all(Object.entries(headers).map(async ([name, ref]) => [name, await world.read(ref)] as const))
    return askAndCompare(call, { where, url, headers: Object.fromEntries(given) }, expected)
  }
  return {
    at: 'deployed',
    ...(settleMs !== undefined && { settleMs }),
    check: async (call) => {
      const { good, wrong, sentence } = await look(call)
      // What is broken now may be what the rotation is to mend.
      return good ? [] : [{ severity: wrong ? 'fault' : 'warning', sentence: `it is not healthy now: ${sentence}` }]
    },
    look: async (call) => {
      const { good, sentence } = await look(call)
      return good ? { works: true, sentence } : { works: false, later: true, sentence }
    },
  }
}
