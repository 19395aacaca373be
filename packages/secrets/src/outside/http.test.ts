import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, expect, test } from 'vitest'
import { kindOf, waitOf } from './failure.ts'
import { ask, type Request } from './http.ts'

let answer = (response: ServerResponse): void => void response.end()
const server = createServer((_, response) => answer(response)).listen(0, '127.0.0.1')
await once(server, 'listening')
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
afterAll(() => {
  server.close()
  server.closeAllConnections()
})

const failing = (more: Partial<Request> = {}) =>
  ask({ where: 'it', url, signal: AbortSignal.timeout(60_000), ...more }).then(
    () => null,
    (error: Error) => error,
  )
const answered = async (status: number, headers: Record<string, string> = {}, method: 'GET' | 'POST' = 'POST') => {
  answer = (response) => void response.writeHead(status, headers).end('<html>s3cret</html>')
  return await failing({ method })
}

test.each([
  // A proxy says so, too, when the connection to the server broke after it was asked.
  ['POST', 503, {}, 'uncertain'],
  ['POST', 503, { 'retry-after': '2' }, 'busy'],
  ['GET', 503, {}, 'busy'],
  ['POST', 429, {}, 'busy'],
  ['POST', 408, {}, 'uncertain'],
  ['POST', 425, {}, 'busy'],
  // "Done: look there."
  ['POST', 303, { location: 'https://another.test/' }, 'uncertain'],
  ['POST', 302, { location: 'https://another.test/' }, 'refused'],
  ['POST', 502, {}, 'uncertain'],
  ['POST', 400, {}, 'refused'],
] as const)('%s answered with %i %o is %s, and its body in no message.', async (method, status, headers, kind) => {
  const error = await answered(status, headers, method)
  expect([kindOf(error), String(error)]).toEqual([kind, expect.not.stringContaining('s3cret')])
})

test.each([
  ['2', 2_000],
  ['0', 0],
  ['86400', 3_600_000],
  ['Sun, 22 Nov 2026 02:00:30 GMT', 30_000],
  ['Sun, 22 Nov 2026 01:00:00 GMT', 0],
  ['', undefined],
  ['soon', undefined],
  ['-1', undefined],
])('Retry-After "%s" is %s ms by the clock of who answers.', async (text, ms) => {
  const error = await answered(429, { 'retry-after': text, date: 'Sun, 22 Nov 2026 02:00:00 GMT' })
  expect(waitOf(error)).toBe(ms)
})

test('a body that never ends is not read to its end.', async () => {
  const chunk = Buffer.alloc(1 << 20, 'x')
  let sent = 0
  answer = (response) => {
    const more = () => {
      while (!response.destroyed && sent < 1 << 28) {
        sent += chunk.length
        if (!response.write(chunk)) return void response.once('drain', more)
      }
    }
    more()
  }
  const error = await failing()
  expect([kindOf(error), String(error)]).toEqual(['uncertain', expect.stringContaining('longer')])
  expect(sent).toBeLessThan(1 << 27)
})

test('a text in several pieces and bytes is put together.', async () => {
  const bytes = Buffer.from('{"text":"größer"}')
  answer = (response) => {
    response.write(bytes.subarray(0, 12))
    setImmediate(() => response.end(bytes.subarray(12)))
  }
  expect((await ask({ where: 'it', url, signal: AbortSignal.timeout(60_000) })).body).toEqual({ text: 'größer' })
})
