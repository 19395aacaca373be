import { randomBytes } from 'node:crypto'
import { type RequestHandler, Router } from 'express'
import type { Configs } from './configs.ts'
import { type Addresses, exchangeSlackCode } from './providers.ts'
import { type Sessions, sameText } from './sessions.ts'

const COOKIE = 'forkpoint.oauth'
const PATH = '/oauth/slack'
const LIFETIME_MS = 10 * 60_000

export interface SlackApp {
  readonly clientId: string
  readonly clientSecret: string
}

/**
 * The two ends of Slack's OAuth: a user begins it with a token, the browser comes back with a cookie. What the cookie says is signed,
 * so that nobody can hand a user the end of an installation that somebody else has begun.
 */
export function slackOauth(
  { sessions, configs, slack, addresses }: { sessions: Sessions; configs: Configs; slack: SlackApp; addresses: Addresses },
  authorize: RequestHandler,
): Router {
  const router = Router()

  router.post('/start', authorize, (request, response) => {
    const state = randomBytes(16).toString('hex')
    const cookie = sessions.sign({ state, endsAt: Date.now() + LIFETIME_MS })
    response.cookie(COOKIE, cookie, { httpOnly: true, sameSite: 'lax', secure: request.secure, path: PATH, maxAge: LIFETIME_MS })
    response.json({ url: `https://slack.com/oauth/v2/authorize?${new URLSearchParams({ client_id: slack.clientId, state })}` })
  })

  router.get('/callback', async (request, response) => {
    const begun = sessions.unsign(cookieOf(request.headers.cookie))
    const { state, code } = request.query
    const fits = begun !== null && sameText(String(begun.state), String(state)) && Number(begun.endsAt) > Date.now()
    if (!fits) return void response.status(403).json({ error: 'this installation was not begun here, or took too long' })
    response.clearCookie(COOKIE, { path: PATH })
    const form = { client_id: slack.clientId, client_secret: slack.clientSecret, code: String(code) }
    const tokens = await exchangeSlackCode(form, addresses)
    if (tokens === null) return void response.status(502).json({ error: 'Slack did not accept the code' })
    const { teamId, channel } = tokens
    for (const tokenType of ['bot', 'user'] as const)
      await configs.save('slack', `${teamId}-${tokenType}`, { teamId, tokenType, channel, token: tokens[tokenType] })
    response.json({ installed: teamId })
  })

  return router
}

function cookieOf(header = ''): string {
  const pairs = header.split(/; */).map((pair) => pair.split('='))
  return pairs.find(([name]) => name === COOKIE)?.[1] ?? ''
}
