import type { KeyObject } from 'node:crypto'
import { fail } from '../errors.ts'
import { type Algorithm, algorithms } from '../signing/algorithm.ts'
import type { SigningKeyring } from '../signing/signing-keyring.ts'

/** A token as @fastify/jwt decodes it, with its header. */
interface CompleteToken {
  readonly header?: { readonly alg?: string; readonly kid?: string }
  /** What was signed: the first two parts with the point between them. */
  readonly input?: string
  readonly signature?: string
}

/** The keys of a signing keyring, as @fastify/jwt takes them. */
export interface FastifyJwtKeys {
  /** Options of the plugin; others may stand beside them. */
  readonly options: {
    readonly secret: {
      readonly private: () => Promise<string | Buffer>
      /** `request.jwtVerify` gives the request and the token, `app.jwt.verify` the token and a callback. */
      readonly public: (request: unknown, token: CompleteToken | (() => void)) => Promise<string | Buffer>
    }
    readonly decode: { readonly complete: true }
    readonly sign: { readonly algorithm: Algorithm }
    readonly verify: { readonly algorithms: Algorithm[]; readonly clockTolerance: number }
  }
  /** For each token: `reply.jwtSign(claims, { sign: await keys.signs() })`. The key that signs now, its id, and when the token expires. */
  readonly signs: () => Promise<{
    readonly key: string | Buffer
    readonly algorithm: Algorithm
    readonly kid: string
    /** As @fastify/jwt has it: a text with its unit. */
    readonly expiresIn: string
  }>
}

/**
 * Signs and verifies with @fastify/jwt, under the keys of a keyring. A token is signed with `{ sign: await keys.signs() }`: the plugin has no
 * other way to give each token the id of its key, and without it `jwtSign` fails.
 */
export default function fastifyJwt(signing: SigningKeyring): FastifyJwtKeys {
  const { algorithm, times } = signing
  return {
    options: {
      secret: {
        // No key: the plugin asks for one also where `signs` has given it, and takes that one.
        private: async () => '',
        public: async (request, given) => {
          const { header, input, signature } = typeof given === 'function' ? (request as CompleteToken) : given
          const token = input === undefined ? undefined : `${input}.${signature}`
          // No word on the token: the keys could not be loaded.
          const found = await signing.keyFor(header?.kid, token).catch((error: Error) => Promise.reject(answered(error, 503)))
          // Which algorithm is right is the key's to say, not the token's.
          if (found === null || found.algorithm !== header?.alg) throw answered(fail('ERR_TOKEN'), 401)
          return textOf(found.key)
        },
      },
      decode: { complete: true },
      sign: { algorithm },
      // All of them: keys of another algorithm come and go with rotations. A key is given out for its own algorithm and for no other.
      verify: { algorithms: [...algorithms], clockTolerance: times.skewMs },
    },
    signs: async () => {
      const { kid, algorithm: alg, key } = await signing.signingKey()
      return { key: textOf(key), algorithm: alg, kid, expiresIn: `${Math.floor(times.lifetimeMs / 1000)}s` }
    },
  }
}

/** With the status that Fastify answers: without one it says 500, of a token that anybody can make up. */
const answered = (error: Error, statusCode: number): Error => Object.assign(error, { statusCode })

/** @fastify/jwt takes text and bytes only: PEM, or the bytes of a secret. */
function textOf(key: KeyObject): string | Buffer {
  if (key.type === 'secret') return key.export()
  return String(key.export({ format: 'pem', type: key.type === 'private' ? 'pkcs8' : 'spki' }))
}
