import type { ErrorCode, KeyturnError, RotationResult, Verification } from '@keyturn/core'
import type { Run, RunState } from '@keyturn/secrets'

/** What the exit codes mean. Programs rely on them: a code never changes its meaning. */
export const exit = { done: 0, failed: 1, refused: 2, remain: 3, paused: 4 } as const
export type Exit = (typeof exit)[keyof typeof exit]

/** The codes in words, for help and documentation. */
export const exitWords: Record<Exit, string> = {
  0: 'done',
  1: 'attempted, and failed or was rolled back; or a verification found a fault',
  2: 'nothing was attempted: usage, configuration, keys, connection, or a plan that was refused',
  3: 'done, but something remains: values set aside or under another key, a store that differs, something that is still exposed',
  4: 'paused, interrupted or waiting: "keyturn resume" goes on ("keyturn secrets resume" with a secret); "keyturn retire" is given again',
}

/** Ctrl-C for the second time: as the shell counts a process ended by SIGINT. */
export const INTERRUPTED_TWICE = 130

/** Errors that are raised only after something was attempted, whatever their class. */
const attempts: readonly ErrorCode[] = [
  'ERR_LOCK_TIMEOUT',
  'ERR_LEASE_LOST',
  'ERR_APP_RUNNING',
  'ERR_ROUND_TRIP',
  'ERR_CONFLICT_REMAINS',
  'ERR_DECRYPT',
  'ERR_CERTIFICATE',
  'ERR_AUDIT',
  'ERR_FENCE_VALUES',
  'ERR_FENCE_MISSING',
  'ERR_UNEXPECTED',
]

/**
 * The exit code of an error.
 *
 * @param attempted - whether work had begun: then an error of any class is a failure
 */
export function exitOfError(error: KeyturnError, attempted: boolean): Exit {
  if (error.code === 'ERR_INTERRUPTED') return exit.paused
  return attempted || attempts.includes(error.code) ? exit.failed : exit.refused
}

/** The exit code of a rotation. */
export function exitOfRotation({ state, failedCount }: Pick<RotationResult, 'state' | 'failedCount'>): Exit {
  if (state === 'completed') return failedCount > 0 ? exit.remain : exit.done
  return state === 'failed' || state === 'cancelled' ? exit.failed : exit.paused
}

/** What of a verification its exit code depends on. */
export type Verdict = Pick<Verification, 'failedCount' | 'setAside' | 'other' | 'fences'>

/** The exit code of a verification: a value that does not open and was not set aside is a fault, and so is a fence that is missing. */
export function exitOfVerification({ failedCount, setAside, other, fences }: Verdict): Exit {
  if (failedCount > setAside || fences.missing.length > 0) return exit.failed
  return setAside > 0 || other > 0 ? exit.remain : exit.done
}

/**
 * The exit code of a run of a secret. One that only lets time pass, while both credentials work, has done what was asked.
 *
 * @param wanted - how it should end
 * @param remains - whether a person has to end something
 */
export function exitOfSecretRun(
  run: Pick<Run, 'state' | 'direction' | 'steps' | 'position'>,
  { wanted, remains }: { readonly wanted: readonly RunState[]; readonly remains: boolean },
): Exit {
  if (wanted.includes(run.state)) return remains ? exit.remain : exit.done
  if (letsTimePass(run)) return wanted.includes('completed') ? exit.done : exit.paused
  return run.state === 'running' || run.state === 'waiting' || run.state === 'paused' ? exit.paused : exit.failed
}

/** Whether the new credential is in use and the old one only waits for its end. */
export const letsTimePass = ({ state, direction, steps, position }: Pick<Run, 'state' | 'direction' | 'steps' | 'position'>): boolean =>
  state === 'waiting' && direction === 'forward' && ['grace', 'soak'].includes(steps[position] ?? '')
