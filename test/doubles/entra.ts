import { randomBytes, randomUUID } from 'node:crypto'
import { type Answer, type Asked, credentialOf, type Double, jsonOf, type Operation, startDouble } from './faults.ts'

/** How this tenant behaves; a test may change it at any time. */
export interface EntraRules {
  /**
   * Each number is a replica of the token endpoint: how many calls with a secret pass, over all replicas, until it knows that the secret was
   * added (`accept`) or removed (`refuse`). Calls go to them in turn, so `[0, 4]` gives a success, then a failure, then both again.
   */
  lag: { accept: number[]; refuse: number[] }
  /** What removing a key id that is not there is answered with. */
  removeUnknown: 400 | 404
}

interface Secret {
  readonly keyId: string
  readonly value: string
  readonly displayName: string | null
  readonly start: number
  readonly end: number
  removed: boolean
  /** Calls of the token endpoint since it was added, or since it was removed. */
  asked: number
}

interface Application {
  readonly objectId: string
  readonly appId: string
  readonly mayManage: boolean
  readonly secrets: Secret[]
}

/** An application as a test knows it. */
export interface EntraApplication {
  /** What Graph calls it. Not the client id: the commonest mistake. */
  readonly objectId: string
  /** What logs in: the client id. */
  readonly appId: string
  /** Its first secret. */
  readonly keyId: string
  readonly secret: string
}

/** A tenant of Entra on this machine: the token endpoint, applications in Graph, and an API that takes the tokens. */
export interface EntraDouble extends Double {
  readonly tenant: string
  /** The application that may change the others. */
  readonly admin: EntraApplication
  /** The one whose secrets are rotated. It has no rights in Graph. */
  readonly app: EntraApplication
  readonly rules: EntraRules
  /** Where the protected API is, and the scope of its tokens. */
  readonly api: { readonly url: string; readonly scope: string }
  /** Whether a token was issued here for this resource and is not over. */
  isToken(token: string, resource: string): boolean
  /** Key ids of the secrets of `app` that there are and that have not expired. */
  live(): string[]
  /** So many days pass. */
  advance(days: number): void
}

const DAY = 86_400_000
const GRAPH = 'https://graph.microsoft.com'
const API = 'api://double'

