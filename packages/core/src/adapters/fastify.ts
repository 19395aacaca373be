import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import type { Keyturn } from '../keyturn.ts'
import { Admin, type AdminOptions, ownPaths } from './http/admin.ts'
import { type Answer, below } from './http/answer.ts'

/** See {@link keyturnFastify}. */
export type FastifyOptions = AdminOptions<FastifyRequest>

/**
 * A plugin for Fastify: opens the configuration before the server listens, so that it does not serve without its keys, and mounts the admin
 * routes. `app.keyturn` is the opened configuration.
 *
 *     GET  /v1/admin/encryption         { activeVersion, keys, secrets, legacy }
 *     POST /v1/admin/encryption/rotate  { newVersion, reEncrypted }, or 202 after 30 s
 *     POST /api/connectors/rotate-keys  { total, rotated, skipped, failed }, in documents
 *
 * A request is authorized before anything of it is looked at, its body included, which is never read. When the server closes, a rotation that is going
 * on stops after its batch, and the next request for one goes on with it.
 *
 * @throws `ERR_USAGE` without `authorize`, and everything that `open` throws: registering fails, and so does `listen`
 */
const keyturnFastify: FastifyPluginAsync<FastifyOptions> = async (app, options) => {
  const admin = await Admin.open({ onReady: (line: string) => app.log.info(line), ...options })
  // Where the application has mounted it elsewhere as well, the first one stays.
  if (!app.hasDecorator('keyturn')) app.decorate('keyturn', admin.keyturn)
  app.addHook('onClose', () => admin.close())
  const { prefix } = options as { readonly prefix?: string }
  await app.register(async (routes) => mount(routes, admin, options), prefix === undefined ? {} : { prefix })
}
// Without this, Fastify would keep `app.keyturn` to the plugin itself.
Object.assign(keyturnFastify, { [Symbol.for('skip-override')]: true, [Symbol.for('fastify.display-name')]: 'keyturn' })
export default keyturnFastify

declare module 'fastify' {
  interface FastifyInstance {
    keyturn: Keyturn
  }
}

function mount(routes: FastifyInstance, admin: Admin, { authorize }: FastifyOptions): void {
  // No body is wanted: none is read, and none is refused before it is known who sends it.
  routes.removeAllContentTypeParsers()
  routes.addContentTypeParser('*', (_request, payload, done) => {
    payload.resume()
    done(null)
  })
  // Here and not in the handler, which runs after the body was read.
  routes.addHook('onRequest', async (request, reply) => {
    const path = request.url.split('?')[0] ?? ''
    const under = path.slice(routes.prefix.length)
    return send(reply, below(routes.prefix, await admin.answer(request.method, under, () => authorize(request))))
  })
  const never = async () => {}
  for (const path of ownPaths) for (const url of [path, `${path}/*`]) routes.all(url, never)
}

function send(reply: FastifyReply, { status, headers, body }: Answer): FastifyReply {
  return reply.code(status).headers(headers).send(JSON.stringify(body))
}
