import { connect, createServer, type Socket } from 'node:net'

/** What a proxy does with a connection when a client has sent a text that it watches for. */
export type Fault =
  /** The text does not reach the server; both ends lose the connection. */
  | 'drop-before'
  /** The text reaches the server; the client loses its connection at once, the server does what it was told. */
  | 'drop-after'
  /** The text reaches the server and its answer comes back to the proxy, never to the client. */
  | 'drop-answer'

/** A TCP proxy before a server, that drops connections when told. */
export interface FaultyProxy {
  readonly port: number
  /** Watches for the `nth` message from now on that contains `text` (of all connections together), and does `fault` to its connection. */
  onText(text: string, nth: number, fault: Fault): void
  /** Drops all connections. */
  drop(): void
  /** Faults done. */
  readonly faults: number
  close(): Promise<void>
}

interface Watch {
  readonly text: string
  left: number
  readonly fault: Fault
}

/** Starts a proxy on a free port of 127.0.0.1. */
export async function startProxy(to: { readonly host: string; readonly port: number }): Promise<FaultyProxy> {
  const pairs = new Set<readonly [Socket, Socket]>()
  const state: { watches: Watch[]; faults: number } = { watches: [], faults: 0 }
  const server = createServer((client) => {
    const upstream = connect(to.port, to.host)
    const pair = [client, upstream] as const
    pairs.add(pair)
    for (const socket of pair) {
      socket.setNoDelay(true)
      socket.on('error', () => {})
    }
    client.on('close', () => {
      pairs.delete(pair)
      upstream.end()
    })
    upstream.on('close', () => client.destroy())
    upstream.on('data', (chunk) => client.write(chunk))
    client.on('data', (chunk) => {
      const fault = matching(state, chunk)
      if (fault !== 'drop-before') upstream.write(chunk)
      if (fault !== null) inflict(fault, client, upstream)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
  return {
    port: address.port,
    onText: (text, nth, fault) => void state.watches.push({ text, left: nth, fault }),
    drop: () => {
      for (const sockets of pairs) for (const socket of sockets) socket.destroy()
    },
    get faults() {
      return state.faults
    },
    close: async () => {
      for (const sockets of pairs) for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** The fault that this chunk of a client calls for. Statements as short as those of a batch's beginning and end come in one chunk. */
function matching(state: { watches: Watch[]; faults: number }, chunk: Buffer): Fault | null {
  for (const watch of state.watches) {
    if (!chunk.includes(watch.text) || --watch.left > 0) continue
    state.watches = state.watches.filter((other) => other !== watch)
    state.faults++
    return watch.fault
  }
  return null
}

function inflict(fault: Fault, client: Socket, upstream: Socket): void {
  if (fault === 'drop-before') upstream.destroy()
  if (fault === 'drop-answer') {
    upstream.removeAllListeners('data')
    upstream.once('data', () => client.destroy())
    return
  }
  // Half closed: what was written still arrives, and the server ends when it looks for more.
  if (fault === 'drop-after') upstream.end()
  client.destroy()
}
