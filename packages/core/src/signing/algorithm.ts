import {
  createHmac,
  createPublicKey,
  createSecretKey,
  generateKeyPair,
  type JsonWebKey,
  type KeyObject,
  constants as padding,
  randomBytes,
  sign,
  timingSafeEqual,
  verify,
} from 'node:crypto'
import { promisify } from 'node:util'

/** The algorithms that tokens are signed with, by their names in RFC 7518 and RFC 8037. `EdDSA` is Ed25519. */
export type Algorithm = 'HS256' | 'HS384' | 'HS512' | 'RS256' | 'PS256' | 'ES256' | 'ES384' | 'EdDSA'

/** How one algorithm makes keys and signatures. All signatures are the bytes that RFC 7518 puts into a token. */
interface Scheme {
  readonly keyType: 'oct' | 'RSA' | 'EC' | 'OKP'
  /** A new private or secret key. */
  create(): Promise<KeyObject>
  /** Whether a private or secret key is one for this algorithm: the type, the curve, enough bits. */
  fits(key: KeyObject): boolean
  sign(data: Uint8Array, key: KeyObject): Buffer
  /** @param key - the public key, or the secret one of HMAC */
  verify(data: Uint8Array, signature: Uint8Array, key: KeyObject): boolean
}

/** RFC 7518, 3.3: a key of 2048 bits or larger. */
const LEAST_RSA_BITS = 2048
const generate = promisify(generateKeyPair) as unknown as (type: string, options: object) => Promise<{ readonly privateKey: KeyObject }>

/** RFC 7518, 3.2: a key of the size of the hash or larger. */
function hmac(hash: string, bytes: number): Scheme {
  const digest = (data: Uint8Array, key: KeyObject) => createHmac(hash, key).update(data).digest()
  return {
    keyType: 'oct',
    create: async () => createSecretKey(randomBytes(bytes)),
    fits: (key) => key.type === 'secret' && (key.symmetricKeySize ?? 0) >= bytes,
    sign: digest,
    verify: (data, signature, key) => signature.length === bytes && timingSafeEqual(digest(data, key), signature),
  }
}

function rsa(options: { readonly padding: number; readonly saltLength?: number }): Scheme {
  return {
    keyType: 'RSA',
    create: async () => (await generate('rsa', { modulusLength: LEAST_RSA_BITS })).privateKey,
    fits: ({ type, asymmetricKeyType, asymmetricKeyDetails: { modulusLength = 0, publicExponent = 0n } = {} }) =>
      // With an exponent of one a message is its own signature.
      type === 'private' && asymmetricKeyType === 'rsa' && modulusLength >= LEAST_RSA_BITS && publicExponent > 1n,
    sign: (data, key) => sign('sha256', data, { key, ...options }),
    verify: (data, signature, key) => verify('sha256', data, { key, ...options }, signature),
  }
}

function ecdsa(hash: string, curve: string, bytes: number): Scheme {
  const dsaEncoding = 'ieee-p1363'
  return {
    keyType: 'EC',
    create: async () => (await generate('ec', { namedCurve: curve })).privateKey,
    fits: (key) => key.type === 'private' && key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === curve,
    sign: (data, key) => sign(hash, data, { key, dsaEncoding }),
    verify: (data, signature, key) => signature.length === bytes && verify(hash, data, { key, dsaEncoding }, signature),
  }
}

const ed25519: Scheme = {
  keyType: 'OKP',
  create: async () => (await generate('ed25519', {})).privateKey,
  fits: (key) => key.type === 'private' && key.asymmetricKeyType === 'ed25519',
  sign: (data, key) => sign(null, data, key),
  verify: (data, signature, key) => verify(null, data, key, signature),
}

const schemes: Readonly<Record<Algorithm, Scheme>> = {
  HS256: hmac('sha256', 32),
  HS384: hmac('sha384', 48),
  HS512: hmac('sha512', 64),
  RS256: rsa({ padding: padding.RSA_PKCS1_PADDING }),
  PS256: rsa({ padding: padding.RSA_PKCS1_PSS_PADDING, saltLength: padding.RSA_PSS_SALTLEN_DIGEST }),
  ES256: ecdsa('sha256', 'prime256v1', 64),
  ES384: ecdsa('sha384', 'secp384r1', 96),
  EdDSA: ed25519,
}

/** All algorithms, in the order of the documentation. */
export const algorithms = Object.keys(schemes) as readonly Algorithm[]

/** Whether a text names an algorithm. `none` is not one. */
export function isAlgorithm(text: unknown): text is Algorithm {
  return typeof text === 'string' && Object.hasOwn(schemes, text)
}

/** How an algorithm works. */
export const schemeOf = (algorithm: Algorithm): Scheme => schemes[algorithm]

/** Whether signer and verifier share one secret: there is nothing to publish. */
export const isSymmetric = (algorithm: Algorithm): boolean => schemes[algorithm].keyType === 'oct'

/** A public key as it stands in a JWKS document (RFC 7517): nothing in it is secret. */
export interface PublicJwk {
  readonly kty: 'RSA' | 'EC' | 'OKP'
  readonly kid: string
  readonly use: 'sig'
  readonly alg: Algorithm
  readonly [member: string]: string
}

/** The public members of each type of key, and no others: a private key exports its secrets beside them. */
const publicMembers = { RSA: ['n', 'e'], EC: ['crv', 'x', 'y'], OKP: ['crv', 'x'] } as const

/** The public half of a private key as a JWK. */
export function publicJwk(key: KeyObject, algorithm: Algorithm, kid: string): PublicJwk {
  const { keyType } = schemeOf(algorithm)
  if (keyType === 'oct') throw new TypeError('a secret is not published')
  const exported: JsonWebKey = createPublicKey(key).export({ format: 'jwk' })
  const members = publicMembers[keyType].map((name) => [name, String(exported[name])] as const)
  return { kty: keyType, kid, use: 'sig', alg: algorithm, ...Object.fromEntries(members) }
}
