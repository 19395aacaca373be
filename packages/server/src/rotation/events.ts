import { Readable } from 'node:stream'
import { isKeyturnError } from '@keyturn/core'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { RouteContext } from '../route.ts'
import type { Server } from '../server.ts'
import type { Watch } from './watch.ts'

const pingMs = 15_000
/** After this time it is asked again who watches: a session or a token may have ended meanwhile. */
const askAgainMs = 5_000
/** How long a browser waits before it comes back, which it does by itself. */
const retryMs = 2_000

/** What is streamed: the name of its events, and who looks at it. */
export interface Stream<T> {
  readonly event: string
  readonly id: string
  readonly watch: Watch<T>
}

/** Answers with something at each of its changes, until it is over, the client leaves or may not look any more, or the server closes. */
export function eventStream<T>(
  server: Server,
  { request, reply }: Pick<RouteContext, 'request' | 'reply'>,
  stream: Stream<T>,
): FastifyReply {
  const left = new AbortController()
  request.raw.once('close', () => left.abort())
  reply.raw.once('close', () => left.abort())
  const known = request.headers['last-event-id']
  const events = lines(server, stream, {
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

async function* lines<T>(server: Server, { event, id, watch }: Stream<T>, { request, from, signal }: Watching): AsyncGenerator<string> {
  yield `retry: ${retryMs}\n\n`
  try {
    let ended = false
    let askedAt = performance.now()
    for await (const look of watch.looks(id, { from, quietMs: pingMs, signal })) {
      if (performance.now() - askedAt > askAgainMs) {
        if ((await server.access.callerOf(request)) === null) return
        askedAt = performance.now()
      }
      if (look === null) yield ': ping\n\n'
      else yield `event: ${event}\nid: ${look.id}\ndata: ${JSON.stringify(look.seen)}\n\n`
      ended = look?.final ?? false
    }
    if (ended || !signal.aborted) yield 'event: end\ndata: {}\n\n'
  } catch (error) {
    // The client comes back and is told what it has missed.
    server.log.warn({ [`${event}Id`]: id, code: isKeyturnError(error) ? error.code : 'ERR_UNEXPECTED' }, 'a stream of events ended')
  }
}
