import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import { Redis } from 'ioredis'
import pg from 'pg'
import { Clients } from './clients.ts'
import { Components } from './components.ts'
import type { Log } from './log.ts'
import type { Settings } from './settings.ts'
import { Tokens } from './tokens.ts'

/** An API process, and what it holds open. */
export interface App {
  /** Listens, and resolves with the address. */
  listen(): Promise<string>
  /** What has been accepted is answered first. */
  close(): Promise<void>
}

/** The API: projects, sessions of clients, and how the services behind it are. */
export async function createApp(settings: Settings, log: Log): Promise<App> {
  const pool = new pg.Pool({ connectionString: settings.databaseUrl, application_name: 'cloudforge', max: 4 })
  const redis = new Redis(settings.redisUrl, { lazyConnect: true, maxRetriesPerRequest: 1 })
  const components = new Components(settings, log)
  // Connections that break while they idle are replaced; without a listener they would end the process.
  pool.on('error', () => {})
  redis.on('error', (error) => components.noteFailure('redis', error))
  const [tokens, clients] = [new Tokens(settings.signingSecrets), new Clients(pool)]
  const server: FastifyInstance = fastify({ logger: false, bodyLimit: 64 * 1024, forceCloseConnections: 'idle' })

  /** Who asks: by a token, or by a name and a secret. */
  const callerOf = async ({ headers: { authorization = '' } }: FastifyRequest): Promise<string | null> => {
    const [scheme, given = ''] = authorization.split(' ')
    if (scheme === 'Bearer') return await tokens.subjectOf(given)
    if (scheme !== 'Basic') return null
    const [, name = '', secret = ''] = /^([^:]*):(.*)$/s.exec(Buffer.from(given, 'base64').toString()) ?? []
    return await clients.check(name, secret)
  }
  const asCaller =
    <T>(answer: (caller: string) => Promise<T>) =>
    async (request: FastifyRequest, reply: { code(status: number): { send(body: object): unknown } }) => {
      const caller = await callerOf(request)
      if (caller !== null) return await answer(caller)
      log('authentication-failed', { component: 'api', code: 401 })
      return reply.code(401).send({ error: 'who are you?' })
    }

  server.setErrorHandler((error, request, reply) => {
    components.noteFailure(request.routeOptions.url ?? 'api', error)
    return reply.code(503).send({ error: 'something failed' })
  })
  server.get('/health', async (_, reply) => {
    const found = await components.all()
    const good = Object.values(found).every((health) => health === 'ok')
    return reply.code(good ? 200 : 503).send({ status: good ? 'ok' : 'degraded', components: found })
  })
  server.post(
    '/v1/session',
    asCaller(async (client) => ({ token: await tokens.issue(client) })),
  )
  server.get(
    '/v1/projects',
    asCaller(async (client) => {
      const { rows } = await pool.query<{ name: string }>('SELECT name FROM project ORDER BY id')
      return { client, projects: rows.map(({ name }) => name), asked: await redis.incr(`cloudforge:asked:${client}`) }
    }),
  )
  return {
    async listen() {
      await redis.connect()
      return await server.listen({ host: settings.host, port: settings.port })
    },
    async close() {
      await server.close()
      await pool.end()
      redis.disconnect()
    },
  }
}
