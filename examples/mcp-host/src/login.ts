import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Redis } from 'ioredis'
import { type Authentication, cookieName, isOfOurs, sessionSeconds } from './authentication.ts'
import { shape, text } from './shape.ts'

/** Attempts in a minute, of one address and at one account. */
const most = { address: 20, account: 10 }

export interface Login {
  readonly authentication: Authentication
  readonly redis: Redis
  readonly secure: boolean
}

/** How sessions begin and end. Attempts are limited, and counted in Redis: for all instances together. */
export async function loginRoutes(app: FastifyInstance, { authentication, redis, secure }: Login): Promise<void> {
  await app.register(rateLimit, { global: false, redis, nameSpace: 'mcp-host:attempts:' })
  type Attempt = FastifyRequest<{ Body: { name: string; password: string } }>
  const limits = [
    app.createRateLimit({ max: most.address, timeWindow: '1 minute', keyGenerator: ({ ip }) => `address:${ip}` }),
    app.createRateLimit({
      max: most.account,
      timeWindow: '1 minute',
      keyGenerator: (request) => `account:${(request as Attempt).body.name}`,
    }),
  ]

  app.post<{ Body: { name: string; password: string } }>(
    '/login',
    { schema: shape({ name: text, password: text }) },
    async (request, reply) => {
      if (!isOfOurs(request)) return reply.code(403).send({ error: 'log in from a page of this host' })
      for (const limit of limits) {
        const counted = await limit(request)
        if ('isExceeded' in counted && counted.isExceeded) return tooMany(request, reply, counted.ttlInSeconds)
      }
      const id = await authentication.login(request.body.name, request.body.password)
      if (id === null) {
        request.log.warn({ event: 'login-refused', address: request.ip })
        return reply.code(401).send({ error: 'the name or the password is wrong' })
      }
      reply.setCookie(cookieName, id, { path: '/', httpOnly: true, sameSite: 'strict', secure, maxAge: sessionSeconds })
      return { loggedIn: true }
    },
  )

  app.post('/logout', async (request, reply) => {
    if ((await authentication.personOf(request)) !== null) await authentication.logout(request)
    reply.clearCookie(cookieName, { path: '/' })
    return { loggedOut: true }
  })
}

function tooMany({ ip, log }: FastifyRequest, reply: FastifyReply, seconds: number): FastifyReply {
  log.warn({ event: 'login-limited', address: ip })
  return reply.code(429).header('retry-after', seconds).send({ error: 'too many attempts: come back later' })
}
