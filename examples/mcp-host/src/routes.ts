import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Authentication, Person } from './authentication.ts'
import type { Calls } from './calls.ts'
import type { Encryption } from './encryption.ts'
import type { NewServer, Servers } from './servers.ts'
import { ofRow, shape, text } from './shape.ts'
import type { ToolCall } from './tool-call.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who makes it; set for everything below `/api`. */
    person: Person
  }
}

export interface Api {
  readonly authentication: Authentication
  readonly encryption: Encryption
  readonly servers: Servers
  readonly calls: Calls
}

type Id = { Params: { id: string } }
/** Of a token: the audit log names it. */
const tokenName = { ...text, pattern: '^[A-Za-z0-9._-]{1,64}$' }
const headers = {
  type: 'object',
  minProperties: 1,
  maxProperties: 10,
  additionalProperties: text,
  propertyNames: { pattern: '^[A-Za-z0-9-]{1,64}$' },
}
const url = { ...text, format: 'uri', pattern: '^https?://' }

/** What pages and programs ask for. Nobody but somebody who is known gets past the hook. */
export async function apiRoutes(app: FastifyInstance, api: Api): Promise<void> {
  const { authentication, encryption, servers, calls } = api
  app.addHook('onRequest', async (request, reply) => {
    const person = await authentication.personOf(request)
    if (person === null) return reply.code(401).send({ error: 'log in first' })
    request.person = person
  })
  app.get('/api/me', async ({ person }) => ({ name: person.name }))
  app.get('/api/encryption', () => encryption.encryptionStatus())

  app.get('/api/servers', () => servers.list())
  app.post<{ Body: NewServer }>('/api/servers', { schema: shape({ name: text, url, headers }) }, async ({ body, person }, reply) =>
    reply.code(201).send({ id: await servers.create(body, person.actor) }),
  )
  app.post<Id>('/api/servers/:id/check', { schema: ofRow() }, async ({ params: { id } }) => ({ status: await servers.check(id) }))
  app.put<{ Params: { id: string; secret: string }; Body: { value: string } }>(
    '/api/servers/:id/secrets/:secret',
    { schema: ofRow({ value: text }) },
    async ({ params: { id, secret }, body: { value }, person }) => {
      await servers.replaceSecret(id, secret, value, person.actor)
      return { secret }
    },
  )

  app.post<Id & { Body: ToolCall }>(
    '/api/servers/:id/calls',
    { schema: ofRow({ tool: text, arguments: { type: 'object' } }) },
    async ({ params: { id }, body }, reply) => reply.code(202).send({ call: await calls.add(id, body) }),
  )
  app.get<{ Params: { call: string } }>('/api/calls/:call', ({ params: { call } }) => calls.find(call))

  tokenRoutes(app, authentication)
}

/** Tokens of programs. A token makes no others, and ends none. */
function tokenRoutes(app: FastifyInstance, authentication: Authentication): void {
  const isUser = ({ person }: FastifyRequest) => person.actor.startsWith('user:')
  app.post<{ Body: { name: string } }>('/api/tokens', { schema: shape({ name: tokenName }) }, async (request, reply) => {
    if (!isUser(request)) return reply.code(403).send({ error: 'that is for users who have logged in' })
    return reply.code(201).send({ token: await authentication.createToken(request.body.name, request.person.actor) })
  })
  app.delete<{ Params: { name: string } }>('/api/tokens/:name', async (request, reply) => {
    if (!isUser(request)) return reply.code(403).send({ error: 'that is for users who have logged in' })
    await authentication.revokeToken(request.params.name)
    return { revoked: request.params.name }
  })
}
