import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { open } from '../../packages/core/src/open.ts'
import { serve } from '../../packages/server/src/index.ts'
import { config, environment, refill } from '../evidence/world.ts'
import { createDatabase } from '../harness/postgres.ts'

let served: Awaited<ReturnType<typeof serve>>
let end: () => Promise<void>
beforeAll(async () => {
  const database = await createDatabase()
  await refill(database.pool, 1)
  const keyturn = await open(config, { pool: database.pool, env: environment, warn: () => {} })
  served = await serve({ keyturn, pool: database.pool, port: 0, host: '127.0.0.1', console: null, logLevel: 'silent', onSetup: () => {} })
  end = async () => {
    await served.close()
    await keyturn.close()
    await database.drop()
  }
})
afterAll(() => end())

/** A client that sends so much and then nothing more. `ended` once the server has had enough of it. */
function stalling(sent: string): { readonly socket: Socket; ended: boolean; received: string } {
  const { port, hostname } = new URL(served.url)
  const client = { socket: connect(Number(port), hostname), ended: false, received: '' }
  client.socket.write(sent)
  client.socket.on('data', (data) => {
    client.received += data.toString()
  })
  client.socket.on('close', () => {
    client.ended = true
  })
  client.socket.on('error', () => {})
  return client
}

test('clients that send slowly, or nothing, are let go, and nobody waits for them.', async () => {
  const clients = [
    '',
    'GET /health HT',
    'GET /health HTTP/1.1\r\nhost: x\r\n',
    'GET /health HTTP/1.1\r\nhost: x\r\nx-',
    'POST /v1/session HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"na',
    'POST /v1/session HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{"na',
  ].flatMap((sent) => Array.from({ length: 25 }, () => stalling(sent)))
  // Some go on, a byte now and then: what counts is the whole.
  const dripping = setInterval(() => {
    for (const { socket, ended } of clients.slice(60, 80)) if (!ended) socket.write('y')
  }, 1_000)
  try {
    expect((await fetch(`${served.url}/health`)).status).toBe(200)
    await expect.poll(() => clients.filter(({ ended }) => !ended).length, { timeout: 240_000, interval: 500 }).toBe(0)
    expect(clients.every(({ received }) => received === '' || /^HTTP\/1\.1 (408|400) /.test(received))).toBe(true)
    expect((await fetch(`${served.url}/health`)).status).toBe(200)
  } finally {
    clearInterval(dripping)
    for (const { socket } of clients) socket.destroy()
  }
})

test('every wait for a client has an end.', () => {
  const { headersTimeout, requestTimeout, keepAliveTimeout } = served.app.server
  for (const timeout of [headersTimeout, requestTimeout, keepAliveTimeout]) {
    expect(timeout).toBeGreaterThan(0)
    expect(timeout).toBeLessThanOrEqual(60_000)
  }
})
