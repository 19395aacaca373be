import { randomBytes } from 'node:crypto'
import { type Answer, type Asked, type Double, type Fault, startDouble } from './faults.ts'

/** A message as it came. */
export interface SlackMessage {
  readonly text?: string
  readonly blocks?: readonly object[]
}

/** Incoming webhooks of Slack on this machine. */
export interface SlackDouble extends Double {
  /** The address of the webhook, which is a secret: who knows it may post. */
  readonly url: string
  /** What stands in the channel, the oldest first. */
  readonly messages: readonly SlackMessage[]
  /** How the webhook and its channel are; a test may change it at any time. */
  state: 'active' | 'archived' | 'prohibited' | 'removed'
}

/** What is answered to who posts faster than about once a second. */
export const tooFast = (seconds: number): Fault => ({ status: 429, headers: { 'retry-after': String(seconds) }, body: 'rate_limited' })

const states: Record<Exclude<SlackDouble['state'], 'active'>, readonly [status: number, code: string]> = {
  archived: [410, 'channel_is_archived'],
  prohibited: [403, 'action_prohibited'],
  removed: [404, 'no_service'],
}

/**
 * Starts a double; the caller stops it. Answers are words in plain text, `ok` among them. Nothing is idempotent: what comes twice stands
 * there twice. Codes as `@slack/webhook` 8 and Slack's pages on incoming webhooks list them.
 */
export async function startSlack(): Promise<SlackDouble> {
  const token = randomBytes(18).toString('base64url').replace(/[-_]/g, 'x')
  const messages: SlackMessage[] = []
  const post = (asked: Asked): Answer => {
    if (lastOf(asked) !== token) return said(403, 'invalid_token')
    if (double.state !== 'active') return said(...states[double.state])
    const message = messageOf(asked)
    if (message === null) return said(400, 'invalid_payload')
    if (!message.text && !message.blocks?.length) return said(400, 'no_text')
    messages.push(message)
    return said(200, 'ok')
  }
  const server = await startDouble([
    // No group around the token: groups come into the record of calls.
    { name: 'post', method: 'POST', path: /^\/services\/T0DOUBLE\/B0DOUBLE\/\w+$/, answer: post },
    { name: 'unknown', method: 'POST', path: /^\/services\//, answer: () => said(404, 'no_team') },
  ])
  const url = `${server.origin}/services/T0DOUBLE/B0DOUBLE/${token}`
  const double: SlackDouble = Object.assign(server, { url, messages, state: 'active' as SlackDouble['state'] })
  return double
}

const said = (status: number, body: string): Answer => ({ status, body, headers: { 'content-type': 'text/html' } })
const lastOf = ({ url }: Asked): string => url.pathname.split('/').at(-1) ?? ''

function messageOf({ body }: Asked): SlackMessage | null {
  try {
    const message: unknown = JSON.parse(body.toString('utf8'))
    return typeof message === 'object' && message !== null && !Array.isArray(message) ? message : null
  } catch {
    return null
  }
}
