import { createHash, randomBytes } from 'node:crypto'
import { type Answer, type Asked, credentialOf, type Double, jsonOf, type Operation, startDouble } from './faults.ts'

interface Token {
  readonly id: string
  readonly value: string
  readonly createdAt: string
  name: string
  userId: string
  usedAt: number
}

interface Secret {
  readonly id: string
  readonly value: string
  readonly createdAt: string
  status: 'ACTIVE' | 'INACTIVE'
  lastUpdated: string
}

/** An organization of Okta on this machine: its API tokens, which no API can make, and the client secrets of one application. */
export interface OktaDouble extends Double {
  /** A token of an administrator who is there already. */
  readonly adminToken: string
  /** The application whose client secrets there are; its first secret is active. Its id is also its client id. */
  readonly appId: string
  readonly firstSecret: { readonly id: string; readonly value: string }
  /** A person makes an API token in the admin console, which is the only way. */
  makeToken(name: string): { readonly id: string; readonly value: string }
  /** Ids of the API tokens that there are. */
  tokens(): string[]
  /** The secrets of the application and their status. */
  secrets(): { readonly id: string; readonly status: string }[]
  /** So many days pass: a token that nobody used for thirty ends. */
  advance(days: number): void
}

const WINDOW_DAYS = 30
const MOST_SECRETS = 2

/** Starts a double; the caller stops it. */
export async function startOkta(): Promise<OktaDouble> {
  const tokens: Token[] = []
  const secrets: Secret[] = []
  const appId = `0oa${randomBytes(8).toString('hex')}0`
  let days = 0
  const makeToken = (name: string): Token => {
    const id = `00T${randomBytes(8).toString('hex')}0`
    const value = `00${randomBytes(30).toString('base64url')}`
    const token = { id, value, name, userId: '00udouble', createdAt: new Date().toISOString(), usedAt: days }
    tokens.push(token)
    return token
  }
  const makeSecret = (value: string, status: Secret['status']): Secret => {
    const now = new Date().toISOString()
    const secret: Secret = { id: `ocs${randomBytes(8).toString('hex')}0`, value, status, createdAt: now, lastUpdated: now }
    secrets.push(secret)
    return secret
  }
  const live = () => tokens.filter(({ usedAt }) => days - usedAt < WINDOW_DAYS)
  const asUser =
    (answer: (asked: Asked, ids: readonly string[], token: Token) => Answer): Operation['answer'] =>
    (asked, ids) => {
      const sent = credentialOf(asked, 'SSWS')
      const token = live().find(({ value }) => value === sent)
      if (token === undefined) return refused(401, 'E0000011', 'Invalid token provided')
      // Every use moves the end.
      token.usedAt = days
      return answer(asked, ids, token)
    }
  const remove = (id: string | undefined): Answer => {
    const at = tokens.findIndex((token) => token.id === id)
    if (at < 0) return missing(id, 'ApiToken')
    tokens.splice(at, 1)
    return { status: 204 }
  }
  const tokenShown = (token: Token) => ({
    id: token.id,
    name: token.name,
    clientName: 'Okta API',
    userId: token.userId,
    tokenWindow: `P${WINDOW_DAYS}D`,
    network: { connection: 'ANYWHERE' },
    created: token.createdAt,
    lastUpdated: token.createdAt,
    expiresAt: new Date(Date.now() + (WINDOW_DAYS - (days - token.usedAt)) * 86_400_000).toISOString(),
  })
  const tokenOperations: Operation[] = [
    {
      name: 'listTokens',
      method: 'GET',
      path: /^\/api\/v1\/api-tokens$/,
      answer: asUser(() => ({ status: 200, body: live().map(tokenShown) })),
    },
    {
      name: 'deleteCurrentToken',
      method: 'DELETE',
      path: /^\/api\/v1\/api-tokens\/current$/,
      answer: asUser((_asked, _ids, token) => remove(token.id)),
    },
    {
      name: 'getToken',
      method: 'GET',
      path: /^\/api\/v1\/api-tokens\/([^/]+)$/,
      answer: asUser((_, [id]) => {
        const token = live().find((one) => one.id === id)
        return token === undefined ? missing(id, 'ApiToken') : { status: 200, body: tokenShown(token) }
      }),
    },
    {
      name: 'updateToken',
      method: 'PUT',
      path: /^\/api\/v1\/api-tokens\/([^/]+)$/,
      answer: asUser((asked, [id]) => {
        const token = live().find((one) => one.id === id)
        if (token === undefined) return missing(id, 'ApiToken')
        token.name = jsonOf<{ name: string }>(asked).name ?? token.name
        return { status: 200, body: tokenShown(token) }
      }),
    },
    { name: 'deleteToken', method: 'DELETE', path: /^\/api\/v1\/api-tokens\/([^/]+)$/, answer: asUser((_, [id]) => remove(id)) },
    {
      name: 'me',
      method: 'GET',
      path: /^\/api\/v1\/users\/me$/,
      answer: asUser((_asked, _ids, { userId }) => ({
        status: 200,
        body: { id: userId, status: 'ACTIVE', profile: { login: 'robot@example.com' } },
      })),
    },
  ]
  const operations = [...tokenOperations, ...secretOperations({ appId, secrets, makeSecret, asUser: (answer) => asUser(answer) })]
  const double = await startDouble(operations, {
    errorBody: (status) => errorBody(codes[status] ?? 'E0000009', `status ${status}`, []),
  })
  const first = makeSecret(randomBytes(32).toString('base64url'), 'ACTIVE')
  return {
    ...double,
    adminToken: makeToken('administrator').value,
    appId,
    firstSecret: { id: first.id, value: first.value },
    makeToken: (name) => {
      const { id, value } = makeToken(name)
      return { id, value }
    },
    tokens: () => live().map(({ id }) => id),
    secrets: () => secrets.map(({ id, status }) => ({ id, status })),
    advance: (more) => {
      days += more
    },
  }
}