/** Starts a double; the caller stops it. */
export async function startEntra(): Promise<EntraDouble> {
  const tenant = randomUUID()
  const rules: EntraRules = { lag: { accept: [0], refuse: [0] }, removeUnknown: 400 }
  const tokens = new Map<string, { readonly appId: string; readonly resource: string; readonly end: number }>()
  let passed = 0
  const now = () => Date.now() + passed
  const addSecret = (app: Application, displayName: string | null, start: number, end: number): Secret => {
    // The form of real ones: 40 characters with a tilde.
    const value = `${randomBytes(3).toString('base64url').slice(0, 3)}8Q~${randomBytes(30).toString('base64url').slice(0, 34)}`
    const secret = { keyId: randomUUID(), value, displayName, start, end, removed: false, asked: 0 }
    app.secrets.push(secret)
    return secret
  }
  const makeApplication = (mayManage: boolean): Application => {
    const app: Application = { objectId: randomUUID(), appId: randomUUID(), mayManage, secrets: [] }
    addSecret(app, 'first', now(), now() + 730 * DAY).asked = 1_000
    return app
  }
  const applications = [makeApplication(true), makeApplication(false)] as const
  const [admin, app] = applications

  /** Goes to the next replica, which may not have heard. */
  const knows = (secret: Secret): boolean => {
    const lags = secret.removed ? rules.lag.refuse : rules.lag.accept
    const call = secret.asked++
    const heard = call >= (lags[call % lags.length] ?? 0)
    return heard !== secret.removed
  }
  const token = (asked: Asked, [named = '']: readonly string[]): Answer => {
    const form = new URLSearchParams(asked.body.toString('utf8'))
    if (named !== tenant) return loginRefused(400, 'invalid_request', 90002, `Tenant '${named}' not found.`)
    if (form.get('grant_type') !== 'client_credentials')
      return loginRefused(400, 'unsupported_grant_type', 70003, 'The grant type is not supported.')
    const client = applications.find(({ appId }) => appId === form.get('client_id'))
    if (client === undefined)
      return loginRefused(400, 'unauthorized_client', 700016, `Application with identifier '${form.get('client_id')}' was not found.`)
    const resource = /^(.+)\/\.default$/.exec(form.get('scope') ?? '')?.[1]
    if (resource === undefined) return loginRefused(400, 'invalid_scope', 1002012, 'The provided value for scope is not valid.')
    const secret = client.secrets.find(({ value }) => value === form.get('client_secret'))
    if (secret === undefined || !knows(secret))
      return loginRefused(401, 'invalid_client', 7000215, `Invalid client secret provided for app '${client.appId}'.`)
    if (secret.end <= now())
      return loginRefused(401, 'invalid_client', 7000222, `The provided client secret keys for app '${client.appId}' are expired.`)
    const access_token = `eyJ0.${randomBytes(48).toString('base64url')}.double`
    tokens.set(access_token, { appId: client.appId, resource, end: now() + 3_599_000 })
    return { status: 200, body: { token_type: 'Bearer', expires_in: 3599, ext_expires_in: 3599, access_token } }
  }
  const holder = (sent: string, resource: string): Application | undefined => {
    const issued = tokens.get(sent)
    if (issued === undefined || issued.resource !== resource || issued.end <= now()) return undefined
    return applications.find(({ appId }) => appId === issued.appId)
  }
  const inGraph =
    (answer: (asked: Asked, application: Application) => Answer): Operation['answer'] =>
    (asked, [objectId, appId]) => {
      // A national cloud has a Graph, and so a resource, of its own: the double is one, too.
      const caller = holder(credentialOf(asked), GRAPH) ?? holder(credentialOf(asked), `http://${asked.headers.host}`)
      if (caller === undefined) return graphRefused(401, 'InvalidAuthenticationToken', 'Access token validation failure.')
      if (!caller.mayManage) return graphRefused(403, 'Authorization_RequestDenied', 'Insufficient privileges to complete the operation.')
      const found = applications.find((one) => (appId === undefined ? one.objectId === objectId : one.appId === appId))
      return found === undefined
        ? graphRefused(
            404,
            'Request_ResourceNotFound',
            `Resource '${objectId ?? appId}' does not exist or one of its queried reference-property objects are not present.`,
          )
        : answer(asked, found)
    }
  const here = (rest: string) => new RegExp(`^/v1\\.0/applications(?:/([^/(]+)|\\(appId='([^']+)'\\))${rest}$`)
  const shown = ({ keyId, displayName, start, end, value }: Secret) => ({
    customKeyIdentifier: null,
    displayName,
    endDateTime: new Date(end).toISOString(),
    hint: value.slice(0, 3),
    keyId,
    secretText: null,
    startDateTime: new Date(start).toISOString(),
  })
  const remains = ({ removed }: Secret) => !removed
  const operations: Operation[] = [
    { name: 'token', method: 'POST', path: /^\/([^/]+)\/oauth2\/v2\.0\/token$/, answer: token },
    {
      name: 'addPassword',
      method: 'POST',
      path: here('/addPassword'),
      answer: inGraph((asked, application) => {
        const { passwordCredential: given } = jsonOf<{
          passwordCredential: { displayName?: string; startDateTime?: string; endDateTime?: string }
        }>(asked)
        const start = given?.startDateTime === undefined ? now() : Date.parse(given.startDateTime)
        const end = given?.endDateTime === undefined ? start + 730 * DAY : Date.parse(given.endDateTime)
        if (!(end > start)) return graphRefused(400, 'Request_BadRequest', 'The end of a password credential comes before its start.')
        const secret = addSecret(application, given?.displayName ?? null, start, end)
        return { status: 200, body: { ...shown(secret), secretText: secret.value }, made: [secret.keyId] }
      }),
    },
    {
      name: 'removePassword',
      method: 'POST',
      path: here('/removePassword'),
      answer: inGraph((asked, application) => {
        const { keyId } = jsonOf<{ keyId: string }>(asked)
        const secret = application.secrets.filter(remains).find((one) => one.keyId === keyId)
        if (secret === undefined) return graphRefused(rules.removeUnknown, 'Request_BadRequest', 'No password credential found with keyId.')
        Object.assign(secret, { removed: true, asked: 0 })
        return { status: 204, made: [secret.keyId] }
      }),
    },
    {
      name: 'getApplication',
      method: 'GET',
      path: here(''),
      answer: inGraph((_, { objectId, appId, secrets }) => {
        const body = { id: objectId, appId, passwordCredentials: secrets.filter(remains).map(shown) }
        return { status: 200, body }
      }),
    },
    {
      name: 'updateApplication',
      method: 'PATCH',
      path: here(''),
      answer: inGraph((asked) => {
        const isUnsupported = 'passwordCredentials' in jsonOf(asked)
        return isUnsupported
          ? graphRefused(400, 'Request_BadRequest', 'New password credentials must be generated with service actions.')
          : { status: 204 }
      }),
    },
    {
      name: 'api',
      method: 'GET',
      path: /^\/api\/me$/,
      answer: (asked) => {
        const caller = holder(credentialOf(asked), API)
        return caller === undefined
          ? { status: 401, headers: { 'www-authenticate': 'Bearer' }, body: {} }
          : { status: 200, body: { appId: caller.appId } }
      },
    },
  ]
  const double = await startDouble(operations, {
    errorBody: (status) => ({ error: { code: status === 429 ? 'TooManyRequests' : 'UnknownError', message: `status ${status}` } }),
  })
  const known = ({ objectId, appId, secrets: [first] }: Application): EntraApplication => ({
    objectId,
    appId,
    keyId: first?.keyId ?? '',
    secret: first?.value ?? '',
  })
  return {
    ...double,
    tenant,
    admin: known(admin),
    app: known(app),
    rules,
    api: { url: `${double.origin}/api/me`, scope: `${API}/.default` },
    isToken: (sent, resource) => holder(sent, resource) !== undefined,
    live: () => app.secrets.filter((secret) => remains(secret) && secret.end > now()).map(({ keyId }) => keyId),
    advance: (days) => {
      passed += days * DAY
    },
  }
}

const graphRefused = (status: number, code: string, message: string): Answer => ({
  status,
  body: { error: { code, message, innerError: { 'request-id': randomUUID(), 'client-request-id': randomUUID() } } },
})
const loginRefused = (status: number, error: string, code: number, message: string): Answer => ({
  status,
  body: {
    error,
    error_description: `AADSTS${code}: ${message} Trace ID: ${randomUUID()}`,
    error_codes: [code],
    trace_id: randomUUID(),
    correlation_id: randomUUID(),
    error_uri: `https://login.microsoftonline.com/error?code=${code}`,
  },
})
