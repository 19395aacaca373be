import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** Another system, which connectors call: it knows the keys that it has issued, and keeps what it was sent. */
export interface CalledSystem {
  readonly url: string
  issue(): string
  /** What it has received, with the headers that came with it. */
  readonly received: { readonly headers: NodeJS.Dict<string | string[]>; readonly body: string }[]
  close(): Promise<void>
}

export async function startCalledSystem(): Promise<CalledSystem> {
  const issued = new Set<string>()
  const received: CalledSystem['received'] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const known = issued.has(request.headers.authorization?.replace('Bearer ', '') ?? '')
    if (known) received.push({ headers: request.headers, body })
    response.writeHead(known ? 200 : 401, { Connection: 'close' }).end(known ? 'accepted' : 'refused')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    issue: () => {
      const key = `marked-${randomBytes(12).toString('hex')}`
      issued.add(key)
      return key
    },
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
