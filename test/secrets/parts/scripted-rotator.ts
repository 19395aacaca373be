import { randomBytes } from 'node:crypto'
import type { Rotator } from '@keyturn/secrets'
import { z } from 'zod'

/** What rotators of a test do instead, by id. */
export const instead = new Map<string, Partial<Rotator>>()

export const options = z.strictObject({
  id: z.string(),
  needs: z.array(z.enum(['next', 'previous'])).default([]),
  issued: z.boolean().default(false),
  overlap: z.boolean().default(true),
})

/** A rotator of values that we choose, with whatever a test puts in the place of its methods. */
export default function scriptedRotator({ id, needs, issued, overlap }: z.infer<typeof options>): Rotator {
  return {
    parts: { value: 'secret' },
    overlap,
    ...(issued ? {} : { issuer: false }),
    needs,
    check: async () => [],
    propose: async () => ({ id: null, parts: { value: randomBytes(18).toString('base64url') } }),
    create: async (_, given) => given ?? { id: null, parts: {} },
    verify: async () => ({ works: true, sentence: 'it is well-formed' }),
    revoke: async () => {},
    ...instead.get(id),
  }
}
