import { actingAs, fail, isKeyturnError } from '@keyturn/core'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import { type Caller, mayAct, type Role } from './access.ts'
import { Answered } from './answered.ts'
import { refuseNul } from './nul.ts'
import { answering, problemOf } from './problem.ts'
import type { Route } from './route.ts'
import type { Server } from './server.ts'

/** What a mounted route has in its configuration. */
interface RouteConfig {
  readonly keyturn?: { readonly role: Role | 'anyone' }
}

/** Larger than any body that a route takes: a plan of a thousand fields. */
const bodyLimit = 1_048_576

/** Mounts routes: who asks comes before whether there is anything, and both before what was sent. */
export function mountRoutes(app: FastifyInstance, server: Server, routes: readonly Route[]): void {
  const callers = new WeakMap<FastifyRequest, Caller>()
  const answered = new Answered(server.state)
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  app.setErrorHandler((error, request, reply) => sendProblem(error, request, reply))
  // Only JSON is read: what else a page of another site can send without asking is refused.
  app.removeContentTypeParser('text/plain')
  app.addHook('onRequest', (request) => identify(server, request, callers))
  app.addHook('preValidation', async ({ params, query, body }) => refuseNul(params, query, body))
  for (const route of routes) mountRoute(app, route, { server, callers, answered })
  app.all('/v1/*', { config: { keyturn: { role: 'viewer' } } satisfies RouteConfig }, async ({ method }) => {
    throw fail('ERR_NOT_FOUND', `${method} at this path`)
  })
}

interface Mounting {
  readonly server: Server
  readonly callers: WeakMap<FastifyRequest, Caller>
  readonly answered: Answered
}

function mountRoute(app: FastifyInstance, route: Route, { server, callers, answered }: Mounting): void {
  const { method, path, role, params, query, body, answers } = route
  const response = Object.fromEntries(Object.entries(answers).filter(([, schema]) => schema !== null))
  app.route({
    method,
    url: path,
    bodyLimit,
    exposeHeadRoute: false,
    config: { keyturn: { role } } satisfies RouteConfig,
    schema: {
      ...(params && { params }),
      ...(query && { querystring: query }),
      ...(body && { body }),
      response,
    },
    handler: async (request, reply) => {
      const caller = callers.get(request) ?? null
      reply.header('cache-control', 'no-store')
      const context = { request, reply, caller, params: request.params, query: request.query, body: request.body, server }
      const kept = method === 'POST' && !route.secret && caller !== null
      const work = () => (kept ? answered.once(context, route) : route.handle(context))
      // What it changes is on record as done by whoever asks.
      const answer = await (caller === null ? work() : actingAs(caller.actor, work))
      // What sends by itself, such as a stream, is given back as it is.
      return answer === undefined && !reply.sent ? reply.send() : answer
    },
  })
}

async function identify(server: Server, request: FastifyRequest, callers: WeakMap<FastifyRequest, Caller>): Promise<void> {
  const { keyturn } = request.routeOptions.config as RouteConfig
  if (keyturn === undefined) return
  const { role } = keyturn
  // Whoever may do something without a name is asked for one only where nothing can be changed by it.
  if (role === 'anyone' && request.method !== 'GET') return
  const caller = await server.access.callerOf(request)
  if (caller !== null) callers.set(request, caller)
  if (role === 'anyone') return
  if (caller === null) throw fail('ERR_UNAUTHORIZED')
  if (!mayAct(caller.role, role)) throw answering(fail('ERR_FORBIDDEN', `it needs the role "${role}"`), { statusCode: 403 })
}

/** Answers an error with its problem document. What is not ours is logged by its kind: its message may hold a secret. */
export function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { problem, headers } = problemOf(error)
  if (problem.status >= 500) request.log.error({ code: problem.code, kind: kindOf(error), at: placesOf(error) }, 'a request failed')
  return reply
    .code(problem.status)
    .headers({ 'cache-control': 'no-store', ...headers })
    .header('content-type', 'application/problem+json')
    .serializer((document: unknown) => JSON.stringify(document))
    .send(problem)
}

function kindOf(error: unknown): string {
  const { code, name } = (typeof error === 'object' && error !== null ? error : {}) as { code?: unknown; name?: unknown }
  return [code, name].find((word): word is string => typeof word === 'string' && /^[A-Za-z0-9_]{1,40}$/.test(word)) ?? 'no code'
}

/** Where it was thrown, without its message. */
function placesOf(error: unknown): string[] {
  if (!(error instanceof Error) || isKeyturnError(error)) return []
  const lines = (error.stack ?? '').replace(error.message, '').split('\n')
  return lines
    .filter((line) => line.startsWith('    at '))
    .slice(0, 5)
    .map((line) => line.trim())
}
