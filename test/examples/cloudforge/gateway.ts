import { createServer, request as send } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What stands between the application and a provider, in a network of the company's: it lets through what it knows. */
export interface Gateway {
  readonly url: string
  /** What is refused from now on, by the authorization that is sent; null refuses nothing. */
  refuses: ((authorization: string) => boolean) | null
  close(): Promise<void>
}

export async function startGateway(origin: string): Promise<Gateway> {
  const server = createServer((request, response) => {
    const { method, headers } = request
    if (gateway.refuses?.(headers.authorization ?? '')) {
      response.writeHead(401, { 'content-type': 'application/json' }).end('{"error":{"message":"Incorrect API key provided"}}')
      return
    }
    const onward = send(origin + request.url, { method, headers, agent: false }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    onward.once('error', () => response.destroy())
    request.pipe(onward)
  })
  // A connection that we close while it is idle can meet the next request of the application, which would call that a failure.
  server.keepAliveTimeout = 0
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const gateway: Gateway = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    refuses: null,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return gateway
}
