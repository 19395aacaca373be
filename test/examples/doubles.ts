import { createHash, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What the services that connectors call accept, by connector id. They are strict: any other credential is refused. */
export interface Doubles {
  readonly url: string
  readonly accepted: Map<string, Accepted>
  close(): Promise<void>
}
export interface Accepted {
  readonly secret: string
  /** Of OAuth: changes at each renewal, as the access token does; the one before is refused then. */
  refreshToken?: string
  accessToken?: string
}

/** Doubles of an API with keys, a SOAP service with WS-Security, a GraphQL API with OAuth, and an MCP server. */
export async function startDoubles(): Promise<Doubles> {
  const accepted = new Map<string, Accepted>()
  const server = createServer(async (request, response) => {
    const [, kind = '', id = ''] = (request.url ?? '').split('/')
    const known = accepted.get(id)
    const answer = known === undefined ? null : await services[kind]?.(known, request)
    response.writeHead(answer ? 200 : 401, { 'Content-Type': 'application/json' }).end(JSON.stringify(answer ?? {}))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    accepted,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}

const services: Record<string, (known: Accepted, request: IncomingMessage) => Promise<object | null>> = {
  rest: async ({ secret }, { headers }) => (headers['x-api-key'] === secret ? {} : null),
  mcp: async ({ secret }, { headers }) => (headers.authorization === `Bearer ${secret}` ? {} : null),
  graphql: async ({ accessToken }, { headers }) => (headers.authorization === `Bearer ${accessToken}` ? {} : null),
  async soap({ secret }, request) {
    const body = await text(request)
    const part = (name: string) => new RegExp(`<wsse:${name}>([^<]*)<`).exec(body)?.[1] ?? ''
    const digest = createHash('sha1')
      .update(Buffer.from(part('Nonce'), 'base64'))
      .update(part('Created'))
      .update(secret)
    return part('Password') === digest.digest('base64') ? {} : null
  },
  async token(known, request) {
    const form = new URLSearchParams(await text(request))
    if (form.get('refresh_token') !== known.refreshToken || form.get('client_secret') !== known.secret) return null
    known.accessToken = `access-${randomBytes(12).toString('hex')}`
    known.refreshToken = `refresh-${randomBytes(12).toString('hex')}`
    return { access_token: known.accessToken, refresh_token: known.refreshToken, expires_in: 3600 }
  },
}

async function text(request: IncomingMessage): Promise<string> {
  let body = ''
  for await (const chunk of request) body += chunk
  return body
}