type SecretParts = {
  readonly appId: string
  readonly secrets: Secret[]
  makeSecret(value: string, status: Secret['status']): Secret
  asUser(answer: (asked: Asked, ids: readonly string[]) => Answer): Operation['answer']
}

/** The client secrets of the application, and the token endpoint that takes those that are active. */
function secretOperations({ appId, secrets, makeSecret, asUser }: SecretParts): Operation[] {
  const base = `/api/v1/apps/${appId}/credentials/secrets`
  const secretPath = '^/api/v1/apps/([^/]+)/credentials/secrets'
  const shown = (secret: Secret) => {
    const other = secret.status === 'ACTIVE' ? 'deactivate' : 'activate'
    return {
      id: secret.id,
      status: secret.status,
      // In clear, whenever it is asked for, also of an inactive one.
      client_secret: secret.value,
      secret_hash: createHash('md5').update(secret.value).digest('base64url'),
      created: secret.createdAt,
      lastUpdated: secret.lastUpdated,
      _links: { [other]: { href: `${base}/${secret.id}/lifecycle/${other}`, hints: { allow: ['POST'] } } },
    }
  }
  const inApp = (answer: (asked: Asked, secret: Secret | undefined, id: string) => Answer) =>
    asUser((asked, [app, id = '']) => {
      if (app !== appId) return missing(app, 'AppInstance')
      return answer(
        asked,
        secrets.find((one) => one.id === id),
        id,
      )
    })
  const setStatus = (status: Secret['status']) =>
    inApp((_, secret, id) => {
      if (secret === undefined) return missing(id, 'OAuth2ClientSecret')
      const isOnly = secrets.every((one) => one === secret || one.status !== 'ACTIVE')
      if (status === 'INACTIVE' && secret.status === 'ACTIVE' && isOnly)
        return invalid("You can't deactivate the only active client secret.")
      Object.assign(secret, { status, lastUpdated: new Date().toISOString() })
      return { status: 200, body: shown(secret) }
    })
  const path = (rest: string) => new RegExp(`${secretPath}${rest}$`)
  return [
    { name: 'listSecrets', method: 'GET', path: path(''), answer: inApp(() => ({ status: 200, body: secrets.map(shown) })) },
    {
      name: 'createSecret',
      method: 'POST',
      path: path(''),
      answer: inApp((asked) => {
        const { client_secret: given, status = 'ACTIVE' } = jsonOf<{ client_secret: string; status: Secret['status'] }>(asked)
        if (secrets.length >= MOST_SECRETS) return invalid("You've reached the maximum number of client secrets per client.")
        if (given !== undefined && !/^[\x20-\x7e]{14,100}$/.test(given)) return invalid('client_secret: has 14 to 100 printable characters')
        const secret = makeSecret(given ?? randomBytes(48).toString('base64url'), status)
        return { status: 201, body: shown(secret), made: [secret.id] }
      }),
    },
    {
      name: 'getSecret',
      method: 'GET',
      path: path('/([^/]+)'),
      answer: inApp((_, secret, id) => (secret === undefined ? missing(id, 'OAuth2ClientSecret') : { status: 200, body: shown(secret) })),
    },
    {
      name: 'deleteSecret',
      method: 'DELETE',
      path: path('/([^/]+)'),
      answer: inApp((_, secret, id) => {
        if (secret === undefined) return missing(id, 'OAuth2ClientSecret')
        if (secret.status === 'ACTIVE')
          return invalid("You can't delete an active client secret. Deactivate the secret before deleting it.")
        secrets.splice(secrets.indexOf(secret), 1)
        return { status: 204 }
      }),
    },
    { name: 'activateSecret', method: 'POST', path: path('/([^/]+)/lifecycle/activate'), answer: setStatus('ACTIVE') },
    { name: 'deactivateSecret', method: 'POST', path: path('/([^/]+)/lifecycle/deactivate'), answer: setStatus('INACTIVE') },
    {
      name: 'token',
      method: 'POST',
      path: /^\/oauth2\/(?:[^/]+\/)?v1\/token$/,
      answer: (asked) => {
        const form = new URLSearchParams(asked.body.toString('utf8'))
        const [id = '', secret = ''] = Buffer.from(credentialOf(asked, 'Basic'), 'base64')
          .toString('utf8')
          .split(':')
          .map(decodeURIComponent)
        const [clientId, clientSecret] = [form.get('client_id') ?? id, form.get('client_secret') ?? secret]
        const isKnown = secrets.some(({ value, status }) => value === clientSecret && status === 'ACTIVE')
        if (clientId !== appId || !isKnown)
          return {
            status: 401,
            body: { error: 'invalid_client', error_description: 'The client secret supplied for a confidential client is invalid.' },
          }
        if (form.get('grant_type') !== 'client_credentials')
          return { status: 400, body: { error: 'unsupported_grant_type', error_description: 'The grant type was not supported.' } }
        const access_token = randomBytes(24).toString('base64url')
        return { status: 200, body: { token_type: 'Bearer', expires_in: 3600, access_token, scope: form.get('scope') ?? '' } }
      },
    },
  ]
}

const codes: Record<number, string> = { 404: 'E0000007', 405: 'E0000022', 429: 'E0000047' }
const errorBody = (errorCode: string, errorSummary: string, causes: readonly string[]): object => ({
  errorCode,
  errorSummary,
  errorLink: errorCode,
  errorId: `oae${randomBytes(8).toString('hex')}`,
  errorCauses: causes.map((cause) => ({ errorSummary: cause })),
})
const refused = (status: number, code: string, summary: string, ...causes: string[]): Answer => ({
  status,
  body: errorBody(code, summary, causes),
})
const invalid = (cause: string): Answer => refused(400, 'E0000001', 'Api validation failed: OAuth2ClientSecretMediated', cause)
const missing = (id = '', type: string): Answer => refused(404, 'E0000007', `Not found: Resource not found: ${id} (${type})`)
