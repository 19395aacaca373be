import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Keyturn } from '../keyturn.ts'
import { Admin, type AdminOptions, ownPaths } from './http/admin.ts'
import { below } from './http/answer.ts'

/** A middleware for Express, with the opened configuration. */
export interface KeyturnMiddleware<Request extends IncomingMessage> {
  (request: Request, response: ServerResponse, next: (error?: unknown) => void): void
  readonly keyturn: Keyturn
  /** Stops a rotation that is going on, for the next process to go on with, and closes what was opened. */
  close(): Promise<void>
}

/**
 * A middleware for Express: opens the configuration before it is there to be used, so that nothing is served without its keys, and answers the
 * admin routes.
 *
 *     GET  /v1/admin/encryption         { activeVersion, keys, secrets, legacy }
 *     POST /v1/admin/encryption/rotate  { newVersion, reEncrypted }, or 202 after 30 s
 *     POST /api/connectors/rotate-keys  { total, rotated, skipped, failed }, in documents
 *
 * Use it before body parsers: it reads no body, and who is not authorized should have none parsed. `authorize` sees what stands before it, a session
 * for example.
 *
 * @throws `ERR_USAGE` without `authorize`, and everything that `open` throws
 */
export default async function keyturnExpress<Request extends IncomingMessage = IncomingMessage>(
  options: AdminOptions<Request>,
): Promise<KeyturnMiddleware<Request>> {
  const admin = await Admin.open(options)
  const middleware = (request: Request, response: ServerResponse, next: (error?: unknown) => void): void => {
    const path = request.url?.split('?')[0] ?? ''
    if (!ownPaths.some((own) => path === own || path.startsWith(`${own}/`))) next()
    else
      admin
        .answer(request.method ?? 'GET', path, () => options.authorize(request))
        .then((answer) => below((request as { baseUrl?: string }).baseUrl ?? '', answer))
        .then(({ status, headers, body }) => response.writeHead(status, headers).end(JSON.stringify(body)))
        .catch(next)
  }
  return Object.assign(middleware, { keyturn: admin.keyturn, close: () => admin.close() })
}
