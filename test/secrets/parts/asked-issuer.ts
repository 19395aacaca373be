import type { Rotator } from '@keyturn/secrets'
import { z } from 'zod'

/** What the issuer accepts; a person puts it there. */
export const accepted = new Set<string>()

export const options = z.strictObject({
  /** Whether an account is asked for as well. */
  account: z.boolean().default(false),
})

/** An issuer in this process whose keys only a person can make, for tests of whoever asks people. */
export default function askedIssuer({ account }: z.infer<typeof options>): Rotator {
  return {
    parts: { value: 'secret', ...(account ? { account: 'public' as const } : {}) },
    overlap: true,
    check: async () => [],
    task: async () => ({
      title: 'Make a key by hand',
      instructions: '1. Open the page.\n2. Choose **Create**.',
      url: 'https://issuer.example/keys',
      paste: [{ part: 'value', label: 'key', pattern: 'key-\\w+' }, ...(account ? [{ part: 'account', label: 'account' }] : [])],
    }),
    create: async (_, given) => ({ id: null, parts: given?.parts ?? {} }),
    verify: async (_, { parts }) =>
      accepted.has(parts.value ?? '')
        ? { works: true, sentence: 'the issuer lets it in' }
        : { works: false, later: false, sentence: 'the issuer refuses it' },
    revoke: async (_, { parts }) => {
      accepted.delete(parts.value ?? '')
    },
  }
}
