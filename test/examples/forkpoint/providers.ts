import { createHash, createHmac, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'

/** Jira, GitHub, Slack and the receiver of webhooks: each knows the tokens that were issued, and says whose one is. */
export interface Services {
  readonly url: string
  /** Makes a token of some account; of a webhook, the secret that its receiver knows. */
  issue(): string
  /** Tokens that the next exchange of this code gives. */
  readonly codes: Map<string, { readonly bot: string; readonly user: string }>
  close(): Promise<void>
}

/** Whose token it is: what a service answers. */
export const accountOf = (token: string) => `account-${createHash('sha256').update(token).digest('hex').slice(0, 24)}`

export async function startServices(): Promise<Services> {
  const issued = new Map<string, string>()
  const codes: Services['codes'] = new Map()

  /** The answer of each service; undefined is refused. */
  const services: { [path: string]: (request: IncomingMessage, body: string) => object | undefined } = {
    '/jira/rest/api/3/myself': ({ headers }) => {
      const [email = '', token = ''] = Buffer.from(headers.authorization?.replace('Basic ', '') ?? '', 'base64')
        .toString()
        .split(/:(.*)/s)
      return email.includes('@') && issued.has(token) ? { accountId: issued.get(token) } : undefined
    },
    '/github/user': ({ headers }) => named('login', bearer(headers.authorization)),
    '/slack/auth.test': ({ headers }) => named('user_id', bearer(headers.authorization)),
    '/slack/oauth.v2.access': (_, body) => {
      const form = new URLSearchParams(body)
      const tokens = codes.get(form.get('code') ?? '')
      if (tokens === undefined || form.get('client_secret') !== 'of the client') return { ok: false }
      return { ok: true, access_token: tokens.bot, team: { id: 'T1' }, authed_user: { access_token: tokens.user } }
    },
    '/hook': ({ headers }, body) => {
      const given = headers['x-forkpoint-signature-256']
      const signing = [...issued.keys()].find((secret) => given === `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`)
      return signing === undefined ? undefined : { received: issued.get(signing) }
    },
  }
  const bearer = (header = '') => header.replace('Bearer ', '')
  const named = (name: string, token: string) => (issued.has(token) ? { [name]: issued.get(token) } : undefined)

  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const answer = services[request.url ?? '']?.(request, body)
    response.writeHead(answer === undefined ? 401 : 200, { 'Content-Type': 'application/json', Connection: 'close' })
    response.end(JSON.stringify(answer ?? {}))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    codes,
    issue: () => {
      const token = `marked-${randomBytes(12).toString('hex')}`
      issued.set(token, accountOf(token))
      return token
    },
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
