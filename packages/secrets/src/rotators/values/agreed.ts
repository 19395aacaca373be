import { outside } from '../../outside/failure.ts'
import type { Call, Verdict } from '../../secret/call.ts'
import type { Credential } from '../../secret/credential.ts'
import type { Rotator } from '../../secret/rotator.ts'

/** What differs between values that their consumers agree on. */
interface Agreed {
  readonly parts: Rotator['parts']
  readonly needs?: NonNullable<Rotator['needs']>
  propose(call: Call, current: Credential | null): Promise<Credential>
  /** What is wrong with it, as a sentence without it; null for nothing. */
  faultOf(credential: Credential): string | null
}

/** A rotator of values that nobody issues: to make one is to choose it, and it ends when its consumers no longer have it. */
export function agreed(where: string, { parts, needs, propose, faultOf }: Agreed): Rotator {
  const assertGood = (credential: Credential | null): Credential => {
    if (credential === null) throw outside('refused', where, 'there is no proposal')
    const fault = faultOf(credential)
    if (fault !== null) throw outside('refused', where, fault)
    return credential
  }
  return {
    parts,
    ...(needs !== undefined && { needs }),
    overlap: true,
    issuer: false,
    check: async () => [],
    propose,
    create: async (_, given) => assertGood(given),
    verify: async (_, credential): Promise<Verdict> => {
      const fault = faultOf(credential)
      return fault === null
        ? { works: true, sentence: 'it is well formed; nobody issues it' }
        : { works: false, later: false, sentence: fault }
    },
    revoke: async () => {},
  }
}

/** A line break in a value breaks files of variables, headers and command lines, and is seen by nobody. */
export const hasBreak = (text: string): boolean => /[\p{Cc}\u2028\u2029]/u.test(text)
