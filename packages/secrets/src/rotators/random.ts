import { generateKey } from '@keyturn/core'
import { z } from 'zod'
import type { Rotator } from '../secret/rotator.ts'
import { agreed, hasBreak } from './values/agreed.ts'

export const options = z.union(
  [
    z.strictObject({
      format: z.enum(['hex', 'base64', 'base64url']).default('base64url'),
      /** Random bytes. */
      bytes: z.int().min(16).max(1024).default(32),
    }),
    z.strictObject({
      /** Letters and digits. */
      format: z.literal('chars'),
      length: z.int().min(22).max(1024).default(32),
    }),
  ],
  { error: 'expected a format of hex, base64, base64url (16 to 1024 bytes) or chars (a length of 22 to 1024)' },
)

/**
 * A random value that nobody issues, such as the key of a webhook or a password between two of one's own services. At least 128 bits, on one line.
 *
 * Where several consumers must agree on it, let a store's templates mention `{next.value}` and `{previous.value}`: each is a deployment of its own.
 */
export default function random(shape: z.infer<typeof options>): Rotator {
  return agreed('the random value', {
    parts: { value: 'secret' },
    propose: async () => ({ id: null, parts: { value: generateKey(shape) } }),
    faultOf: ({ parts: { value = '' } }) =>
      value === '' ? 'it is empty' : hasBreak(value) ? 'it has a line break or another control character in it' : null,
  })
}
