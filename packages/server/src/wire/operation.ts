import { z } from 'zod'
import { name, problem, time } from './common.ts'

/** Long work that is no rotation. */
export const operation = z.object({
  id: z.string(),
  kind: z.enum(['retire', 'census', 'verify', 'sync']),
  keyring: z.string().nullable(),
  state: z.enum(['running', 'done', 'failed']),
  startedAt: time,
  endedAt: time.nullable(),
  problem: problem.nullable(),
  result: z.record(z.string(), z.unknown()).nullable(),
})
export const verifyBody = z.strictObject({ keyring: name.optional() }).default({})
