import { createHash, createPrivateKey, createPublicKey, generateKeyPair, type JsonWebKey, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { z } from 'zod'
import type { Rotator } from '../secret/rotator.ts'
import { agreed } from './values/agreed.ts'

export const options = z
  .strictObject({
    algorithm: z.enum(['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA']).default('ES256'),
    /** Bits of an RSA key; 2048 unless given. */
    bits: z.union([z.literal(2048), z.literal(3072), z.literal(4096)]).optional(),
  })
  .refine(({ algorithm, bits }) => bits === undefined || /^[RP]S/.test(algorithm), {
    error: 'only keys of RSA have a number of bits',
    path: ['bits'],
  })

type Name = z.infer<typeof options>['algorithm']
const generate = promisify(generateKeyPair) as unknown as (type: string, options: object) => Promise<{ readonly privateKey: KeyObject }>

/** How each algorithm makes its keys, and the public members of a JWK in the order of RFC 7638, 3.2. */
const kinds: Record<Name, { readonly type: string; readonly curve?: string; readonly members: readonly string[] }> = {
  RS256: { type: 'rsa', members: ['e', 'kty', 'n'] },
  PS256: { type: 'rsa', members: ['e', 'kty', 'n'] },
  ES256: { type: 'ec', curve: 'P-256', members: ['crv', 'kty', 'x', 'y'] },
  ES384: { type: 'ec', curve: 'P-384', members: ['crv', 'kty', 'x', 'y'] },
  EdDSA: { type: 'ed25519', members: ['crv', 'kty', 'x'] },
}

/**
 * A pair of keys that signs tokens: RSA, ECDSA or Ed25519.
 *
 * - `privateKey`: PKCS #8 in PEM, which has line breaks; `privateLine` is the same as base64 of the DER on one line, for environments.
 * - `publicJwk`: a JWK in JSON with `kid`, `use` and `alg`, for a document of keys; `kid`: its thumbprint by RFC 7638.
 *
 * Verifiers must know the new public key before the first token is signed by it, and the old one for as long as its tokens live. The stores mention
 * `{next.publicJwk}` and `{previous.publicJwk}`, each under a name of its own. Facts: RFC 7517, 7518, 7638, 8037.
 */
export default function jwtKeyPair({ algorithm, bits = 2048 }: z.infer<typeof options>): Rotator {
  const { type, curve } = kinds[algorithm]
  return agreed(`the pair of keys of ${algorithm}`, {
    parts: { privateKey: 'secret', privateLine: 'secret', publicJwk: 'public', kid: 'public' },
    needs: ['next', 'previous'],
    propose: async () => {
      const { privateKey } = await generate(type, type === 'rsa' ? { modulusLength: bits } : { namedCurve: curve })
      const { kid, text } = publicHalf(privateKey, algorithm)
      return {
        id: kid,
        parts: {
          privateKey: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
          privateLine: privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64'),
          publicJwk: text,
          kid,
        },
      }
    },
    faultOf: ({ id, parts }) => {
      try {
        const key = createPrivateKey(parts.privateKey ?? '')
        if (key.asymmetricKeyType !== type) return `it is no key of ${algorithm}`
        const { kid, text } = publicHalf(key, algorithm)
        return kid === parts.kid && kid === id && text === parts.publicJwk ? null : 'its halves do not belong together'
      } catch {
        return 'it is no private key'
      }
    },
  })
}

/** The public half as a JWK: nothing of the private one is in it. */
function publicHalf(privateKey: KeyObject, algorithm: Name): { readonly kid: string; readonly text: string } {
  const jwk = createPublicKey(privateKey).export({ format: 'jwk' })
  const members = Object.fromEntries(kinds[algorithm].members.map((name) => [name, jwk[name as keyof JsonWebKey]]))
  const kid = createHash('sha256').update(JSON.stringify(members)).digest('base64url')
  return { kid, text: JSON.stringify({ ...members, kid, use: 'sig', alg: algorithm }) }
}
