import { constants, createHmac, createPrivateKey, generateKeyPair, type KeyObject, randomBytes, sign } from 'node:crypto'
import { promisify } from 'node:util'
import type { Credential } from '../../secret/credential.ts'

export const algorithms = ['HS256', 'HS384', 'HS512', 'RS256', 'PS256', 'ES256', 'ES384', 'EdDSA'] as const
export type Algorithm = (typeof algorithms)[number]

/** What signs a token: the text of a secret, or a private key. */
export interface TokenKey {
  readonly algorithm: Algorithm
  readonly kid: string | undefined
  readonly key: string | Buffer | KeyObject
}

const generate = promisify(generateKeyPair) as unknown as (type: string, options: object) => Promise<{ readonly privateKey: KeyObject }>
const kinds: Record<string, readonly [type: string, options: object]> = {
  RS256: ['rsa', { modulusLength: 2048 }],
  PS256: ['rsa', { modulusLength: 2048 }],
  ES256: ['ec', { namedCurve: 'P-256' }],
  ES384: ['ec', { namedCurve: 'P-384' }],
  EdDSA: ['ed25519', {}],
}

/** The key of a credential of `jwt-secret` or `jwt-key-pair`, or of another one with these parts; null where it has none. */
export function keyOf({ parts }: Credential, algorithm: Algorithm | undefined): TokenKey | null {
  if (parts.privateKey === undefined) return parts.value ? { algorithm: algorithm ?? 'HS256', kid: parts.kid, key: parts.value } : null
  const said = /"alg":"(\w+)"/.exec(parts.publicJwk ?? '')?.[1]
  const found = algorithm ?? algorithms.find((each) => each === said) ?? 'ES256'
  try {
    return { algorithm: found, kid: parts.kid, key: createPrivateKey(parts.privateKey) }
  } catch {
    return null
  }
}

/** A key that nobody has, and that says that it is the one given. */
export async function madeUp({ algorithm, kid }: Omit<TokenKey, 'key'>): Promise<TokenKey> {
  const kind = kinds[algorithm]
  return { algorithm, kid, key: kind === undefined ? randomBytes(64) : (await generate(...kind)).privateKey }
}

/** A token in the compact form of RFC 7515. */
export function signedToken({ algorithm, kid, key }: TokenKey, claims: object): string {
  const header = { alg: algorithm, typ: 'JWT', ...(kid !== undefined && { kid }) }
  const text = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
  return `${text}.${signature(algorithm, key, Buffer.from(text)).toString('base64url')}`
}

function signature(algorithm: Algorithm, key: TokenKey['key'], data: Buffer): Buffer {
  const hash = `sha${algorithm.slice(2)}`
  if (algorithm.startsWith('HS')) return createHmac(hash, key).update(data).digest()
  const own = key as KeyObject
  if (algorithm === 'EdDSA') return sign(null, data, own)
  if (algorithm.startsWith('ES')) return sign(hash, data, { key: own, dsaEncoding: 'ieee-p1363' })
  return algorithm === 'PS256'
    ? sign(hash, data, { key: own, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST })
    : sign(hash, data, own)
}
