import { createHmac } from 'node:crypto'
import type { Config, KindName, Settings } from './configs.ts'

const TIMEOUT_MS = 10_000

/** Where the providers are that have one address for everybody. */
export interface Addresses {
  /** `https://slack.com/api` */
  readonly slack: string
}

/** A request that proves a token, and where its answer says whose it is. */
interface Check {
  readonly url: string
  readonly init: RequestInit
  readonly account: string
}
type Checks = Record<KindName, (settings: Settings, token: string, addresses: Addresses) => Check>

const bearer = (token: string) => ({ headers: { Authorization: `Bearer ${token}` } })

const checks: Checks = {
  jira: ({ baseUrl, email }, token) => ({
    url: `${baseUrl}/rest/api/3/myself`,
    init: { headers: { Authorization: `Basic ${Buffer.from(`${email}:${token}`).toString('base64')}` } },
    account: 'accountId',
  }),
  github: ({ baseUrl }, token) => ({ url: `${baseUrl}/user`, init: bearer(token), account: 'login' }),
  slack: (_, token, { slack }) => ({ url: `${slack}/auth.test`, init: { method: 'POST', ...bearer(token) }, account: 'user_id' }),
  webhooks: ({ url }, secret) => {
    const body = JSON.stringify({ event: 'ping', at: new Date().toISOString() })
    const signature = `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`
    return {
      url: url ?? '',
      init: { method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Forkpoint-Signature-256': signature }, body },
      account: 'received',
    }
  },
}

/** Uses a token at its provider; a webhook gets a signed ping. @returns whose token it is; null where it is not accepted */
export async function checkToken(kind: KindName, { settings, token }: Config, addresses: Addresses): Promise<string | null> {
  const { url, init, account } = checks[kind](settings, token, addresses)
  const answer = await ask(url, init)
  const value = answer?.[account]
  return typeof value === 'string' ? value : null
}

/** Exchanges the code of an OAuth callback. @returns null where Slack refuses it */
export async function exchangeSlackCode(
  form: Readonly<Record<'client_id' | 'client_secret' | 'code', string>>,
  { slack }: Addresses,
): Promise<{ readonly teamId: string; readonly channel: string; readonly bot: string; readonly user: string } | null> {
  const answer = await ask(`${slack}/oauth.v2.access`, { method: 'POST', body: new URLSearchParams(form) })
  if (answer?.ok !== true) return null
  const { team, incoming_webhook: hook, access_token: bot, authed_user: authed } = answer as unknown as SlackAnswer
  return { teamId: team.id, channel: hook?.channel ?? '#general', bot, user: authed.access_token }
}

interface SlackAnswer {
  readonly access_token: string
  readonly team: { readonly id: string }
  readonly incoming_webhook?: { readonly channel: string }
  readonly authed_user: { readonly access_token: string }
}

async function ask(url: string, init: RequestInit): Promise<{ readonly [name: string]: unknown } | null> {
  try {
    const response = await fetch(url, { ...init, redirect: 'error', signal: AbortSignal.timeout(TIMEOUT_MS) })
    return response.ok ? ((await response.json()) as { readonly [name: string]: unknown }) : null
  } catch {
    return null
  }
}
