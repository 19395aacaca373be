import { fail, isKeyturnError, type KeyturnError } from '@keyturn/core'

/**
 * What a failed call to somebody else means for whoever called.
 *
 * - `busy`: it was not taken; nothing happened. Tried again after a while.
 * - `uncertain`: there was no answer, or none that can be believed. It may have happened: what is safe to repeat is repeated, what is not
 *   is looked for first.
 * - `refused`: it will not be done, however often it is asked: no such thing, no right to it, a wrong login.
 */
export type FailureKind = 'busy' | 'uncertain' | 'refused'

const codes = { busy: 'ERR_OUTSIDE_BUSY', uncertain: 'ERR_OUTSIDE_UNCERTAIN', refused: 'ERR_OUTSIDE_REFUSED' } as const
const waits = new WeakMap<KeyturnError, number>()

/**
 * The error of a call to somebody else.
 *
 * @param where - who was asked, in words: `the API of Fly, app "cloudforge"`
 * @param why - what came of it: a status, a code of the issuer, our own words. Never the body of an answer, which may repeat the credential
 * @param afterMs - how long to wait before the next try, where the answer said so
 */
export function outside(kind: FailureKind, where: string, why: string, afterMs?: number): KeyturnError {
  const error = fail(codes[kind], where, why)
  if (afterMs !== undefined) waits.set(error, afterMs)
  return error
}

/** What an error that a part threw means: what is not ours is uncertain, what is and was not met outside is refused. */
export function kindOf(error: unknown): FailureKind {
  if (!isKeyturnError(error)) return 'uncertain'
  return (Object.keys(codes) as FailureKind[]).find((kind) => codes[kind] === error.code) ?? 'refused'
}

/** How long the answer asked to wait, in milliseconds; undefined where it did not say. */
export const waitOf = (error: unknown): number | undefined => (isKeyturnError(error) ? waits.get(error) : undefined)
