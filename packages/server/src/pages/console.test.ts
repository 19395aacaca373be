import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fastify, { type FastifyInstance } from 'fastify'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { readConsole } from './console.ts'
import { mountConsole } from './mount.ts'

const folder = mkdtempSync(join(tmpdir(), 'keyturn-console-'))
let app: FastifyInstance

beforeAll(() => {
  mkdirSync(join(folder, 'dist', 'assets'), { recursive: true })
  writeFileSync(join(folder, 'outside.js'), 'not for anybody')
  writeFileSync(join(folder, 'dist', '.env'), 'SECRET=1')
  writeFileSync(join(folder, 'dist', 'index.html'), '<html><head><base href="/" /></head></html>')
  writeFileSync(join(folder, 'dist', 'assets', 'index-3fa2b1c9.js'), 'let page')
  writeFileSync(join(folder, 'dist', 'assets', 'theme.js'), 'let theme')
})
afterEach(() => app.close())
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function served(prefix = '') {
  const files = await readConsole(join(folder, 'dist'), prefix)
  app = fastify()
  await app.register(async (routes) => mountConsole(routes, files, prefix), { prefix })
  return (url: string, accept = '*/*') => app.inject({ url, headers: { accept } })
}

test('The page is answered to whoever goes to an address of the console, and knows where it stands.', async () => {
  const get = await served('/admin/keys')
  for (const url of ['/admin/keys', '/admin/keys/', '/admin/keys/rotations/12', '/admin/keys/setup']) {
    const { statusCode, body, headers } = await get(url, 'text/html,*/*')
    expect({ url, statusCode, base: /<base href="([^"]*)">/.exec(body)?.[1] }).toEqual({ url, statusCode: 200, base: '/admin/keys/' })
    expect(headers['cache-control']).toBe('no-cache')
  }
})

test('Files are kept for good where their name changes with them, and have their type.', async () => {
  const get = await served()
  expect((await get('/assets/index-3fa2b1c9.js')).headers).toMatchObject({
    'content-type': 'text/javascript; charset=utf-8',
    'cache-control': 'public, max-age=31536000, immutable',
  })
  expect((await get('/assets/theme.js')).headers['cache-control']).toBe('no-cache')
})

test.each([
  '/../outside.js',
  '/assets/../../outside.js',
  '/%2e%2e/outside.js',
  '/..%2foutside.js',
  '/assets/..%5c..%5coutside.js',
  '//outside.js',
  '/.env',
  '/assets/none.js',
  '/assets/',
  '/index.html%00',
])('%s is not there.', async (url) => {
  const get = await served()
  const { statusCode, body } = await get(url)
  expect(statusCode).toBe(404)
  expect(body).not.toContain('not for anybody')
  expect((await get('/assets/none.js', 'text/html')).statusCode).toBe(404)
})
