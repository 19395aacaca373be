import { z } from 'zod'
import { count, listQuery, time } from './common.ts'

/** An event of the audit log. */
export const auditEvent = z.object({
  seq: count,
  at: time,
  actor: z.string(),
  action: z.string(),
  subject: z.string(),
  data: z.record(z.string(), z.unknown()).nullable(),
  hash: z.string(),
})
const text = z.string().min(1).max(300).optional()
const moment = z.iso.datetime({ offset: true }).max(40).optional()
export const auditQuery = listQuery({ actor: text, action: text, subject: text, from: moment, to: moment })
export const auditReport = z.object({
  intact: z.boolean(),
  events: count,
  head: z.string(),
  fault: z.object({ seq: count, reason: z.enum(['sequence', 'previous', 'hash', 'head']) }).nullable(),
})
export const expectQuery = z.strictObject({ expect: z.string().max(4096).optional() })
