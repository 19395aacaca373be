import cookie from '@fastify/cookie'
import session from '@fastify/session'
import { ConflictError, isKeyturnError, UsageError } from '@keyturn/core'
import fastifySession from '@keyturn/core/adapters/fastify-session'
import fastify, { type FastifyBaseLogger, type FastifyError, type FastifyInstance, LogController } from 'fastify'
import type { Redis } from 'ioredis'
import { adminRoutes } from './admin.ts'
import { Users } from './authentication.ts'
import { Connectors } from './connectors.ts'
import { type Encryption, sessionPrefix } from './encryption.ts'
import { Invitations } from './invitations.ts'
import { loginRoutes } from './login.ts'
import { pageRoutes } from './pages.ts'
import { RedisStore } from './redis-store.ts'
import { BadRequest, NotFound } from './refusals.ts'
import { invitationRoutes, routes } from './routes.ts'
import type { readSettings } from './settings.ts'
import type { Db } from './tables.ts'
import { Workflows } from './workflows.ts'

const DAY_MS = 24 * 3_600_000

export interface App {
  readonly settings: ReturnType<typeof readSettings>
  readonly db: Db
  readonly redis: Redis
  readonly keyturn: Encryption
  readonly logger: FastifyBaseLogger
  /** Aborted when the process is told to end. */
  readonly stopping: AbortSignal
}

/** The application: connectors, workflows and who may use them. */
export async function createApp({ settings, db, redis, keyturn, logger, stopping }: App): Promise<FastifyInstance> {
  const { publicUrl, sessionSecret, sealsSessions } = settings
  const app: FastifyInstance = fastify({
    loggerInstance: logger,
    // Addresses of the end of a login and of invitations are credentials.
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: 256 * 1024,
    // A proxy that ends TLS says so: cookies are then for TLS alone.
    trustProxy: 'loopback, linklocal, uniquelocal',
  })
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const { status, body } = answerTo(error)
    const { name, code } = error
    logger.error({ event: 'request-failed', method: request.method, route: request.routeOptions.url, name, code })
    return reply.code(status).send(body)
  })

  app.decorateRequest('actor', '')
  const users = new Users(keyturn, settings.admins)
  const admin = users.adminsOnly
  const store = new RedisStore(redis, sessionPrefix)
  await app.register(cookie)
  await app.register(session, {
    store: sealsSessions
      ? fastifySession(keyturn, store, { fields: ['session.tokens'], onRefused: (event) => logger.warn(event) })
      : fastifySession(null, store),
    secret: sessionSecret,
    cookieName: 'floh',
    saveUninitialized: false,
    rolling: false,
    cookie: { maxAge: DAY_MS, httpOnly: true, sameSite: 'lax', secure: publicUrl.startsWith('https:') },
  })
  await adminRoutes(app, { keyturn, users, admin, stopping })
  app.get('/health', async () => ({ status: 'ok' }))
  loginRoutes(app, settings.oidc, publicUrl)
  await app.register((scope) => pageRoutes(scope, users))
  const connectors = new Connectors(db, keyturn)
  routes(app, { users, admin, logger, connectors, workflows: new Workflows(db, keyturn, connectors) })
  invitationRoutes(app, { users, admin, invitations: new Invitations(db), publicUrl })
  return app
}

/** What is sent makes no sense, or lacks what a mask stands for. */
const ofTheSender = ['ERR_MASK', 'ERR_SECRET_FIELD', 'ERR_SECRET_SCHEMA'] as const

/** Says what Keyturn says, which names no secret; of other errors, which may quote one, nothing but their kind. */
function answerTo(error: FastifyError): { readonly status: number; readonly body: { readonly error: string; readonly code?: string } } {
  if (isKeyturnError(error)) {
    const { message, code } = error
    const conflict = error instanceof UsageError || error instanceof ConflictError
    return { status: isKeyturnError(error, ...ofTheSender) ? 400 : conflict ? 409 : 503, body: { error: message, code } }
  }
  if (error instanceof NotFound) return { status: 404, body: { error: error.message } }
  if (error instanceof BadRequest) return { status: 400, body: { error: error.message } }
  const { statusCode = 500 } = error
  return statusCode < 500
    ? { status: statusCode, body: { error: 'the request makes no sense', code: error.code } }
    : { status: 500, body: { error: 'something failed' } }
}
