import type { Target } from '@keyturn/secrets'
import { z } from 'zod'

/** What happens when targets of a test are deployed, by id. */
export const deployments = new Map<string, () => Promise<void>>()

export const options = z.strictObject({ id: z.string() })

/** A target that does what a test tells it to. */
export default function scriptedTarget({ id }: z.infer<typeof options>): Target {
  return {
    check: async () => [],
    deploy: async () => {
      await deployments.get(id)?.()
      return { deployed: true }
    },
  }
}
