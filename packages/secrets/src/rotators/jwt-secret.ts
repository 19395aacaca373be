import { generateKey } from '@keyturn/core'
import { z } from 'zod'
import type { Rotator } from '../secret/rotator.ts'
import { agreed, hasBreak } from './values/agreed.ts'

/** RFC 7518, 3.2: a key of the size of the hash or larger. In bytes. */
const least = { HS256: 32, HS384: 48, HS512: 64 } as const

export const options = z
  .strictObject({
    algorithm: z.enum(['HS256', 'HS384', 'HS512']).default('HS256'),
    format: z.enum(['hex', 'base64', 'base64url']).default('base64url'),
    /** Random bytes; 64 unless given. */
    bytes: z.int().max(1024).default(64),
  })
  .refine(({ algorithm, bytes }) => bytes >= least[algorithm], {
    error: 'expected at least as many bytes as the hash has: 32, 48 or 64',
    path: ['bytes'],
  })

/**
 * The secret of tokens by HS256, HS384 or HS512, which signers and verifiers share.
 *
 * Two deployments are not enough: a machine that has the new secret would sign what the others cannot verify yet. The stores mention
 * `{next.value}` (all verify by it, none signs) and `{previous.value}` (tokens of the old one stay valid), which gives three:
 * `{ JWT_SECRET: '{value}', JWT_NEXT: '{next.value}', JWT_PREVIOUS_SIGNING_KEY: '{previous.value}' }`. Let the grace be longer than the
 * longest life of a token.
 *
 * Consumers use the text as it stands, encoded as it is. Facts: RFC 7518.
 */
export default function jwtSecret({ algorithm, format, bytes }: z.infer<typeof options>): Rotator {
  return agreed(`the secret of ${algorithm}`, {
    parts: { value: 'secret' },
    needs: ['next', 'previous'],
    propose: async () => ({ id: null, parts: { value: generateKey({ format, bytes }) } }),
    faultOf: ({ parts: { value = '' } }) => {
      if (hasBreak(value)) return 'it has a line break or another control character in it'
      return Buffer.byteLength(value) < least[algorithm] ? `it is shorter than ${least[algorithm]} bytes` : null
    },
  })
}
