import { z } from 'zod'
import { count, name, time } from './common.ts'

export const runStates = ['running', 'waiting', 'paused', 'completed', 'rolled-back', 'cancelled'] as const
/** What a run can be asked for in its state. */
export const runActions = ['provide', 'resume', 'rollback', 'revoke', 'cancel'] as const
const state = z.enum(runStates)
const period = z.string().nullable()

/** A secret of the inventory, with its policy. No value, no template, no option of a part. */
export const secret = z.object({
  name: z.string(),
  owner: z.string().nullable(),
  rotator: z.string(),
  stores: z.array(z.object({ store: z.string(), names: z.array(z.string()) })),
  targets: z.array(z.string()),
  gates: z.array(z.string()),
  automatic: z.boolean(),
  risk: z.enum(['critical', 'high', 'medium', 'low']),
  runbook: z.string().nullable(),
  policy: z.object({
    every: period,
    window: z.string().nullable(),
    jitter: period,
    grace: period,
    soak: period,
    deadline: period,
    patience: period,
    after: z.array(z.string()),
  }),
  credentialId: z.string().nullable(),
  since: time.nullable(),
  dueAt: time.nullable(),
  overdue: z.boolean(),
  beginsAt: time.nullable(),
  run: z.object({ id: z.string(), state, step: z.string().nullable(), note: z.string().nullable() }).nullable(),
  troubles: z.array(z.string()),
})
export type WireSecret = z.output<typeof secret>

/** A step of a run: what is on record of it, or that it comes later. */
const step = z.object({
  number: count,
  step: z.string(),
  direction: z.enum(['forward', 'back']),
  state: z.enum(['later', 'begun', 'done', 'failed', 'skipped']),
  tries: count,
  begunAt: time.nullable(),
  endedAt: time.nullable(),
  evidence: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
  problem: z.string().nullable(),
})

/** What only a person can do. */
const task = z.object({
  title: z.string(),
  instructions: z.string(),
  url: z.string().nullable(),
  paste: z.array(z.object({ part: z.string(), label: z.string(), pattern: z.string().nullable() })),
  until: time,
})

/** One rotation of a secret, without its steps. */
export const runSummary = z.object({
  id: z.string(),
  /** `sync`: brings stores and targets in line with what is in use, and rotates nothing. */
  kind: z.enum(['rotation', 'sync']),
  secret: z.string(),
  rotator: z.string(),
  state,
  direction: z.enum(['forward', 'back']),
  step: z.string().nullable(),
  note: z.string().nullable(),
  startedBy: z.string(),
  createdAt: time,
  endedAt: time.nullable(),
  wakeAt: time.nullable(),
  oldId: z.string().nullable(),
  newId: z.string().nullable(),
})
export type WireRunSummary = z.output<typeof runSummary>

/** One rotation of a secret: its steps with their evidence, what it asks a person for, and what it can be asked for. */
export const run = runSummary.extend({
  steps: z.array(step),
  task: task.nullable(),
  asks: z.array(z.string()),
  actions: z.array(z.enum(runActions)),
})
export type WireRun = z.output<typeof run>

/** What a rotation of a secret would call, and whether it could be done. */
export const secretPlan = z.object({
  secret: z.string(),
  rotator: z.string(),
  hasOld: z.boolean(),
  steps: z.array(z.object({ step: z.string(), calls: z.array(z.string()) })),
  gap: z.boolean(),
  /** How much is asked of whom at most, together with everybody else on the same state. */
  limits: z.array(z.object({ provider: z.string(), atOnce: count, perMinute: count, parts: z.array(z.string()) })),
  findings: z.array(z.object({ severity: z.enum(['fault', 'warning']), place: z.string(), sentence: z.string() })),
})

/** A name in a store beside what should stand there, by digests of 8 digits. */
const drift = z.object({
  secret: z.string(),
  store: z.string(),
  name: z.string(),
  state: z.enum(['same', 'differs', 'missing', 'extra', 'new', 'empty']),
  found: z.string().nullable(),
  expected: z.string().nullable(),
})
export const drifts = z.object({ items: z.array(drift) })

const text = z.string().min(1).max(300)
const held = { confirm: name, password: z.string().max(1024).optional() }
/** Of a leaked one the old credential is ended without a grace: that is held to what a revocation is held to. */
export const runBody = z
  .discriminatedUnion('leaked', [
    z.strictObject({ leaked: z.literal(false).optional() }),
    z.strictObject({ leaked: z.literal(true), ...held }),
  ])
  .default({})
export const syncBody = z.strictObject({ only: z.array(name).min(1).max(1000).optional() }).default({})
export const syncQuery = z.strictObject({ only: name.optional() })
const mostPart = 20_000
const isPart = ([name, value]: [string, unknown]): boolean =>
  /^[A-Za-z][A-Za-z0-9]{0,63}$/.test(name) && typeof value === 'string' && value.length <= mostPart
/** The parts by their names. A key of RSA in PEM is the longest. Looked at as a whole: a refusal that points to a member would repeat its name, which may be what was to be pasted. */
export const provideBody = z.strictObject({
  parts: z
    .record(z.string(), z.unknown())
    .refine((parts) => Object.entries(parts).every(isPart), { error: 'expected texts by the names of parts' })
    .meta({ additionalProperties: { type: 'string', maxLength: mostPart } }) as unknown as z.ZodType<Readonly<Record<string, string>>>,
})
export const resumeBody = z
  .strictObject({ remove: z.array(text).max(1000).optional(), keep: z.array(text).max(1000).optional() })
  .default({})
export const confirmBody = z.strictObject({ confirm: name })
export const revokeBody = z.strictObject(held)
