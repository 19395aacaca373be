import type { KeyObject } from 'node:crypto'
import { fail } from '../errors.ts'
import type { SigningKeyring } from '../signing/signing-keyring.ts'

/** What jose tells of a token before it is verified. */
export interface JoseHeader {
  readonly alg?: string
  readonly kid?: string
}

/** The parts of a token, as jose hands them over. */
export interface JoseToken {
  readonly protected?: string
  readonly payload: string | Uint8Array
  readonly signature: string
}

/** The keys of a signing keyring, as jose takes them. */
export interface JoseKeys {
  /**
   * The second argument of `jwtVerify`: the key that the token names, if that verifies. A token that names none of ours, from before, gets the key
   * that has signed it.
   *
   * @throws `ERR_TOKEN` for a key that is retired or not known, and for another algorithm than the key's
   */
  readonly verifies: (header: JoseHeader, token?: JoseToken) => Promise<KeyObject>
  /** The key that signs now, and the header that names it: take both from one call. */
  readonly signs: () => Promise<{
    readonly key: KeyObject
    readonly header: { readonly alg: string; readonly kid: string; readonly typ: 'JWT' }
  }>
}

/**
 * Signs and verifies with jose, under the keys of a keyring.
 *
 * Give each token an expiry within `signing.times.lifetimeMs`: the grace of a key is worked out from it, and jose does not look.
 *
 * @example
 * import { jwtVerify, SignJWT } from 'jose'
 * import { open } from '@keyturn/core'
 *
 * const keyrings = { jose: { primary: { env: 'JWT_SECRET' }, sign: 'HS256', tokens: { lifetime: '1h' } } } as const
 * const keyturn = await open({ keyrings, fields: {} }, { pool, env: { JWT_SECRET: 'a text of 32 characters or more, from a generator' } })
 * const keys = jose(keyturn.signing('jose'))
 *
 * const { key, header } = await keys.signs()
 * const token = await new SignJWT({ sub: 'ada' }).setProtectedHeader(header).setIssuedAt().setExpirationTime('1h').sign(key)
 * const { payload } = await jwtVerify(token, keys.verifies)
 * payload.sub // 'ada'
 * await keyturn.close()
 */
export default function jose(signing: SigningKeyring): JoseKeys {
  return {
    verifies: async ({ alg, kid }, token) => {
      const found = await signing.keyFor(kid, token && `${token.protected}.${token.payload}.${token.signature}`)
      // Which algorithm is right is the key's to say, not the token's.
      if (found === null || found.algorithm !== alg) throw fail('ERR_TOKEN')
      return found.key
    },
    signs: async () => {
      const { kid, algorithm, key } = await signing.signingKey()
      return { key, header: { alg: algorithm, kid, typ: 'JWT' } }
    },
  }
}
