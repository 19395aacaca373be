import { z } from 'zod'
import { count, id, name, time } from './common.ts'

/** What leaked: `app` or `app/aaaqeaye`, as the command takes it, or the name of a secret with the time at which others knew it. */
export const leakQuery = z.strictObject({
  key: z.string().min(1).max(330).optional(),
  secret: name.optional(),
  since: z.string().max(40).optional(),
})

const risk = z.enum(['critical', 'high', 'medium', 'low'])
const subject = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('key'), keyring: z.string(), versions: z.array(id) }),
  z.object({ kind: z.literal('secret'), secret: z.string() }),
])

/** What a remedy is begun with: the routes of a rotation, a retirement, a secret's runs, a run; each with its own role and confirmations. */
const act = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('rotate-key'), keyring: z.string() }),
  z.object({ kind: z.literal('retire-key'), keyring: z.string(), versions: z.array(id) }),
  z.object({ kind: z.literal('rotate-secret'), secret: z.string() }),
  z.object({ kind: z.literal('run'), secret: z.string(), run: z.string() }),
])

/** What a leaked key or secret opens, what mends it and what is still exposed. No value. */
export const leak = z.object({
  subject,
  /** The highest risk first. */
  opens: z.array(
    z.object({
      what: z.enum(['field', 'secret', 'tokens']),
      name: z.string(),
      risk,
      owner: z.string().nullable(),
      values: count.nullable(),
      sentence: z.string(),
    }),
  ),
  /** In this order. `command`: what does it on a command line; `act`: what this API does of it. */
  mends: z.array(z.object({ command: z.string().nullable(), why: z.string(), act: act.nullable() })),
  /** Empty when nothing is of use to others any more, as far as Keyturn can see. */
  exposed: z.array(z.string()),
  unknown: z.array(z.string()),
  /** When the values were counted, and whether they are being counted again; null: never, or nothing is counted. */
  countedAt: time.nullable(),
  counting: z.boolean(),
})
export type WireLeak = z.output<typeof leak>
