import type { Call, Evidence, Finding, Verdict } from './call.ts'
import type { Credential } from './credential.ts'

/** What a gate is asked with. */
export interface Asked {
  /** What `before` returned, before anything changed; null where there is no such method. */
  readonly before: Evidence | null
  /** When the last deployment was over, in milliseconds since 1970. */
  readonly since: number
  readonly current: Credential
  /** The credential that is on its way out; null in a first rotation. */
  readonly previous: Credential | null
  /** Whether consumers were given the previous one as well, so that what was made with it must be accepted. */
  readonly both?: boolean
}

/** What must be healthy before a run goes on. */
export interface Gate {
  /**
   * When it is asked: `deployed`, after each deployment; `unused`, before the old credential is revoked, to show that nobody uses it.
   */
  readonly at: 'deployed' | 'unused'
  /** Whose limits its calls count against, as for a rotator. */
  readonly provider?: string
  /** The longest that one question may take, in milliseconds; 30,000 unless given. */
  readonly callMs?: number
  /** How long it may go on saying "later", in milliseconds; 300,000 unless given. */
  readonly settleMs?: number
  /** Looks whether it could work. Changes nothing. */
  check(call: Call): Promise<readonly Finding[]>
  /** What to compare with later: taken before the run changes anything. */
  before?(call: Call): Promise<Evidence>
  /** Changes nothing. A failure that is not "later" rolls the run back. */
  look(call: Call, asked: Asked): Promise<Verdict>
}
