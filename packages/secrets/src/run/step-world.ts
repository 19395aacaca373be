import { createHash } from 'node:crypto'
import { isKeyturnError } from '@keyturn/core'
import { kindOf, waitOf } from '../outside/failure.ts'
import type { Call } from '../secret/call.ts'
import type { Credential } from '../secret/credential.ts'
import type { OpenedSecret } from '../secret/opened-secret.ts'
import type { SecretConfig } from '../secret/secret-config.ts'
import { PartFailure } from './outcome.ts'
import type { Facts, Phase, Run } from './run.ts'

/** How a part is called. */
export interface CallOptions {
  /** The deployment that it is a part of. */
  readonly phase?: Phase
  /** The longest that it may take unless the part says so itself, in milliseconds; 30,000 unless given. */
  readonly callMs?: number
  /** Saves what must be on record before the call: when it is about to be made, and no more has to wait. */
  recorded?(): Promise<void>
}

/** What one try of a step works with. */
export interface StepWorld {
  readonly run: Run
  readonly secret: OpenedSecret
  /** The clock of the state when the try began, in milliseconds. */
  readonly now: number
  readonly old: Credential | null
  /** The new credential, once it is known. */
  readonly made: Credential | null
  /**
   * Calls a part: when its provider has room, with more lease left than the call may take, ended when it has taken that long.
   *
   * @throws PartFailure
   */
  call<T>(part: { readonly callMs?: number }, work: (call: Call) => Promise<T>, options?: CallOptions): Promise<T>
  /** Saves facts before the step is over, where a crash must find them. */
  remember(facts: Partial<Facts>, attempt?: string): Promise<void>
  /** Saves that the old credential is being ended. @throws PartFailure where somebody has just asked for the run back */
  pastReturn(): Promise<void>
}

export const defaultCallMs = 30_000

/** The attempt of a deployment other than the promotion: stores tell one from another by it. Always the same for the same one. */
export function attemptOf(attempt: string, phase?: Phase): string {
  if (phase === undefined || phase === 'promote') return attempt
  const hex = createHash('sha256').update(`${attempt}:${phase}`).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

/** What the rotator is configured as: another issuer would not know the credentials of this one. Names of variables only, no values. */
export const issuerOf = ({ rotator }: SecretConfig): string =>
  createHash('sha256').update(JSON.stringify(rotator)).digest('hex').slice(0, 16)

/** What a part threw, in words that may be kept: sentences of ours have no secrets, those of others are not repeated. */
export function partFailure(error: unknown): PartFailure {
  if (error instanceof PartFailure) return error
  const sentence = isKeyturnError(error) ? error.message : 'it failed in a way that it does not explain'
  return new PartFailure(kindOf(error), sentence, waitOf(error))
}
