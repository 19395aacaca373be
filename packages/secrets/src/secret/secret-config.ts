import { DURATION } from '@keyturn/core'
import { z } from 'zod'
import type { Condition } from './alert.ts'

/** A part by the name of its driver, with its options: `{ rotator: 'postgres-roles', admin: env('ADMIN_URL') }`. */
export type RotatorConfig = { readonly rotator: string; readonly [option: string]: unknown }
/** A store, and what stands under each of its names: `{ store: 'env-file', path: '.env', values: { DSN: 'postgres://{user}:{password}@db/app' } }`. */
export type StoreConfig = {
  readonly store: string
  /** Templates by name: `{part}`, `{current.part}`, `{previous.part}`, `{next.part}`; `{{` is a brace. */
  readonly values: { readonly [name: string]: string }
  /** Whether it is the source of truth: what people write there is taken over by `sync`, and `sync` writes nothing there. One store of a secret. */
  readonly truth?: boolean
  readonly [option: string]: unknown
}
export type TargetConfig = { readonly target: string; readonly [option: string]: unknown }
export type GateConfig = { readonly gate: string; readonly [option: string]: unknown }

/** A credential that is issued elsewhere, and how it is changed. Periods are `90d`, `12h`, `30m`, `10s`. */
export interface SecretConfig {
  readonly rotator: RotatorConfig
  /** Who answers for it: a team, a person. */
  readonly owner?: string
  /** Secrets that are brought in line together: `keyturn secrets sync --group postgres`. */
  readonly group?: string
  /** Where consumers read it: several are written all or none. */
  readonly stores?: readonly StoreConfig[]
  /** What must take the new value. */
  readonly targets?: readonly TargetConfig[]
  /** What must be healthy afterwards. */
  readonly gates?: readonly GateConfig[]
  /** How often it is rotated. */
  readonly every?: string
  /** Hours of the day in UTC in which a rotation by itself may begin: `02:00-05:00`. */
  readonly window?: string
  /** Up to how much later than due it begins by itself, so that not all begin together. The same on every server. */
  readonly jitter?: string
  /** Whether a server rotates it when it is due. */
  readonly automatic?: boolean
  /** How long the old credential goes on working after the new one is in use; `1h` unless given. */
  readonly grace?: string
  /** How long it is disabled before it is revoked, where its issuer can disable. */
  readonly soak?: string
  /** Secrets that are not changed at the same time, and first when all are due. */
  readonly after?: readonly string[]
  /** The parts of the credential that is in use before the first rotation: `{ value: env('OPENAI_API_KEY') }`. Without it the old one is not revoked. */
  readonly first?: { readonly [part: string]: { readonly env: string } | { readonly file: string } }
  /** How long a step is tried again before the run is rolled back; `30m` unless given. */
  readonly deadline?: string
  /** How long a person has for a task before somebody is told; `1d` unless given. */
  readonly patience?: string
  /** The address of its runbook. */
  readonly runbook?: string
  /** What it opens, for whoever must judge a leak: `critical` unless given. */
  readonly risk?: 'critical' | 'high' | 'medium' | 'low'
}

/** Who is told, of what: `{ alert: 'slack', url: env('SLACK_URL'), on: ['leak'] }`. */
export type AlertConfig = {
  readonly alert: string
  /** What it is known by when the configuration changes; its driver and the names of its variables unless given. */
  readonly name?: string
  /** Of which conditions; of all unless given. */
  readonly on?: readonly Condition[]
  /** Addresses of runbooks by condition. */
  readonly runbooks?: { readonly [condition in Condition]?: string }
  readonly [option: string]: unknown
}

/** Types the `secrets` of a configuration. Checked when it is opened. */
export function defineSecrets(secrets: { readonly [name: string]: SecretConfig }): { readonly [name: string]: SecretConfig } {
  return secrets
}

const text = z.string().min(1).max(300)
const period = z.string().regex(new RegExp(DURATION), { error: 'expected a period such as "90d", "12h" or "30m"' })
const file = z.string().refine((path) => path !== '' && !/[\0\r\n]|:\/\//.test(path))
const ref = z.union([z.strictObject({ env: text }), z.strictObject({ file })], {
  error: 'expected { "env": "NAME" } or { "file": "/path" }',
})
const named = (kind: string) => z.looseObject({ [kind]: z.string().regex(/^\S+$/) })
const conditions = ['authentication', 'connection', 'automatic', 'leak', 'task', 'revocation', 'failed'] as const

export const secretSchema = z.strictObject({
  rotator: named('rotator'),
  owner: text.optional(),
  group: text.optional(),
  stores: z
    .array(
      z.looseObject({
        store: z.string().regex(/^\S+$/),
        values: z.record(z.string().min(1), z.string().max(10_000)),
        truth: z.boolean().optional(),
      }),
    )
    .optional(),
  targets: z.array(named('target')).optional(),
  gates: z.array(named('gate')).optional(),
  every: period.optional(),
  window: z
    .string()
    .regex(/^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$/, { error: 'expected hours in UTC such as "02:00-05:00"' })
    .optional(),
  jitter: period.optional(),
  automatic: z.boolean().optional(),
  grace: period.optional(),
  soak: period.optional(),
  after: z.array(text).optional(),
  first: z.record(z.string().regex(/^[A-Za-z][A-Za-z0-9]*$/), ref).optional(),
  deadline: period.optional(),
  patience: period.optional(),
  runbook: z.url({ protocol: /^https?$/ }).optional(),
  risk: z.enum(['critical', 'high', 'medium', 'low']).optional(),
})

export const alertSchema = z.looseObject({
  alert: z.string().regex(/^\S+$/),
  name: text.optional(),
  on: z.array(z.enum(conditions)).optional(),
  runbooks: z.partialRecord(z.enum(conditions), z.url({ protocol: /^https?$/ })).optional(),
})
