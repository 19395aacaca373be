import { createHash, randomBytes } from 'node:crypto'
import pg from 'pg'
import { type Connector, type Connectors, type ConnectorType, type Credentials, expired, type Tokens } from './connectors.ts'

const TIMEOUT_MS = 10_000

/** What an engine has to make a call: the connector, its credentials, and where its tokens are. */
interface Call {
  readonly connector: Connector
  readonly credentials: Credentials
  readonly connectors: Connectors
}

/** How a connector of each type reaches its service. @returns whether the service accepted the credentials */
const engines: Record<ConnectorType, (call: Call) => Promise<boolean>> = {
  async REST({ connector, credentials }) {
    return await accepted(connector.baseUrl, { headers: { [credentials.headerName ?? 'X-API-Key']: credentials.apiKey ?? '' } })
  },

  async SOAP({ connector, credentials }) {
    return await accepted(connector.baseUrl, {
      method: 'POST',
      headers: { 'Content-Type': 'text/xml; charset=utf-8' },
      body: envelope(credentials.username ?? '', credentials.password ?? ''),
    })
  },

  async GRAPHQL({ connector, credentials, connectors }) {
    const stored = await connectors.tokens(connector.id)
    const tokens = stored !== null && expired(stored) ? await connectors.renewTokens(connector.id, renewal(credentials)) : stored
    return await accepted(connector.baseUrl, json({ query: '{ __typename }' }, tokens?.accessToken))
  },

  async MCP({ connector, credentials }) {
    return await accepted(connector.baseUrl, json({ jsonrpc: '2.0', id: 1, method: 'ping' }, credentials.token))
  },

  async DATABASE({ connector, credentials }) {
    const url = new URL(connector.baseUrl)
    const client = new pg.Client({
      host: url.hostname,
      port: Number(url.port || 5432),
      database: url.pathname.slice(1),
      user: credentials.username,
      password: credentials.password,
      connectionTimeoutMillis: TIMEOUT_MS,
    })
    try {
      await client.connect()
      return (await client.query('SELECT 1')).rowCount === 1
    } catch {
      return false
    } finally {
      await client.end().catch(() => {})
    }
  },
}

/** Calls the service of a connector with its credentials. @throws SealedCredentialError while these do not open */
export async function callConnector(connector: Connector, connectors: Connectors): Promise<boolean> {
  return await engines[connector.type]({ connector, credentials: await connectors.credentials(connector.id), connectors })
}

async function accepted(url: string, init: RequestInit): Promise<boolean> {
  try {
    return (await fetch(url, { ...init, redirect: 'error', signal: AbortSignal.timeout(TIMEOUT_MS) })).ok
  } catch {
    return false
  }
}

function json(body: unknown, bearer: string | undefined): RequestInit {
  return {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${bearer ?? ''}` },
    body: JSON.stringify(body),
  }
}

const renewal =
  (credentials: Credentials) =>
  async (tokens: Tokens): Promise<Tokens> => {
    const response = await fetch(credentials.tokenUrl ?? '', {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'refresh_token',
        refresh_token: tokens.refreshToken ?? '',
        client_id: credentials.clientId ?? '',
        client_secret: credentials.clientSecret ?? '',
      }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    if (!response.ok) throw new Error('the provider did not renew the token')
    const renewed = (await response.json()) as { access_token: string; refresh_token?: string; expires_in: number }
    return {
      accessToken: renewed.access_token,
      refreshToken: renewed.refresh_token ?? tokens.refreshToken,
      expiresAt: new Date(Date.now() + renewed.expires_in * 1000).toISOString(),
    }
  }

const xml = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')

/** A request with a UsernameToken of WS-Security: the digest, not the password. */
function envelope(username: string, password: string): string {
  const nonce = randomBytes(16)
  const created = new Date().toISOString()
  const digest = createHash('sha1').update(nonce).update(created).update(password).digest('base64')
  const wsse = 'http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd'
  return `<?xml version="1.0"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/" xmlns:wsse="${wsse}"><soap:Header><wsse:Security><wsse:UsernameToken><wsse:Username>${xml(username)}</wsse:Username><wsse:Password>${digest}</wsse:Password><wsse:Nonce>${nonce.toString('base64')}</wsse:Nonce><wsse:Created>${created}</wsse:Created></wsse:UsernameToken></wsse:Security></soap:Header><soap:Body/></soap:Envelope>`
}
