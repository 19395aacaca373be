import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { Pool } from 'pg'
import { ApiKeys, sameText } from './api-keys.ts'
import { Connectors, type ConnectorType, type Credentials, connectorTypes, type Tokens } from './connectors.ts'
import { type CredentialCrypto, SealedCredentialError } from './crypto.ts'
import { callConnector } from './engines.ts'

const MOST_BYTES = 64 * 1024
/** SQLSTATE of a write that Keyturn's hold refuses. */
const HELD = 'KT001'

export interface App {
  readonly pool: Pool
  readonly crypto: CredentialCrypto
  /** `ADMIN_TOKEN`: manages connectors and keys. */
  readonly adminToken: string
}

interface Answer {
  readonly status: number
  readonly body: unknown
}
interface Asked {
  readonly connectors: Connectors
  readonly keys: ApiKeys
  readonly id: string
  readonly body: { readonly [name: string]: unknown }
}

/** The routes: who may ask, and what is done. `user`: with a per-user MCP API key. */
const routes: readonly { on: RegExp; allow: 'admin' | 'user' | 'anybody'; answer: (asked: Asked) => Promise<Answer> }[] = [
  { on: /^GET \/health$/, allow: 'anybody', answer: async () => ({ status: 200, body: { status: 'ok' } }) },
  { on: /^GET \/connectors$/, allow: 'admin', answer: async ({ connectors }) => ({ status: 200, body: await connectors.list() }) },
  { on: /^PUT \/connectors\/([^/]+)$/, allow: 'admin', answer: saveConnector },
  { on: /^PUT \/connectors\/([^/]+)\/tokens$/, allow: 'admin', answer: saveTokens },
  { on: /^POST \/connectors\/([^/]+)\/call$/, allow: 'user', answer: call },
  {
    on: /^GET \/users\/([^/]+)\/keys$/,
    allow: 'admin',
    answer: async ({ keys, id }) => ({ status: 200, body: await keys.list(id) }),
  },
  {
    on: /^POST \/users\/([^/]+)\/keys$/,
    allow: 'admin',
    answer: async ({ keys, id, body }) => ({ status: 201, body: { key: await keys.create(id, String(body.name ?? '')) } }),
  },
]

/** The application: an HTTP server over connectors and their credentials. */
export function createApp({ pool, crypto, adminToken }: App): Server {
  const connectors = new Connectors(pool, crypto)
  const keys = new ApiKeys(pool, crypto)

  async function answer(request: IncomingMessage): Promise<Answer> {
    const asked = `${request.method} ${new URL(request.url ?? '/', 'http://app').pathname}`
    const route = routes.find(({ on }) => on.test(asked))
    if (route === undefined) return { status: 404, body: { error: 'there is no such thing here' } }
    const bearer = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? ''
    const allowed =
      route.allow === 'anybody' ||
      (route.allow === 'admin' ? sameText(bearer, adminToken) : bearer !== '' && (await keys.userOf(bearer)) !== null)
    if (!allowed) return { status: 401, body: { error: 'a valid key is needed' } }
    const id = decodeURIComponent(route.on.exec(asked)?.[1] ?? '')
    return await route.answer({ connectors, keys, id, body: await bodyOf(request) })
  }

  return createServer((request, response) => {
    answer(request)
      .catch(failure)
      .then(({ status, body }) => {
        const later = status === 503 ? { 'Retry-After': '5' } : {}
        response.writeHead(status, { 'Content-Type': 'application/json', ...later }).end(JSON.stringify(body))
      })
  })
}

/** What the application says while its key is changed: come again. Nothing of the error itself is repeated. */
function failure(error: unknown): Answer {
  if (error instanceof SealedCredentialError) return { status: 503, body: { error: error.message } }
  if ((error as { code?: unknown }).code === HELD)
    return { status: 503, body: { error: 'credentials cannot be saved while the encryption key is changed' } }
  return { status: 500, body: { error: 'something failed' } }
}

async function bodyOf(request: IncomingMessage): Promise<Asked['body']> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > MOST_BYTES) throw new Error('too long')
    chunks.push(chunk)
  }
  return bytes === 0 ? {} : JSON.parse(Buffer.concat(chunks).toString('utf8'))
}

async function saveConnector({ connectors, id, body }: Asked): Promise<Answer> {
  const { name, type, baseUrl, authType, credentials } = body
  if (!connectorTypes.includes(type as ConnectorType))
    return { status: 400, body: { error: `type must be one of ${connectorTypes.join(', ')}` } }
  const connector = { id, name: String(name), type: type as ConnectorType, baseUrl: String(baseUrl), authType: String(authType) }
  await connectors.save(connector, (credentials ?? {}) as Credentials)
  return { status: 200, body: connector }
}

async function saveTokens({ connectors, id, body }: Asked): Promise<Answer> {
  await connectors.saveTokens(id, body as unknown as Tokens)
  return { status: 200, body: { id } }
}

async function call({ connectors, id }: Asked): Promise<Answer> {
  const connector = await connectors.find(id)
  if (connector === null) return { status: 404, body: { error: 'there is no such connector' } }
  return (await callConnector(connector, connectors))
    ? { status: 200, body: { ok: true } }
    : { status: 502, body: { error: 'the service did not accept the call' } }
}
