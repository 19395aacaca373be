import { outside, type Rotator } from '@keyturn/secrets'
import { z } from 'zod'
import { issuerOf } from './issuer.ts'

/** What a person is asked for. */
export const taskTitle = 'Make a key at the issuer'

export const options = z.strictObject({ id: z.string() })

/** Keys that a person makes at an issuer in this process and pastes, for tests of tasks. */
export default function pastedKey({ id }: z.infer<typeof options>): Rotator {
  const find = (value: string | undefined) => [...issuerOf(id).values()].find((key) => key.value === value && key.enabled)
  return {
    parts: { value: 'secret' },
    overlap: true,
    check: async () => [{ severity: 'warning', sentence: 'a person makes the key' }],
    task: async () => ({
      title: taskTitle,
      instructions: '1. Open the issuer.\n2. Choose **New key**.',
      url: 'https://issuer.example/keys',
      paste: [{ part: 'value', label: 'Key', pattern: '[\\w-]{24}' }],
    }),
    create: async (_, given) => {
      const found = find(given?.parts.value)
      if (found === undefined) throw outside('refused', 'the issuer', 'it does not know this key')
      return { id: found.id, parts: { value: found.value } }
    },
    verify: async (_, { parts: { value } }) =>
      find(value) === undefined
        ? { works: false, later: false, sentence: 'the issuer refuses it' }
        : { works: true, sentence: 'the issuer lets it in' },
    revoke: async (_, { id: key, parts }) => {
      issuerOf(id).delete(key ?? find(parts.value)?.id ?? '')
    },
    adopt: async (_, parts) => ({ id: find(parts.value)?.id ?? null, parts }),
  }
}
