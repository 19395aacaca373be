/** What the console speaks of where credentials come from elsewhere. */
export type Risk = 'critical' | 'high' | 'medium' | 'low'
export type RunState = 'running' | 'waiting' | 'paused' | 'completed' | 'rolled-back' | 'cancelled'
export type RunAction = 'provide' | 'resume' | 'rollback' | 'revoke' | 'cancel'

/** A secret of the inventory, with its policy. */
export interface Secret {
  readonly name: string
  readonly owner: string | null
  readonly rotator: string
  readonly stores: readonly { readonly store: string; readonly names: readonly string[] }[]
  readonly targets: readonly string[]
  readonly gates: readonly string[]
  readonly automatic: boolean
  readonly risk: Risk
  readonly runbook: string | null
  readonly policy: Policy
  readonly credentialId: string | null
  /** Since when its credential is in use; null where it was never rotated here. */
  readonly since: Date | null
  readonly dueAt: Date | null
  readonly overdue: boolean
  readonly beginsAt: Date | null
  readonly run: { readonly id: string; readonly state: RunState; readonly step: string | null; readonly note: string | null } | null
  readonly troubles: readonly string[]
}
/** Periods as the configuration writes them; null: what is usual. */
export interface Policy {
  readonly every: string | null
  readonly window: string | null
  readonly jitter: string | null
  readonly grace: string | null
  readonly soak: string | null
  readonly deadline: string | null
  readonly patience: string | null
  readonly after: readonly string[]
}
/** One run of a secret, in a list. */
export interface RunSummary {
  readonly id: string
  /** `sync`: brings stores and targets in line with what is in use, and rotates nothing. */
  readonly kind: 'rotation' | 'sync'
  readonly secret: string
  readonly rotator: string
  readonly state: RunState
  readonly direction: 'forward' | 'back'
  readonly step: string | null
  readonly note: string | null
  readonly startedBy: string
  readonly createdAt: Date
  readonly endedAt: Date | null
  readonly wakeAt: Date | null
  readonly oldId: string | null
  readonly newId: string | null
}
export interface Run extends RunSummary {
  readonly steps: readonly RunStep[]
  readonly task: Task | null
  /** Ids at the issuer of which somebody must say whose they are. */
  readonly asks: readonly string[]
  readonly actions: readonly RunAction[]
}
export interface RunStep {
  readonly number: number
  readonly step: string
  readonly direction: 'forward' | 'back'
  readonly state: 'later' | 'begun' | 'done' | 'failed' | 'skipped'
  readonly tries: number
  readonly begunAt: Date | null
  readonly endedAt: Date | null
  readonly evidence: { readonly [name: string]: string | number | boolean | null }
  readonly problem: string | null
}
/** What only a person can do. */
export interface Task {
  readonly title: string
  readonly instructions: string
  readonly url: string | null
  readonly paste: readonly { readonly part: string; readonly label: string }[]
  readonly until: Date
}
/** What a rotation would call, and what is wrong with it. */
export interface SecretPlan {
  readonly hasOld: boolean
  readonly gap: boolean
  readonly steps: readonly { readonly step: string; readonly calls: readonly string[] }[]
  /** How hard those who issue and keep it may be called. */
  readonly limits: readonly {
    readonly provider: string
    readonly atOnce: number
    readonly perMinute: number
    readonly parts: readonly string[]
  }[]
  readonly findings: readonly { readonly severity: 'fault' | 'warning'; readonly place: string; readonly sentence: string }[]
}
