import type { KeyObject } from 'node:crypto'
import { fail } from '../errors.ts'
import type { Algorithm } from '../signing/algorithm.ts'
import type { SigningKeyring } from '../signing/signing-keyring.ts'

/** The algorithms that jsonwebtoken has: it knows no EdDSA. */
type KnownAlgorithm = Exclude<Algorithm, 'EdDSA'>

/** The second argument of `verify`, in the form with a callback. */
type GetKey = (header: { readonly alg?: string; readonly kid?: string }, done: (error: Error | null, key?: KeyObject) => void) => void

/** The keys of a signing keyring, as jsonwebtoken takes them. */
export interface JsonwebtokenKeys {
  /** Gives the key that the token names, if that verifies: `jwt.verify(token, keys.verifies, done)`. */
  readonly verifies: GetKey
  /**
   * As `verifies`, also where several keys may have signed a token that names none of them: `jwt.verify(token, keys.verifiesToken(token), done)`.
   * For secrets of the environment, and for what an application signed before: jsonwebtoken does not hand the token over.
   */
  readonly verifiesToken: (token: string) => GetKey
  /** The key that signs now, and the options that name it: take both from one call. */
  readonly signs: () => Promise<{
    readonly key: KeyObject
    readonly options: { readonly algorithm: KnownAlgorithm; readonly keyid: string }
  }>
}

/**
 * Signs and verifies with jsonwebtoken, under the keys of a keyring.
 *
 * Give each token an expiry (`expiresIn`) within `signing.times.lifetimeMs`: the grace of a key is worked out from it, and jsonwebtoken
 * does not look. It makes one error of its own out of a token that is refused and of keys that could not be loaded; `signing.keyFor` before it
 * tells them apart (`ERR_SIGNING_STALE`).
 *
 * @throws `ERR_USAGE` for a keyring of EdDSA, which jsonwebtoken does not know
 */
export default function jsonwebtoken(signing: SigningKeyring): JsonwebtokenKeys {
  assertKnown(signing.algorithm)
  const verifying =
    (token?: string): GetKey =>
    ({ alg, kid }, done) => {
      signing.keyFor(kid, token).then(
        // Which algorithm is right is the key's to say, not the token's.
        (found) => (found === null || found.algorithm !== alg ? done(fail('ERR_TOKEN')) : done(null, found.key)),
        (error: Error) => done(error),
      )
    }
  return {
    verifies: verifying(),
    verifiesToken: verifying,
    signs: async () => {
      const { kid, algorithm, key } = await signing.signingKey()
      assertKnown(algorithm)
      return { key, options: { algorithm, keyid: kid } }
    },
  }
}

function assertKnown(algorithm: Algorithm): asserts algorithm is KnownAlgorithm {
  if (algorithm === 'EdDSA') throw fail('ERR_USAGE', 'jsonwebtoken knows no EdDSA. Choose ES256, or another library')
}
