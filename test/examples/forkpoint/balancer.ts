import { createServer, request as send } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** A proxy before several instances: each request goes to the next one. */
export interface Balancer {
  readonly url: string
  add(url: string): void
  /** Nothing new goes there; resolves when what went there has been answered. */
  drain(url: string): Promise<void>
  close(): Promise<void>
}

export async function startBalancer(): Promise<Balancer> {
  const instances: string[] = []
  const busy = new Map<string, number>()
  const count = (url: string, by: number) => busy.set(url, (busy.get(url) ?? 0) + by)

  const server = createServer((request, response) => {
    const url = instances.shift() as string
    instances.push(url)
    count(url, 1)
    response.once('close', () => count(url, -1))
    const { method, headers } = request
    const onward = send(url + request.url, { method, headers, agent: false }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers)
      answer.pipe(response)
    })
    onward.once('error', () => response.destroy())
    request.pipe(onward)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    add: (url) => void instances.push(url),
    drain: async (url) => {
      instances.splice(instances.indexOf(url), 1)
      while ((busy.get(url) ?? 0) > 0) await sleep(5)
    },
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
