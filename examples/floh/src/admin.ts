import { actingAs } from '@keyturn/core'
import keyturnFastify from '@keyturn/core/adapters/fastify'
import type { FastifyInstance, preHandlerAsyncHookHandler } from 'fastify'
import { actorOf, type Users } from './authentication.ts'
import { type Encryption, encryptionStatus } from './encryption.ts'

/** What an operator needs while keys change, and `POST /api/connectors/rotate-keys`. */
export async function adminRoutes(
  app: FastifyInstance,
  { keyturn, users, admin, stopping }: { keyturn: Encryption; users: Users; admin: preHandlerAsyncHookHandler; stopping: AbortSignal },
): Promise<void> {
  await app.register(keyturnFastify, {
    keyturn,
    keyring: 'connectors',
    authorize: async (request) => {
      // The keys of this application come with its environment: of the adapter's routes it has one.
      if (!request.url.startsWith('/api/connectors/rotate-keys')) return null
      const user = await users.ofBearer(request)
      return user?.admin === true ? actorOf(user) : null
    },
  })

  app.get('/api/admin/encryption', { preHandler: admin }, async () => ({ keyrings: await encryptionStatus(keyturn) }))

  app.post('/api/admin/sessions/rotate-key', { preHandler: admin }, async () => {
    const { state, rotated, rows, failedCount } = await keyturn.rotate('sessions', {
      accept: true,
      signal: stopping,
      throttle: { share: 1 },
    })
    return { state, sessions: rows, values: rotated, failed: failedCount }
  })

  app.get('/api/admin/sessions', { preHandler: admin }, async () => ({ sessions: total(await keyturn.sessions.count()) }))

  // Bearers go on: they are no sessions.
  app.delete('/api/admin/sessions', { preHandler: admin }, async ({ actor, log }) => {
    const ended = total(await actingAs(actor, () => keyturn.sessions.end()))
    log.warn({ event: 'sessions-ended', actor, ended })
    return { ended }
  })
}

const total = (counts: readonly { readonly sessions: number }[]) => counts.reduce((sum, { sessions }) => sum + sessions, 0)
