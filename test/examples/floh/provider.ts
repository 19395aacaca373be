import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import OidcProvider from 'oidc-provider'

/** A real OpenID provider on this machine, with one client. Who logs in says so in a header in place of a password. */
export interface LocalProvider {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string
  /** Every access and refresh token that it has issued. */
  readonly issued: Set<string>
  close(): Promise<void>
}

const userHeader = 'x-user'

/** @param publicUrl - where browsers find the application */
export async function startProvider(publicUrl: string): Promise<LocalProvider> {
  let handle: (request: IncomingMessage, response: ServerResponse) => void = () => {}
  const server = createServer((request, response) => handle(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const [clientId, clientSecret] = ['floh', randomBytes(24).toString('hex')]
  const provider = new OidcProvider(issuer, {
    clients: [
      {
        client_id: clientId,
        client_secret: clientSecret,
        redirect_uris: [`${publicUrl}/callback`],
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
      },
    ],
    cookies: { keys: [randomBytes(16).toString('hex')] },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_: unknown, { uid }: { uid: string }) => `/interaction/${uid}` },
    findAccount: (_: unknown, sub: string) => ({ accountId: sub, claims: async () => ({ sub }) }),
    ttl: { AccessToken: 24 * 3_600, RefreshToken: 24 * 3_600, Grant: 24 * 3_600, Session: 24 * 3_600, Interaction: 3_600, IdToken: 3_600 },
  })
  const issued = new Set<string>()
  provider.on('grant.success', ({ body }: { body: { access_token: string; refresh_token?: string } }) => {
    issued.add(body.access_token)
    if (body.refresh_token !== undefined) issued.add(body.refresh_token)
  })
  const callback = provider.callback()

  /** What a page would ask: who is it, and is the application welcome. */
  async function interact(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { prompt, params, session, grantId } = await provider.interactionDetails(request, response)
    if (prompt.name === 'login')
      return await provider.interactionFinished(request, response, { login: { accountId: request.headers[userHeader] } })
    const grant = grantId
      ? await provider.Grant.find(grantId)
      : new provider.Grant({ accountId: session.accountId, clientId: params.client_id })
    grant.addOIDCScope('openid offline_access')
    await provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true })
  }
  handle = (request, response) => {
    if (!request.url?.startsWith('/interaction/')) return void callback(request, response)
    interact(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)))
  }
  return {
    issuer,
    clientId,
    clientSecret,
    issued,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** What a browser does with a link: it follows redirects and keeps the cookies of each site. */
export class Browser {
  readonly #user: string
  readonly #cookies = new Map<string, Map<string, string>>()

  constructor(user: string) {
    this.#user = user
  }

  /** The cookies for a site, as its next request has them. */
  cookieFor(url: string): string {
    return [...this.#of(url)].map(([name, value]) => `${name}=${value}`).join('; ')
  }

  /** Where the redirects of a link end. */
  async open(link: string): Promise<{ readonly status: number; readonly text: string }> {
    let url = link
    for (;;) {
      const headers = { Cookie: this.cookieFor(url), [userHeader]: this.#user, Connection: 'close' }
      const response = await fetch(url, { redirect: 'manual', headers })
      const text = await response.text()
      for (const line of response.headers.getSetCookie()) {
        const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
        if (value === '') this.#of(url).delete(name)
        else this.#of(url).set(name, value)
      }
      const next = response.headers.get('location')
      if (next === null) return { status: response.status, text }
      url = new URL(next, url).href
    }
  }

  #of(url: string): Map<string, string> {
    const { host } = new URL(url)
    const found = this.#cookies.get(host) ?? new Map<string, string>()
    this.#cookies.set(host, found)
    return found
  }
}
