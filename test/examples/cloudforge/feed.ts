import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A feed of threats that is bought by the year: keys are made on paper, and there is no API for them. */
export interface Feed {
  readonly url: string
  /** Somebody has bought another year. */
  buy(): string
  /** The year is over. */
  end(key: string): void
  close(): Promise<void>
}

export async function startFeed(): Promise<Feed> {
  const keys = new Set<string>()
  const server = createServer((request, response) => {
    response.writeHead(keys.has(String(request.headers['x-api-key'])) ? 200 : 401, { connection: 'close' }).end('{}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    buy: () => {
      const key = `feed-${randomBytes(18).toString('hex')}`
      keys.add(key)
      return key
    },
    end: (key) => void keys.delete(key),
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}
