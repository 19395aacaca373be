import { request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { beforeAll, expect, test } from 'vitest'
import { outside, useWorld } from './server-world.ts'

const world = useWorld()
beforeAll(async () => {
  await world.app.listen({ port: 0, host: '127.0.0.1' })
})

/** Asks with the path as it stands: clients tidy paths up before they send them. */
function raw(path: string, accept = '*/*'): Promise<{ readonly status: number; readonly text: string; readonly type: string }> {
  const { port } = world.app.server.address() as AddressInfo
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, headers: { accept } }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part) => {
        text += part
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text, type: String(response.headers['content-type']) }))
    })
    sent.on('error', reject).end()
  })
}

test('the console and its parts are there.', async () => {
  expect(await raw('/', 'text/html')).toMatchObject({ status: 200, type: 'text/html; charset=utf-8' })
  expect(await raw('/assets/index-0f1e2d3c.js')).toMatchObject({ status: 200, text: 'console.log("keyturn")' })
})

const ways = [
  '/../outside.json',
  '/assets/../../outside.json',
  '/assets/..%2f..%2foutside.json',
  '/assets/%2e%2e/%2e%2e/outside.json',
  '/%2e%2e%2foutside.json',
  '/..%5coutside.json',
  '/..\\outside.json',
  '/assets/....//....//outside.json',
  '/assets/..;/..;/outside.json',
  '/%252e%252e%252foutside.json',
  '/assets/%c0%ae%c0%ae/%c0%ae%c0%ae/outside.json',
  '/assets/index-0f1e2d3c.js/../../../outside.json',
  '/assets/index-0f1e2d3c.js%00.json',
  '/outside.json%00.html',
  '//outside.json',
  '///etc/passwd',
  '/etc/passwd',
  '/%2fetc%2fpasswd',
  '/file:///etc/passwd',
  '/assets/link.json',
  '/.env',
  '/%2eenv',
  '/assets/',
  '/assets',
  '/index.html/../.env',
  '/package.json',
  '/constructor',
  '/__proto__',
]
test.each(ways)('nothing outside of the console is sent for %s', async (way) => {
  for (const accept of ['*/*', 'text/html']) {
    const { status, text } = await raw(way, accept)
    expect(text).not.toContain(outside)
    expect(text).not.toMatch(/root:|"dependencies"|native code/)
    // A person who goes there gets the page, which is the same for all.
    if (accept === '*/*') expect([way, [400, 404].includes(status)]).toEqual([way, true])
    else if (status === 200) expect(text).toMatch(/^<!doctype html>/)
  }
})
