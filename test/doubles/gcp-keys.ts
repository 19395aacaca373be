import { generateKeyPairSync, type KeyObject, randomBytes, verify } from 'node:crypto'
import type { Operation } from './faults.ts'
import type { GcpRules } from './gcp.ts'
import { gcpRefused } from './gcp-refused.ts'

interface Key {
  readonly id: string
  readonly email: string
  readonly publicKey: KeyObject
  readonly createdAt: number
  disabled: boolean
  deleted: boolean
  /** Token requests since it was made, or since it was disabled, enabled or deleted. */
  asked: number
  unlisted: number
}

/** Service accounts and their keys. */
export interface GcpKeys {
  readonly operations: readonly Operation[]
  /** A new account with one key, whose file this returns. */
  makeAccount(email: string): string
  /** Whose key signed this assertion, or why it is refused. */
  holderOf(assertion: string): { readonly email: string } | { readonly refusal: string }
  /** Ids of the keys of an account that exist and are not disabled. */
  live(email: string): string[]
}

const MOST_KEYS = 10
const AUDIENCE = 'https://oauth2.googleapis.com/token'

export function gcpKeys(project: string, rules: GcpRules): GcpKeys {
  const accounts = new Set<string>()
  const keys: Key[] = []
  const ofAccount = (email: string) => keys.filter((key) => key.email === email && !key.deleted)
  const nameOf = ({ email, id }: Key) => `projects/${project}/serviceAccounts/${email}/keys/${id}`
  const make = (email: string): { readonly key: Key; readonly file: string } => {
    // The shortest that Google makes: a key of 2,048 bits takes a test many times as long.
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 })
    const id = randomBytes(20).toString('hex')
    const createdAt = Math.floor(Date.now() / 1000) * 1000
    const key = {
      id,
      email,
      publicKey,
      createdAt,
      disabled: false,
      deleted: false,
      asked: 0,
      unlisted: rules.lag.list,
    }
    keys.push(key)
    const file = {
      type: 'service_account',
      project_id: project,
      private_key_id: id,
      private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
      client_email: email,
      client_id: '100000000000000000001',
      auth_uri: 'https://accounts.google.com/o/oauth2/auth',
      token_uri: AUDIENCE,
      universe_domain: 'googleapis.com',
    }
    return { key, file: JSON.stringify(file, null, 2) }
  }
  const shown = (key: Key) => ({
    name: nameOf(key),
    validAfterTime: new Date(key.createdAt).toISOString().replace('.000Z', 'Z'),
    validBeforeTime: '9999-12-31T23:59:59Z',
    keyAlgorithm: 'KEY_ALG_RSA_1024',
    keyOrigin: 'GOOGLE_PROVIDED',
    keyType: 'USER_MANAGED',
    ...(key.disabled && { disabled: true }),
  })
  const inAccount = (
    answer: (email: string, key: Key | undefined, asked: Parameters<Operation['answer']>[0]) => ReturnType<Operation['answer']>,
  ) =>
    ((asked, [, address = '', id]) => {
      const email = decodeURIComponent(address)
      if (!accounts.has(email)) return gcpRefused(404, 'NOT_FOUND', `Unknown service account`)
      const key = id === undefined ? undefined : ofAccount(email).find((one) => one.id === id)
      if (id !== undefined && key === undefined) return gcpRefused(404, 'NOT_FOUND', `Service account key ${id} does not exist.`)
      return answer(email, key, asked)
    }) satisfies Operation['answer']
  const path = (rest: string) => new RegExp(`^/v1/projects/([^/]+)/serviceAccounts/([^/:]+)/keys${rest}$`)
  const change = (what: Partial<Pick<Key, 'disabled' | 'deleted'>>) =>
    inAccount((_, key) => {
      const isNew = key !== undefined && Object.entries(what).some(([name, value]) => key[name as keyof Key] !== value)
      if (isNew) Object.assign(key, what, { asked: 0 })
      return { status: 200, body: {} }
    })
  return {
    makeAccount: (email) => {
      accounts.add(email)
      const { key, file } = make(email)
      Object.assign(key, { asked: 1_000, unlisted: 0 })
      return file
    },
    live: (email) =>
      ofAccount(email)
        .filter(({ disabled }) => !disabled)
        .map(({ id }) => id),
    holderOf: (assertion) => {
      const invalid = { refusal: 'Invalid JWT Signature.' }
      const [head = '', payload = '', signature = '', ...rest] = assertion.split('.')
      const { kid, alg } = decoded<{ kid: string; alg: string }>(head)
      const claims = decoded<{ iss: string; aud: string; iat: number; exp: number; scope: string }>(payload)
      if (!accounts.has(claims.iss ?? '')) return { refusal: 'Invalid grant: account not found' }
      const named = keys.filter((key) => key.email === claims.iss && (kid === undefined || key.id === kid))
      const signed = (key: Key) => verify('sha256', Buffer.from(`${head}.${payload}`), key.publicKey, Buffer.from(signature, 'base64url'))
      const key = rest.length > 0 || alg !== 'RS256' ? undefined : named.find(signed)
      if (key === undefined) return invalid
      const isOver = key.disabled || key.deleted
      const heard = key.asked++ >= (isOver ? rules.lag.refuse : rules.lag.accept)
      if (heard === isOver) return invalid
      if (claims.aud !== AUDIENCE) return { refusal: 'Invalid JWT: Failed audience check.' }
      const now = Math.floor(Date.now() / 1000)
      const { iat = 0, exp = 0 } = claims
      if (exp - iat > 3600 || iat > now + rules.skew || exp < now - rules.skew)
        return { refusal: 'Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.' }
      return claims.scope ? { email: key.email } : { refusal: 'Empty or missing scope not allowed.' }
    },
    operations: [
      {
        name: 'createKey',
        method: 'POST',
        path: path(''),
        answer: inAccount((email) => {
          if (ofAccount(email).length >= MOST_KEYS) return gcpRefused(400, 'FAILED_PRECONDITION', 'Precondition check failed.')
          const { key, file } = make(email)
          const body = {
            ...shown(key),
            privateKeyType: 'TYPE_GOOGLE_CREDENTIALS_FILE',
            privateKeyData: Buffer.from(file).toString('base64'),
          }
          return { status: 200, body, made: [key.id] }
        }),
      },
      {
        name: 'listKeys',
        method: 'GET',
        path: path(''),
        answer: inAccount((email, _, { url }) => {
          const own = {
            name: `projects/${project}/serviceAccounts/${email}/keys/${'0'.repeat(40)}`,
            keyType: 'SYSTEM_MANAGED',
            keyOrigin: 'GOOGLE_PROVIDED',
          }
          const found = ofAccount(email).filter((key) => key.unlisted-- <= 0)
          const types = url.searchParams.getAll('keyTypes')
          const body = { keys: [...found.map(shown), own].filter(({ keyType }) => types.length === 0 || types.includes(keyType)) }
          // An empty list is left out, as everywhere in this API.
          return { status: 200, body: body.keys.length === 0 ? {} : body }
        }),
      },
      {
        name: 'getKey',
        method: 'GET',
        path: path('/([0-9a-f]+)'),
        answer: inAccount((_, key) => ({ status: 200, body: key === undefined ? {} : shown(key) })),
      },
      { name: 'disableKey', method: 'POST', path: path('/([0-9a-f]+):disable'), answer: change({ disabled: true }) },
      { name: 'enableKey', method: 'POST', path: path('/([0-9a-f]+):enable'), answer: change({ disabled: false }) },
      { name: 'deleteKey', method: 'DELETE', path: path('/([0-9a-f]+)'), answer: change({ deleted: true }) },
    ],
  }
}

function decoded<T>(part: string): Partial<T> {
  try {
    return JSON.parse(Buffer.from(part, 'base64url').toString('utf8'))
  } catch {
    return {}
  }
}
