import { z } from 'zod'
import { count, name, time } from './common.ts'

export const rotationStates = ['planned', 'running', 'paused', 'waiting', 'verifying', 'completed', 'cancelled', 'failed'] as const
const mode = z.enum(['online', 'transaction'])

/** A rotation: what is recorded of it, and how fast it is where some server knows. */
export const rotation = z.object({
  id: z.string(),
  keyring: z.string(),
  mode,
  state: z.enum(rotationStates),
  createdAt: time,
  endedAt: time.nullable(),
  note: z.string().nullable(),
  requested: z.enum(['pause', 'cancel']).nullable(),
  sequence: count,
  pass: count,
  rotated: count,
  rows: z.record(z.string(), count),
  conflicts: count,
  setAside: count,
  fields: z.array(z.string()),
  rowsTotal: count.nullable(),
  rowsDone: count.nullable(),
  rowsPerSecond: count.nullable(),
  secondsLeft: count.nullable(),
  phase: z.enum(['waiting-for-readers', 'rewriting', 'verifying']).nullable(),
  tables: z.array(z.object({ name: z.string(), rowsTotal: count.nullable(), rowsDone: count })),
  hasCertificate: z.boolean(),
  live: z.boolean(),
  startedBy: z.string().nullable(),
})
export type WireRotation = z.output<typeof rotation>

/** What a rotation would do. Given back with `POST /v1/rotations`, it is held to. */
export const plan = z.object({
  format: z.literal('keyturn/plan/1'),
  createdAt: time,
  keyring: z.string(),
  options: z.object({ fields: z.array(z.string()).nullable(), appStopped: z.boolean(), newVersion: z.boolean() }),
  mode,
  tables: z.array(z.object({ table: z.string(), rows: count, bytes: count, key: z.array(z.string()) })),
  fields: z.array(
    z.object({
      field: z.string(),
      column: z.string(),
      writes: z.string(),
      reads: z.array(z.string()),
      bound: z.array(z.string()),
      sampled: count,
      opened: count,
      current: count,
      unencrypted: count.optional(),
    }),
  ),
  values: count,
  seconds: count,
  creates: z.array(z.string()),
  steps: z.array(z.string()),
  warnings: z.array(z.string()),
  alsoUsedFor: z.array(z.object({ what: z.string(), becomes: z.string() })),
  mustAccept: z.array(z.string()),
  facts: z.record(z.string(), z.string()),
  salt: z.string(),
})

const what = {
  keyring: name,
  mode: mode.optional(),
  fields: z.array(name).min(1).max(1000).optional(),
  newVersion: z.boolean().optional(),
}
export const planBody = z.strictObject(what)
export const rotationBody = z.strictObject({
  ...what,
  accept: z.boolean().optional(),
  // What a plan must be, core says: it made it.
  plan: z.looseObject({ format: z.literal('keyturn/plan/1') }).optional(),
})

/** A value that a rotation left as it is. */
export const setAside = z.object({
  field: z.string(),
  row: z.record(z.string(), z.string()),
  path: z.string().optional(),
  reason: z.string(),
  what: z.string(),
})
export const certificate = z.object({
  format: z.literal('keyturn/certificate/1'),
  claim: z.record(z.string(), z.unknown()),
  signer: z.string(),
  signature: z.string(),
})
export const released = z.object({ tables: z.array(z.string()) })
