import { fail } from '@keyturn/core'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { sendProblem } from '../mount.ts'
import type { Console, ConsoleFile } from './console.ts'

/** Mounts the console: its files by their exact names, and its page for every address that a person goes to. */
export function mountConsole(app: FastifyInstance, files: Console | null, prefix: string): void {
  app.get('/admin/encryption', { exposeHeadRoute: false }, async (_request, reply) => reply.redirect(`${prefix}/keys`, 302))
  const answer = async (request: FastifyRequest, reply: FastifyReply) => {
    const path = (request.url.split('?')[0] ?? '').slice(prefix.length)
    const page = files?.get('/index.html')
    const file = files?.get(path) ?? (isNavigation(request, path) ? page : undefined)
    return file === undefined ? sendProblem(fail('ERR_NOT_FOUND', `${request.method} at this path`), request, reply) : send(reply, file)
  }
  app.get('/', { exposeHeadRoute: false }, answer)
  app.get('/*', { exposeHeadRoute: false }, answer)
}

/** Somebody goes to an address of the console, by a link or by typing it. */
function isNavigation({ headers }: FastifyRequest, path: string): boolean {
  return !path.startsWith('/assets/') && /\btext\/html\b/.test(headers.accept ?? '')
}

function send(reply: FastifyReply, { type, body, lasting }: ConsoleFile): FastifyReply {
  return reply
    .header('cache-control', lasting ? 'public, max-age=31536000, immutable' : 'no-cache')
    .type(type)
    .send(body)
}
