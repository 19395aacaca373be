import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import { beforeAll, expect, test } from 'vitest'
import { useWorld } from './server-world.ts'

const world = useWorld()
beforeAll(async () => {
  await world.app.listen({ port: 0, host: '127.0.0.1' })
})

/** Sends bytes as they stand, and gives what came back until the server closed, or all that was asked for was answered. */
function send(...parts: readonly string[]): Promise<string> {
  const { port } = world.app.server.address() as AddressInfo
  return new Promise((resolve, reject) => {
    let received = ''
    const socket = connect(port, '127.0.0.1', () => {
      for (const part of parts) socket.write(part)
    })
    socket.setEncoding('utf8').on('data', (text) => {
      received += text
      if (/^HTTP\/1\.1 [\s\S]*\r\n\r\n/.test(received)) socket.end()
    })
    // What the server does not want to read it does not wait for.
    socket.on('error', (error) => (received === '' ? reject(error) : resolve(received)))
    socket.on('close', () => resolve(received))
  })
}
const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1])
const megabytes = (count: number) => 'x'.repeat(count * 2 ** 20)
const isUp = async () => expect((await world.ask('GET', '/health')).status).toBe(200)

test.each(['/v1/plans', '/v1/rotations', '/v1/users', '/v1/tokens', '/v1/census', '/v1/verify', '/v1/root/rewrap'])(
  'a body of two megabytes is refused with a problem document: %s.',
  async (path) => {
    const { status, body } = await world.ask('POST', path, { bearer: world.tokens.admin, body: { keyring: megabytes(2) } })
    expect(body).toMatchObject({ status: 413, title: 'Content Too Large', code: 'ERR_INPUT' })
    expect(status).toBe(413)
  },
)

test.each(['/v1/session', '/v1/setup'])('what anybody can send is small: %s.', async (path) => {
  const { status } = await world.ask('POST', path, { body: { name: megabytes(2), password: 'x', token: 'x' } })
  expect(status).toBe(413)
})

test('the body of somebody unknown is not read, however much is announced.', async () => {
  const head = [
    'POST /v1/rotations HTTP/1.1',
    'host: x',
    'content-type: application/json',
    'content-length: 1000000000',
    '',
    '{"keyring":"',
  ]
  expect(statusOf(await send(head.join('\r\n')))).toBe(401)
  await isUp()
})

test('a body that is longer or shorter than it says, or says two lengths, is no second request.', async () => {
  const smuggled = 'GET /v1/users HTTP/1.1\r\nhost: x\r\n\r\n'
  const head = (...more: string[]) =>
    ['POST /v1/session HTTP/1.1', 'host: x', 'content-type: application/json', ...more, '', ''].join('\r\n')
  expect(statusOf(await send(head('content-length: 2', 'transfer-encoding: chunked'), `0\r\n\r\n${smuggled}`))).toBe(400)
  expect(statusOf(await send(head('content-length: 2', 'content-length: 40'), `{}${smuggled}`))).toBe(400)
  expect(statusOf(await send(head('transfer-encoding: xchunked'), `0\r\n\r\n${smuggled}`))).toBe(400)
  await isUp()
})

test('headers and addresses of megabytes are refused.', async () => {
  expect(statusOf(await send('GET /health HTTP/1.1\r\nhost: x\r\n', `cookie: keyturn=${megabytes(1)}\r\n\r\n`))).toBe(431)
  expect(statusOf(await send(`GET /v1/keyrings?after=${megabytes(1)} HTTP/1.1\r\nhost: x\r\n\r\n`))).toBe(431)
  expect((await world.ask('GET', `/v1/keyrings/${'x'.repeat(8_000)}`, { bearer: world.tokens.viewer })).status).toBeLessThan(500)
  await isUp()
})

test('a body that is nested a hundred thousand deep is refused, and nobody falls over it.', async () => {
  const bearer = world.tokens.admin
  const headers = { 'content-type': 'application/json' }
  for (const [opened, closed] of [
    ['[', ']'],
    ['{"a":', '}'],
  ] as const) {
    const body = `{"keyring":${opened.repeat(100_000)}1${closed.repeat(100_000)}}`
    const { status } = await world.ask('POST', '/v1/plans', { bearer, headers, body: body as never })
    expect(status).toBe(400)
  }
  await isUp()
})

test('a body that names the prototype is refused.', async () => {
  const headers = { 'content-type': 'application/json' }
  for (const body of ['{"__proto__":{"role":"admin"},"keyring":"app"}', '{"constructor":{"prototype":{"role":"admin"}},"keyring":"app"}'])
    expect((await world.ask('POST', '/v1/plans', { bearer: world.tokens.operator, headers, body: body as never })).status).toBe(400)
  expect(({} as { role?: unknown }).role).toBe(undefined)
})

test('a list is never longer than 200, whatever is asked for.', async () => {
  for (const limit of ['201', '1e9', '-1', '0', '0x10', 'all', '1.5'])
    for (const path of ['/v1/users', '/v1/audit', '/v1/rotations', '/v1/keyrings', '/v1/tokens']) {
      const { status, body } = await world.ask('GET', `${path}?limit=${limit}`, { bearer: world.tokens.admin })
      if (status === 200) expect((body.items as unknown[]).length).toBeLessThanOrEqual(200)
      else expect([path, limit, status]).toEqual([path, limit, 400])
    }
})
