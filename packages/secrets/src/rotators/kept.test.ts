import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callOf, worldOf } from '../../../../test/harness/parts.ts'
import kept, { options } from './kept.ts'

/** A feed that knows one key. */
const feed = createServer((request, response) => {
  const status =
    request.url === '/down' ? 503 : request.headers['x-apikey'] === 'the-key' && request.headers['x-org'] === 'forge' ? 200 : 401
  response.writeHead(status, { connection: 'close' }).end(`not for messages: ${request.headers['x-apikey']}`)
})
beforeAll(() => new Promise<void>((resolve) => feed.listen(0, '127.0.0.1', resolve)))
afterAll(() => new Promise((resolve) => feed.close(resolve)))
const at = (path: string) => `http://127.0.0.1:${(feed.address() as AddressInfo).port}${path}`
const open = (given: object = {}) => kept(options.parse(given), worldOf({ ORG: 'forge' }))
const request = (path = '/account') => ({ url: at(path), headers: { 'x-apikey': '{value}', 'x-org': { env: 'ORG' } } })
const one = (value: string) => ({ id: null, parts: { value } })

test('it is tried by a request of its own, whose answer is in no sentence.', async () => {
  const rotator = open({ request: request() })
  expect(await rotator.check(callOf(), null)).toEqual([])
  expect(await rotator.verify(callOf(), one('the-key'))).toMatchObject({ works: true })
  const refused = await rotator.verify(callOf(), one('another-key'))
  expect(refused).toMatchObject({ works: false, later: false, sentence: expect.stringContaining('answered 401') })
  expect(JSON.stringify(refused)).not.toContain('another-key')
  // One that is down says nothing of the key.
  await expect(open({ request: request('/down') }).verify(callOf(), one('the-key'))).rejects.toMatchObject({ code: 'ERR_OUTSIDE_BUSY' })
})

test('without a request its form is looked at, and somebody else has to see whether it works.', async () => {
  expect(open()).toMatchObject({ kept: true, issuer: false, overlap: true })
  expect(open({ request: request() }).issuer).toBeUndefined()
  expect(await open().verify(callOf(), one('a-key'))).toMatchObject({ works: true, sentence: expect.stringContaining('nobody was asked') })
  for (const value of ['', 'a\nb']) expect(await open().verify(callOf(), one(value))).toMatchObject({ works: false, later: false })
})

test('Keyturn makes none and ends none; a request that names no part of it is a fault.', async () => {
  await expect(open().create(callOf(), null, null)).rejects.toMatchObject({ code: 'ERR_OUTSIDE_REFUSED' })
  await open().revoke(callOf(), one('the-key'), null)
  const odd = open({ request: { url: at('/account'), headers: { 'x-apikey': '{key}' } } })
  expect(await odd.check(callOf(), null)).toMatchObject([{ severity: 'fault', sentence: expect.stringContaining('"key"') }])
})
