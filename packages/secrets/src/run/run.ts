import type { Evidence } from '../secret/call.ts'
import type { Task } from '../secret/task.ts'

/**
 * Where a rotation of a secret stands.
 *
 *     running ⇄ waiting ──▶ completed
 *        │  ▲      │
 *        ▼  │      ▼
 *       paused ──────────▶ rolled-back, cancelled
 *
 * - `running`: somebody works on it, or should.
 * - `waiting`: for a time (grace, another try) or for a person; says until when and why.
 * - `paused`: it cannot go on by itself; says why and what to do. Goes on with `resume`, or back with `rollback`.
 * - `completed`: the new credential is in use and the old one is refused.
 * - `rolled-back`: the old credential is in use again and the new one is gone.
 * - `cancelled`: it was ended before it had changed anything.
 */
export type RunState = 'running' | 'waiting' | 'paused' | 'completed' | 'rolled-back' | 'cancelled'
export type Direction = 'forward' | 'back'

/** What a step does. A deployment of a slot is three steps: `write:promote`, `deploy:promote`, `gates:promote`. */
export type StepName =
  | 'prepare'
  | 'task'
  | 'propose'
  | 'stage'
  | 'take'
  | 'create'
  | 'verify'
  | `${'write' | 'deploy' | 'gates'}:${Phase}`
  | 'grace'
  | 'unused'
  | 'disable'
  | 'soak'
  | 'revoke'
  | 'confirm'
  | 'sweep'
  | 'reinstate'
  | 'unstage'
  | 'remove'
  | 'confirm-removed'

/**
 * A deployment: the new value is announced, is promoted, the old one is withdrawn; or everything goes back. Without a rotation: what drifted is
 * brought in line (`sync`).
 */
export type Phase = 'announce' | 'promote' | 'withdraw' | 'back' | 'sync'

/** How it goes with the current step. */
export interface StepFacts {
  readonly since: number
  readonly tries: number
  /** Since when it is told "not yet": later by what it has waited for its provider. */
  readonly settled?: number
  /** Since when it waits for its provider to have room, and how long it did so before, in milliseconds. */
  readonly limitedAt?: number
  readonly limitedMs?: number
}

/** A step after it has waited for its provider: that is no part of its time. */
export function afterLimit({ limitedAt: _, ...step }: StepFacts, waitedMs: number): StepFacts {
  const settled = step.settled === undefined ? {} : { settled: step.settled + waitedMs }
  return { ...step, ...settled, limitedMs: (step.limitedMs ?? 0) + waitedMs }
}

/** What a run remembers, without secrets. */
export interface Facts {
  /** Ids at the issuer before `create`; null where it gives no list. */
  readonly before?: readonly string[] | null
  /** When `create` was about to be called, by the clock of the state, in milliseconds. */
  readonly intentAt?: number
  /** What the rotator was configured as, as a digest: a run goes on with the same issuer only. */
  readonly issuer?: string
  /** The old credential may have been ended: nothing takes it back any more. */
  readonly revoking?: boolean
  /** How often a person said that nothing new is of this run. */
  readonly answered?: number
  /** `create` was called and nobody knows what came of it. */
  readonly calling?: boolean
  /** Attempts that were given up: what carries their names is ours. */
  readonly abandoned?: readonly string[]
  /** The id of the new credential. */
  readonly newId?: string | null
  readonly oldId?: string | null
  /** What gates saw before anything changed, by their number. */
  readonly gates?: { readonly [gate: string]: Evidence }
  /** What stores returned, by their driver. */
  readonly versions?: { readonly [store: string]: string | null }
  readonly deployedAt?: number
  readonly promotedAt?: number
  /** The current step: since when it is tried, how often, and since when it is told "not yet". */
  readonly step?: StepFacts
  readonly task?: Task & { readonly until: number; readonly told?: boolean }
  /** The step of which a person said that what it is to end has ended, where nothing else can tell. */
  readonly ended?: StepName
  /** Ids that are new at the issuer and may be ours: a person says which. */
  readonly asks?: { readonly ids: readonly string[] }
  /** What the person said: ids that are ended, and ids that belong to others. */
  readonly toRemove?: readonly string[]
  readonly kept?: readonly string[]
  /** Ids that were found to be ours and unknown, and ended. */
  readonly removed?: readonly string[]
  /** Why it is going back. */
  readonly reason?: string
  /** The grace was ended by a person. */
  readonly hurried?: boolean
  /** It takes over what stands in the source of truth, which others made and wrote there. */
  readonly taken?: boolean
  /** It was begun because the secret may be known to others. */
  readonly leaked?: boolean
}

/** One rotation of one secret. */
export interface Run {
  readonly id: string
  readonly secret: string
  readonly rotator: string
  readonly state: RunState
  readonly direction: Direction
  readonly steps: readonly StepName[]
  /** The step at which it is; the number of steps when it is over. */
  readonly position: number
  readonly attempt: string
  readonly facts: Facts
  /** Ids of sealed values. */
  readonly oldValue: string | null
  readonly newValue: string | null
  /** Why it waits or is paused, and what to do. */
  readonly note: string | null
  readonly startedBy: string
  /** Times in milliseconds since 1970, by the clock of the state. */
  readonly createdAt: number
  readonly endedAt: number | null
  readonly wakeAt: number | null
  readonly sweepAt: number | null
  readonly epoch: number
}

/** A step as it is on record. */
export interface StepRecord {
  readonly number: number
  readonly step: StepName
  readonly state: 'begun' | 'done' | 'failed' | 'skipped'
  readonly tries: number
  readonly begunAt: number
  readonly endedAt: number | null
  readonly evidence: Evidence
  readonly problem: string | null
}

/** What a run may become by a word of somebody: the table of `ERR_RUN_STATE`. */
export const unfinished: readonly RunState[] = ['running', 'waiting', 'paused']
export const isOver = ({ state }: Pick<Run, 'state'>): boolean => !unfinished.includes(state)

/** The place of a step on record: those of the way back come after those of the way forward. */
export const numberOf = ({ direction, position }: Pick<Run, 'direction' | 'position'>): number =>
  direction === 'forward' ? position : 100 + position
