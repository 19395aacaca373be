import { createServer, request as send } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What stands before the API processes: each request goes to the next one. */
export interface LocalProxy {
  readonly url: string
  add(url: string): void
  /** Nothing new goes there; resolves when what went there has been answered. */
  drain(url: string): Promise<void>
  close(): Promise<void>
}

/** Starts a proxy on this machine. Without processes behind it, it answers 503. */
export async function startProxy(port = 0): Promise<LocalProxy> {
  const upstreams: string[] = []
  const busy = new Map<string, number>()
  const drained = new Map<string, () => void>()
  const count = (url: string, by: number) => {
    const now = (busy.get(url) ?? 0) + by
    busy.set(url, now)
    if (now === 0) drained.get(url)?.()
  }
  const server = createServer((request, response) => {
    const url = upstreams.shift()
    if (url === undefined) return void response.writeHead(503, { connection: 'close' }).end()
    upstreams.push(url)
    count(url, 1)
    response.once('close', () => count(url, -1))
    const { method, headers } = request
    const onward = send(url + request.url, { method, headers, agent: false }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    onward.once('error', () => (response.headersSent ? response.destroy() : response.writeHead(502).end()))
    request.pipe(onward)
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    add: (url) => void upstreams.push(url),
    drain: async (url) => {
      const index = upstreams.indexOf(url)
      if (index >= 0) upstreams.splice(index, 1)
      if ((busy.get(url) ?? 0) > 0) await new Promise<void>((resolve) => drained.set(url, resolve))
      busy.delete(url)
      drained.delete(url)
    },
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
