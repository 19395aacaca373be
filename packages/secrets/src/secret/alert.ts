import type { Call, Finding } from './call.ts'

/** What went wrong: a word that a configuration names under `on`. */
export type Condition = 'authentication' | 'connection' | 'automatic' | 'leak' | 'task' | 'revocation' | 'failed'

/** Something that somebody should know. No values, no digests longer than 8 digits, no bodies of others' answers. */
export interface Notice {
  /** The same for the same trouble of the same secret, so that it is told once: `keyturn/SECRET/CONDITION`. */
  readonly key: string
  readonly state: 'open' | 'resolved'
  readonly severity: 'critical' | 'error' | 'warning' | 'info'
  readonly condition: Condition
  readonly secret: string
  readonly runId: string | null
  /** A sentence: what, where, next step. */
  readonly summary: string
  /** The address of the runbook for this condition, where the configuration names one. */
  readonly runbook: string | null
  /** ISO time. */
  readonly at: string
}

/** A way to tell somebody. */
export interface Alert {
  readonly callMs?: number
  check(call: Call): Promise<readonly Finding[]>
  /** Repeating tells nobody twice where the channel can know it again by `key`. */
  send(call: Call, notice: Notice): Promise<void>
}
