import { type JsonSchema, secretFields, type VariableDefinition } from '@keyturn/core'
import type { FastifyBaseLogger, FastifyInstance, preHandlerAsyncHookHandler } from 'fastify'
import type { Users } from './authentication.ts'
import type { Connectors } from './connectors.ts'
import type { Invitations } from './invitations.ts'
import { NotFound } from './refusals.ts'
import type { Step, Values } from './tables.ts'
import type { Workflows } from './workflows.ts'

interface Guarded {
  readonly users: Users
  readonly admin: preHandlerAsyncHookHandler
}

const text = { type: 'string', minLength: 1 } as const
const uuid = { type: 'string', format: 'uuid' } as const
const values = { type: 'object' } as const
/** What a request must look like. Members that are not named stay: what is in a document, its own schema says. */
const shape = (body: { readonly [name: string]: object }, id = true) => ({
  body: { type: 'object', properties: body, required: Object.keys(body) },
  ...(id ? { params: { type: 'object', properties: { id: uuid } } } : {}),
})
const idOnly = { params: { type: 'object', properties: { id: uuid } } }
const steps = {
  type: 'array',
  items: {
    anyOf: [
      { type: 'object', properties: { set: text, value: { type: 'string' } }, required: ['set', 'value'] },
      { type: 'object', properties: { connector: uuid, body: { type: 'string' } }, required: ['connector', 'body'] },
    ],
  },
}
type Id = { Params: { id: string } }

/** Connectors, workflows, runs and triggers. */
export function routes(
  app: FastifyInstance,
  { users, admin, connectors, workflows, logger }: Guarded & { connectors: Connectors; workflows: Workflows; logger: FastifyBaseLogger },
): void {
  /** A bearer for programs, in exchange for a session. */
  app.post('/api/tokens', async (request, reply) => {
    const user = users.ofSession(request)
    return user === null ? reply.code(401).send({ error: 'log in first' }) : { token: await users.bearerFor(user) }
  })

  app.get('/api/connectors', { preHandler: admin }, () => connectors.list())
  app.post<{ Body: { name: string; configSchema: JsonSchema; config: Values } }>(
    '/api/connectors',
    { preHandler: admin, schema: shape({ name: text, configSchema: values, config: values }, false) },
    async (request, reply) => {
      const { name, configSchema, config } = request.body
      const id = await connectors.create(name, configSchema, config)
      logger.info({ event: 'connector-saved', id, config: secretFields(configSchema).mask(config) })
      return reply.code(201).send({ id })
    },
  )
  app.put<Id & { Body: { name: string; config: Values } }>(
    '/api/connectors/:id',
    { preHandler: admin, schema: shape({ name: text, config: values }) },
    async ({ params: { id }, body: { name, config } }) => {
      await connectors.update(id, name, config)
      return { id }
    },
  )
  app.post<Id & { Body: { body: string } }>(
    '/api/connectors/:id/call',
    { preHandler: admin, schema: shape({ body: { type: 'string' } }) },
    ({ params: { id }, body: { body } }) => connectors.call(id, body),
  )

  app.post<{ Body: { name: string; variables: VariableDefinition[]; steps: Step[] } }>(
    '/api/workflows',
    { preHandler: admin, schema: shape({ name: text, variables: { type: 'array' }, steps }, false) },
    async ({ body: { name, variables, steps } }, reply) => reply.code(201).send({ id: await workflows.define(name, variables, steps) }),
  )
  app.post<Id & { Body: { variables: Values } }>(
    '/api/workflows/:id/runs',
    { preHandler: admin, schema: shape({ variables: values }) },
    async ({ params: { id }, body: { variables } }, reply) => reply.code(201).send({ id: await workflows.start(id, variables) }),
  )
  app.get<Id>('/api/runs/:id', { preHandler: admin, schema: idOnly }, ({ params: { id } }) => workflows.show(id))
  app.put<Id & { Body: { variables: Values } }>(
    '/api/runs/:id/variables',
    { preHandler: admin, schema: shape({ variables: values }) },
    async ({ params: { id }, body: { variables } }) => {
      await workflows.update(id, variables)
      return await workflows.show(id)
    },
  )
  app.post<Id>('/api/runs/:id/step', { preHandler: admin, schema: idOnly }, ({ params: { id } }) => workflows.advance(id))

  app.get('/api/triggers', { preHandler: admin }, () => workflows.triggers())
  app.post<Id & { Body: { cron: string; variables: Values } }>(
    '/api/workflows/:id/triggers',
    { preHandler: admin, schema: shape({ cron: text, variables: values }) },
    async ({ params: { id }, body: { cron, variables } }, reply) =>
      reply.code(201).send({ id: await workflows.schedule(id, cron, variables) }),
  )
  app.put<Id & { Body: { cron: string; variables: Values } }>(
    '/api/triggers/:id',
    { preHandler: admin, schema: shape({ cron: text, variables: values }) },
    async ({ params: { id }, body: { cron, variables } }) => {
      await workflows.reschedule(id, cron, variables)
      return { id }
    },
  )
  app.post<Id>('/api/triggers/:id/fire', { preHandler: admin, schema: idOnly }, async ({ params: { id } }, reply) =>
    reply.code(201).send({ id: await workflows.fire(id) }),
  )
}

/** Links that let somebody in. */
export function invitationRoutes(
  app: FastifyInstance,
  { users, admin, invitations, publicUrl }: Guarded & { invitations: Invitations; publicUrl: string },
): void {
  app.post<{ Body: { email: string } }>(
    '/api/invitations',
    { preHandler: admin, schema: shape({ email: text }, false) },
    async ({ body: { email } }, reply) => reply.code(201).send({ link: `${publicUrl}/invitations/${await invitations.create(email)}` }),
  )
  app.get<{ Params: { token: string } }>('/invitations/:token', async ({ params: { token } }) => {
    const invitation = await invitations.find(token)
    if (invitation === null) throw new NotFound('there is no such invitation')
    return invitation
  })
  app.post<{ Params: { token: string } }>('/invitations/:token/accept', async (request, reply) => {
    const user = users.ofSession(request)
    if (user === null) return reply.code(401).send({ error: 'log in first' })
    if (!(await invitations.accept(request.params.token, user.name))) throw new NotFound('there is no such invitation')
    return { accepted: true }
  })
}
