import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'

/** A request, read to its end. */
export interface Asked {
  readonly method: string
  readonly url: URL
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** What a double answers. An object goes out as JSON. */
export interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: object | string
  /** Ids of what the call made, for the record of calls. Never a value. */
  readonly made?: readonly string[]
}

/** One thing a double can do: what is asked by `method` and `path`, whose groups are the ids in the record. */
export interface Operation {
  readonly name: string
  readonly method: string
  /** Matched with the path as it came on the wire, `%2F` and double slashes left as they are, without the query. */
  readonly path: RegExp
  /** Applies the call and answers it; a refusal is an answer, too. */
  answer(asked: Asked, ids: readonly string[]): Answer | Promise<Answer>
}

/** What goes wrong with a call. */
export type Fault =
  /** The call is applied and the connection is reset instead of an answer: the caller cannot know. */
  | 'drop'
  /** The connection is reset before anything is applied. */
  | 'cut'
  /** Taken and never answered, not applied. */
  | 'silent'
  /** Answered like this, not applied: 429 with `retry-after`, a 5xx. Without a body the double's own form of error is sent. */
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: object | string }
  /** Applied, and answered when this settles: another call, or the end of a process, can come first. */
  | { readonly until: Promise<unknown> }

/** How many calls a fault meets (1 unless given), after how many that it lets pass (0 unless given). */
export interface FaultCount {
  readonly times?: number
  readonly skip?: number
}

export interface Faults {
  /**
   * The next calls of this operation (`*`: of any) meet this fault. Faults of one operation come in the order in which they were asked for.
   */
  next(operation: string, fault: Fault, count?: FaultCount): void
  /** Nothing goes wrong any more. */
  clear(): void
}

/** One call as a test may look at it: names and numbers, never a value. `status` is 0 while and where nothing was answered. */
export interface Call {
  readonly operation: string
  readonly ids: readonly string[]
  readonly status: number
  /** Whether the double did what was asked, also if nobody was told. */
  readonly applied: boolean
  readonly fault: string | null
}

export interface DoubleOptions {
  /** Speaks TLS with this. */
  readonly tls?: { readonly key: string; readonly cert: string }
  /** The provider's form of an error: for paths that nothing serves (404, 405) and for faults without a body. */
  readonly errorBody?: (status: number) => object
}

/** A server on this machine that can fail as servers do. */
export interface Double {
  readonly origin: string
  readonly faults: Faults
  /** Every call in its order, also those that met a fault. */
  readonly calls: readonly Call[]
  /** Nobody listens any more, as when the machine is down. What the double keeps stays. */
  stop(): Promise<void>
  /** Listens again, at the same address. */
  start(): Promise<void>
}

type Recorded = { operation: string; ids: string[]; status: number; applied: boolean; fault: string | null }

/** Puts faults and a record of calls before operations; the listener is for a `node:http` or `node:https` server. */
export function withFaults(operations: readonly Operation[], errorBody: (status: number) => object = (status) => ({ status })) {
  const calls: Recorded[] = []
  const planned: { operation: string; fault: Fault; times: number; skip: number }[] = []
  const faults: Faults = {
    next: (operation, fault, { times = 1, skip = 0 } = {}) => planned.push({ operation, fault, times, skip }),
    clear: () => planned.splice(0),
  }
  const take = (operation: string): Fault | null => {
    const plan = planned.find((one) => (one.operation === operation || one.operation === '*') && one.times > 0)
    if (plan === undefined) return null
    if (plan.skip > 0) plan.skip--
    else {
      plan.times--
      return plan.fault
    }
    return null
  }
  const listener: RequestListener = async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const target = request.url ?? '/'
    // Not `new URL(target, base)`: a path that begins with two slashes would name a host.
    const url = new URL(`http://${request.headers.host ?? 'localhost'}${target}`)
    const path = target.split('?', 1)[0] ?? '/'
    const asked: Asked = { method: request.method ?? '', url, headers: request.headers, body: Buffer.concat(chunks) }
    const here = operations.filter((one) => one.path.test(path))
    const operation = here.find((one) => one.method === asked.method)
    const ids = operation?.path.exec(path)?.slice(1) ?? []
    const call: Recorded = { operation: operation?.name ?? `${asked.method} ?`, ids: [...ids], status: 0, applied: false, fault: null }
    calls.push(call)
    const send = ({ status, headers, body = errorBody(status) }: Answer) => {
      call.status = status
      response.writeHead(status, { ...(typeof body === 'object' && { 'content-type': 'application/json' }), ...headers })
      response.end(status === 204 ? undefined : typeof body === 'object' ? JSON.stringify(body) : body)
    }
    const fault = take(call.operation)
    call.fault = fault === null ? null : typeof fault === 'string' ? fault : 'until' in fault ? 'until' : String(fault.status)
    if (fault === 'silent') return
    if (fault === 'cut') return reset(request.socket)
    if (fault !== null && typeof fault === 'object' && 'status' in fault) return send(fault)
    if (operation === undefined) return send({ status: here.length > 0 ? 405 : 404 })
    try {
      const answer = await operation.answer(asked, ids)
      call.applied = answer.status < 400
      call.ids.push(...(answer.made ?? []))
      if (fault === 'drop') return reset(request.socket)
      if (fault !== null) await fault.until
      send(answer)
    } catch {
      send({ status: 500 })
    }
  }
  return { listener, faults, calls: calls as readonly Call[] }
}

/** Starts a double of these operations; the caller stops it. */
export async function startDouble(operations: readonly Operation[], { tls, errorBody }: DoubleOptions = {}): Promise<Double> {
  const { listener, faults, calls } = withFaults(operations, errorBody)
  const server: Server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener)
  // A connection that we close while it is idle can meet the client's next request: a fault nobody asked for.
  server.keepAliveTimeout = 0
  let port = 0
  const start = async () => {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    ;({ port } = server.address() as AddressInfo)
  }
  await start()
  return {
    origin: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    faults,
    calls,
    start,
    stop: async () => {
      if (!server.listening) return
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

/** JSON that came, as what the caller says it is; an empty object where it is none. */
export function jsonOf<T>({ body }: Asked): Partial<T> {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    return {}
  }
}

/** What follows `Bearer ` (or another scheme) in the header `authorization`; the empty string where it is another. */
export function credentialOf({ headers }: Asked, scheme = 'Bearer'): string {
  const value = headers.authorization ?? ''
  return value.startsWith(`${scheme} `) ? value.slice(scheme.length + 1) : ''
}

function reset(socket: Socket): void {
  // Node resets plain sockets only.
  if ('encrypted' in socket) socket.destroy()
  else socket.resetAndDestroy()
}
