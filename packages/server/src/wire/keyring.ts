import { z } from 'zod'
import { count, name, time } from './common.ts'

const version = z.object({
  id: z.string(),
  number: count,
  state: z.string(),
  compromised: z.boolean(),
  createdAt: time.nullable(),
  activatedAt: time.nullable(),
  retiredAt: time.nullable(),
  activatedBy: z.string().nullable(),
  messages: count.nullable(),
  roots: z.array(z.string()),
})

const signing = z.object({
  algorithm: z.string(),
  lifetimeSeconds: count,
  graceSeconds: count,
  everywhereSeconds: count.nullable(),
  grace: z.array(z.object({ versionId: z.string(), endsAt: time })),
  valid: z.array(z.object({ versionId: z.string(), kind: z.string(), count })),
  refused: z.array(z.object({ reason: z.string(), versionId: z.string().nullable(), count, lastAt: time })),
})

/** A keyring: what core says of it, its policy, and its latest counts. */
export const keyring = z.object({
  name: z.string(),
  kind: z.enum(['stored', 'environment', 'table']),
  revision: count,
  versions: z.array(version),
  due: z.array(z.string()),
  dueAt: time.nullable(),
  findings: z.array(z.string()),
  messagesLeft: count.nullable(),
  fields: z.array(z.string()),
  signing: signing.nullable(),
  policy: z.object({ periodSeconds: count.nullable(), automatic: z.boolean() }),
  census: z.object({ at: time, total: count, current: count, other: count, unreadable: count }).nullable(),
})

/** A field: where it stands, how it is written, and its latest counts. */
export const field = z.object({
  name: z.string(),
  keyring: z.string(),
  place: z.string(),
  table: z.string(),
  column: z.string(),
  path: z.string().nullable(),
  store: z.enum(['postgres', 'redis']),
  bound: z.array(z.string()),
  writes: z.string(),
  reads: z.array(z.string()),
  sensitive: z.boolean(),
  findings: z.array(z.string()),
  total: count.nullable(),
  current: count.nullable(),
  unreadable: count.nullable(),
})

const group = z.object({
  codec: z.string(),
  keyId: z.string().nullable(),
  state: z.string().nullable(),
  values: count,
  current: z.boolean(),
  knownToAll: z.boolean().optional(),
})

/** How many values stand under which key and format, by field. */
export const census = z.object({
  rows: count,
  fields: z.array(
    z.object({
      field: z.string(),
      total: count,
      unreadable: count,
      kept: count,
      unencrypted: count.optional(),
      groups: z.array(group),
    }),
  ),
})
export const censuses = z.object({
  censuses: z.array(z.object({ keyring: z.string(), at: time.nullable(), running: z.boolean(), census: census.nullable() })),
})

/** What is asked of one keyring. */
export const ofKeyring = z.strictObject({ keyring: name })
export const retireBody = z.strictObject({ acceptSetAside: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional() }).default({})
export const destroyBody = z.strictObject({ confirm: name, password: z.string().max(1024).optional(), now: z.boolean().optional() })
export const rewrapBody = z.strictObject({ keyring: name, drop: z.string().min(1).max(200).optional() })
export const rewrapped = z.object({ added: count, dropped: count, roots: z.array(z.string()) })
