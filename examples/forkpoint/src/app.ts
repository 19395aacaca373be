import { ConflictError, isKeyturnError, type Keyturn, UsageError } from '@keyturn/core'
import express, { type ErrorRequestHandler, type Express, type Request, type RequestHandler, type Response } from 'express'
import type { Logger } from 'pino'
import { encryptionAdmin } from './admin.ts'
import { Configs, isKind, type KindName, type Settings } from './configs.ts'
import type { Database } from './database.ts'
import { type Addresses, checkToken } from './providers.ts'
import { type Sessions, sameText } from './sessions.ts'
import { type SlackApp, slackOauth } from './slack.ts'

export interface App {
  readonly db: Database
  readonly keyturn: Keyturn
  readonly sessions: Sessions
  readonly logger: Logger
  readonly password: string
  readonly slack: SlackApp
  readonly addresses: Addresses
  /** Aborted when the process is told to end. */
  readonly stopping: AbortSignal
}

/** The application: configurations of integrations, their tokens in use, and the key that these are under. */
export function createApp({ db, keyturn, sessions, logger, password, slack, addresses, stopping }: App): Express {
  const app = express()
  const configs = new Configs(db)
  const authorize: RequestHandler = (request, response, next) => {
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? ''
    if (sessions.verify(token) !== null) next()
    else response.status(401).json({ error: 'log in first' })
  }
  app.disable('x-powered-by')
  // A proxy that ends TLS says so: cookies are then for TLS alone.
  app.set('trust proxy', 'loopback, linklocal, uniquelocal')
  app.get('/health', (_request, response) => void response.json({ status: 'ok' }))
  app.use(express.json({ limit: '64kb' }))
  app.post('/auth/login', (request, response) => {
    if (sameText(String(request.body?.password), password)) response.json({ token: sessions.issue({ user: 'admin' }) })
    else response.status(401).json({ error: 'wrong password' })
  })
  app.use('/oauth/slack', slackOauth({ sessions, configs, slack, addresses }, authorize))
  app.use('/configs', authorize, configRoutes(configs, addresses))
  app.use('/admin/encryption', authorize, encryptionAdmin(keyturn, stopping))
  app.use((_request, response) => void response.status(404).json({ error: 'there is no such thing here' }))
  app.use(failureOf(logger))
  return app
}

/** `jira`, `github`, `slack` and `webhooks`: list them, save one, use its token. */
function configRoutes(configs: Configs, addresses: Addresses): express.Router {
  const router = express.Router()
  router.param('kind', (_request, response, next, kind) => {
    if (isKind(kind)) next()
    else response.status(404).json({ error: 'there is no such kind of integration' })
  })
  router.get('/:kind', async (request: Request<{ kind: KindName }>, response) => {
    response.json(await configs.list(request.params.kind))
  })
  router.put('/:kind/:id', async (request: Request<{ kind: KindName; id: string }>, response) => {
    const { kind, id } = request.params
    const missing = await configs.save(kind, id, settingsOf(request.body))
    if (missing.length > 0) response.status(400).json({ error: `missing: ${missing.join(', ')}` })
    else response.json({ id })
  })
  router.post('/:kind/:id/check', async (request: Request<{ kind: KindName; id: string }>, response) => {
    const { kind, id } = request.params
    const config = await configs.find(kind, id)
    if (config === null) return void response.status(404).json({ error: 'there is no such configuration' })
    const account = await checkToken(kind, config, addresses)
    if (account === null) response.status(502).json({ error: 'the token was not accepted' })
    else response.json({ account })
  })
  return router
}

/** The texts of a request. A webhook's `secret` is what a token is elsewhere. */
function settingsOf(body: unknown): Settings {
  const entries = Object.entries(typeof body === 'object' && body !== null ? body : {})
  return Object.fromEntries(
    entries.flatMap(([name, value]) => (typeof value === 'string' ? [[name === 'secret' ? 'token' : name, value]] : [])),
  )
}

/** Says what Keyturn says, which names no secret; of other errors, which may quote one, nothing but their kind. */
function failureOf(logger: Logger): ErrorRequestHandler {
  return (error: unknown, request, response: Response, _next) => {
    const { status, body } = answerTo(error)
    const { name, code } = error as { name?: unknown; code?: unknown }
    logger.error({ event: 'request-failed', method: request.method, route: `${request.baseUrl}${request.route?.path ?? ''}`, name, code })
    // What streams its answer has said 200 already: the failure is its last line.
    if (response.headersSent) response.end(`${JSON.stringify(body)}\n`)
    else response.status(status).json(body)
  }
}

function answerTo(error: unknown): { readonly status: number; readonly body: { readonly error: string; readonly code?: string } } {
  if (isKeyturnError(error)) {
    const { message, code } = error
    // A token that does not open waits for its key; the rest stands in the way of a rewrap.
    return { status: error instanceof UsageError || error instanceof ConflictError ? 409 : 503, body: { error: message, code } }
  }
  const unreadable = (error as { status?: unknown } | null)?.status === 400
  return unreadable ? { status: 400, body: { error: 'this is no JSON' } } : { status: 500, body: { error: 'something failed' } }
}
