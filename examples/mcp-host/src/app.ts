import cookie from '@fastify/cookie'
import { ConflictError, isKeyturnError, UsageError } from '@keyturn/core'
import keyturnFastify from '@keyturn/core/adapters/fastify'
import keyturnServer from '@keyturn/server'
import fastify, { type FastifyBaseLogger, type FastifyError, type FastifyInstance, LogController } from 'fastify'
import { Authentication } from './authentication.ts'
import { Calls, type CallWorld } from './calls.ts'
import { keyringName } from './encryption.ts'
import { loginRoutes } from './login.ts'
import { pageRoutes } from './pages.ts'
import { NotFound, Refused } from './refusals.ts'
import { apiRoutes } from './routes.ts'
import { Servers } from './servers.ts'
import type { Serving } from './settings.ts'
import { openDatabase } from './tables.ts'

export interface App extends CallWorld {
  readonly serving: Serving
  readonly logger: FastifyBaseLogger
}

/** The application: servers, calls, and who may change them. */
export async function createApp({ serving, logger, ...world }: App): Promise<FastifyInstance> {
  const { pool, redis, encryption } = world
  const app: FastifyInstance = fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: 64 * 1024,
    trustProxy: serving.trustedProxy,
    // What is not expected is refused, and not left out.
    ajv: { customOptions: { removeAdditional: false, coerceTypes: false } },
  })
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const { status, body } = answerTo(error)
    const { name, code } = error
    logger.error({ event: 'request-failed', method: request.method, route: request.routeOptions.url, name, code })
    return reply.code(status).send(body)
  })
  app.decorateRequest('person')
  await app.register(cookie)

  const db = openDatabase(pool)
  const authentication = new Authentication(db, redis, serving.admin)
  const calls = new Calls(world)
  app.addHook('onClose', () => calls.close())
  // The three admin routes, and one line that says that encryption is ready.
  await app.register(keyturnFastify, {
    keyturn: encryption.keyturn,
    keyring: keyringName,
    authorize: async (request) => (await authentication.personOf(request))?.actor ?? null,
  })
  await app.register((scope) => keyturnRoutes(scope, { authentication, pool, encryption, secure: serving.secure }), { prefix: '/keyturn' })
  app.get('/health', async () => ({ status: 'ok' }))
  await app.register(loginRoutes, { authentication, redis, secure: serving.secure })
  await app.register((scope) => pageRoutes(scope, authentication))
  await app.register(apiRoutes, { authentication, encryption, calls, servers: new Servers(db, encryption) })
  return app
}

/** Keyturn's own API and console, for who is logged in here. */
async function keyturnRoutes(
  app: FastifyInstance,
  { authentication, pool, encryption, secure }: Pick<App, 'pool' | 'encryption'> & { authentication: Authentication; secure: boolean },
): Promise<void> {
  app.addHook('onRequest', async (request, reply) => {
    const isPage = request.method === 'GET' && /\btext\/html\b/.test(request.headers.accept ?? '')
    if (isPage && (await authentication.personOf(request)) === null) return reply.redirect('/login')
  })
  await app.register(keyturnServer, {
    keyturn: encryption.keyturn,
    pool,
    secure,
    authorize: async (request) => {
      const person = await authentication.personOf(request)
      return person && { actor: person.actor, role: 'admin', kind: 'application', id: person.actor, name: person.name }
    },
  })
}

interface Answer {
  readonly status: number
  readonly body: { readonly error: string; readonly code?: string }
}

/** Says what Keyturn says, which names no secret; of other errors, which may quote one, nothing but their kind. */
function answerTo(error: FastifyError): Answer {
  if (isKeyturnError(error)) {
    const { message, code } = error
    return { status: error instanceof UsageError || error instanceof ConflictError ? 409 : 503, body: { error: message, code } }
  }
  if (error instanceof NotFound) return { status: 404, body: { error: error.message } }
  if (error instanceof Refused) return { status: 422, body: { error: error.message } }
  const { statusCode = 500 } = error
  return statusCode < 500
    ? { status: statusCode, body: { error: 'the request makes no sense', code: error.code } }
    : { status: 500, body: { error: 'something failed' } }
}
