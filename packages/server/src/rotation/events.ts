import { Readable } from 'node:stream'
import { isKeyturnError } from '@keyturn/core'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Server } from '../server.ts'

const pingMs = 15_000
/** After this time it is asked again who watches: a session or a token may have ended meanwhile. */
const askAgainMs = 5_000
/** How long a browser waits before it comes back, which it does by itself. */
const retryMs = 2_000

/** Answers with a rotation at each of its changes, until it is over, the client leaves or may not look any more, or the server closes. */
export function eventStream(server: Server, request: FastifyRequest, reply: FastifyReply, id: string): FastifyReply {
  const left = new AbortController()
  request.raw.once('close', () => left.abort())
  reply.raw.once('close', () => left.abort())
  const known = request.headers['last-event-id']
  const events = lines(server, id, {
    request,
    from: typeof known === 'string' ? known : null,
    signal: AbortSignal.any([left.signal, server.closing]),
  })
  return reply
    .header('cache-control', 'no-store, no-transform')
    .header('x-accel-buffering', 'no')
    .type('text/event-stream; charset=utf-8')
    .send(Readable.from(events))
}

interface Watching {
  readonly request: FastifyRequest
  readonly from: string | null
  readonly signal: AbortSignal
}

async function* lines(server: Server, id: string, { request, from, signal }: Watching): AsyncGenerator<string> {
  yield `retry: ${retryMs}\n\n`
  try {
    let ended = false
    let askedAt = performance.now()
    for await (const look of server.watch.looks(id, { from, quietMs: pingMs, signal })) {
      if (performance.now() - askedAt > askAgainMs) {
        if ((await server.access.callerOf(request)) === null) return
        askedAt = performance.now()
      }
      if (look === null) yield ': ping\n\n'
      else yield `event: rotation\nid: ${look.id}\ndata: ${JSON.stringify(look.rotation)}\n\n`
      ended = look?.final ?? false
    }
    if (ended || !signal.aborted) yield 'event: end\ndata: {}\n\n'
  } catch (error) {
    // The client comes back and is told what it has missed.
    server.log.warn({ rotationId: id, code: isKeyturnError(error) ? error.code : 'ERR_UNEXPECTED' }, 'a stream of events ended')
  }
}
