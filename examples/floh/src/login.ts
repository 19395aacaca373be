import type { FastifyInstance } from 'fastify'
import * as oidc from 'openid-client'

declare module 'fastify' {
  interface Session {
    /** A login that has begun: what its end must fit. */
    login?: { readonly state: string; readonly nonce: string; readonly verifier: string }
    user?: string
    /** What Keyturn seals. */
    tokens?: { readonly access: string; readonly refresh?: string }
    tokensExpireAt?: number
  }
}

/** The OpenID provider and this application's account there. */
export interface Provider {
  readonly issuer: URL
  readonly clientId: string
  readonly clientSecret: string
}

/** Login through an OpenID provider. Its tokens stay in the session. */
export function loginRoutes(app: FastifyInstance, provider: Provider, publicUrl: string): void {
  const redirectUri = `${publicUrl}/callback`
  let found: Promise<oidc.Configuration> | null = null
  // Not at the start: the provider may be away then.
  const configuration = () => {
    found ??= discover(provider).catch((error: unknown) => {
      found = null
      throw error
    })
    return found
  }

  app.get('/login', async (request, reply) => {
    const [state, nonce, verifier] = [oidc.randomState(), oidc.randomNonce(), oidc.randomPKCECodeVerifier()]
    request.session.login = { state, nonce, verifier }
    const url = oidc.buildAuthorizationUrl(await configuration(), {
      redirect_uri: redirectUri,
      scope: 'openid offline_access',
      // Without it there is no refresh token.
      prompt: 'consent',
      state,
      nonce,
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    })
    return reply.redirect(url.href)
  })

  app.get('/callback', async (request, reply) => {
    const { login } = request.session
    if (login === undefined) return reply.code(403).send({ error: 'this login was not begun here, or took too long' })
    const checks = { expectedState: login.state, expectedNonce: login.nonce, pkceCodeVerifier: login.verifier }
    const answer = await oidc.authorizationCodeGrant(await configuration(), new URL(request.url, publicUrl), checks)
    // Who has put this session's id into somebody's browser must not be logged in with them.
    await request.session.regenerate()
    request.session.user = answer.claims()?.sub ?? ''
    keep(request.session, answer)
    return reply.redirect('/api/me')
  })

  app.get('/api/me', async (request, reply) => {
    const { session } = request
    if (!session.user || session.tokens === undefined) return reply.code(401).send({ error: 'log in first' })
    const config = await configuration()
    if ((session.tokensExpireAt ?? 0) <= Date.now() && session.tokens.refresh !== undefined)
      keep(session, await oidc.refreshTokenGrant(config, session.tokens.refresh), session.tokens.refresh)
    const { sub } = await oidc.fetchUserInfo(config, session.tokens.access, session.user)
    return { user: sub }
  })

  app.post('/logout', async (request) => {
    await request.session.destroy()
    return { loggedOut: true }
  })
}

async function discover({ issuer, clientId, clientSecret }: Provider): Promise<oidc.Configuration> {
  const local = ['127.0.0.1', 'localhost', '[::1]'].includes(issuer.hostname)
  const execute = local ? [oidc.allowInsecureRequests] : []
  return await oidc.discovery(issuer, clientId, clientSecret, undefined, { execute })
}

function keep(
  session: FastifySession,
  answer: oidc.TokenEndpointResponse & oidc.TokenEndpointResponseHelpers,
  refreshBefore?: string,
): void {
  const refresh = answer.refresh_token ?? refreshBefore
  session.tokens = { access: answer.access_token, ...(refresh === undefined ? {} : { refresh }) }
  session.tokensExpireAt = Date.now() + (answer.expiresIn() ?? 0) * 1_000
}

type FastifySession = Pick<import('fastify').Session, 'tokens' | 'tokensExpireAt'>
