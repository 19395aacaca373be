import { describe, expect, test } from 'vitest'
import type { Asked } from './server-people.ts'
import { useWorld, type World } from './server-world.ts'

const page = { headers: { accept: 'text/html' } }

/** Every kind of answer: the page, its parts, the documentation, data, streams, problems of each sort. */
const answers = (bearer: string): [string, string, Asked][] => [
  ['GET', '/', page],
  ['GET', '/keys', page],
  ['GET', '/setup', page],
  ['GET', '/assets/index-0f1e2d3c.js', {}],
  ['GET', '/assets/none.js', {}],
  ['GET', '/admin/encryption', page],
  ['GET', '/docs', { bearer }],
  ['GET', '/docs.css', { bearer }],
  ['GET', '/openapi.json', { bearer }],
  ['GET', '/metrics', { bearer }],
  ['GET', '/health', {}],
  ['GET', '/v1/session', {}],
  ['GET', '/v1/keyrings', { bearer }],
  ['GET', '/v1/keyrings/none', { bearer }],
  ['GET', '/v1/audit/export', { bearer }],
  ['GET', '/v1/keyrings', {}],
  ['POST', '/v1/rotations', { bearer, body: { wrong: 1 } }],
  ['GET', '/v1/admin/encryption', { bearer }],
  ['GET', '/v1/admin/encryption', {}],
  ['DELETE', '/v1/none', { bearer }],
]

function keepsOutOfFrames(world: World): void {
  test('no answer can be put into a frame, be taken for another kind of content, or say where its reader comes from.', async () => {
    for (const [method, path, asked] of answers(world.tokens.admin)) {
      const { headers, status } = await world.ask(method, path, asked)
      expect([path, status < 500]).toEqual([path, true])
      expect([path, headers]).toEqual([
        path,
        expect.objectContaining({
          'x-frame-options': 'DENY',
          'x-content-type-options': 'nosniff',
          'referrer-policy': 'no-referrer',
          'cross-origin-opener-policy': 'same-origin',
          'cross-origin-resource-policy': 'same-origin',
          'content-security-policy': expect.stringMatching(/(^|;)\s*frame-ancestors 'none'/),
        }),
      ])
    }
  })

  test('pages run and show nothing but what comes from here: no inline code, no other host.', async () => {
    for (const [method, path, asked] of answers(world.tokens.admin)) {
      const policy = String((await world.ask(method, path, asked)).headers['content-security-policy'])
      const directives = Object.fromEntries(
        policy.split(';').map((directive) => [directive.trim().split(' ')[0], directive.trim().split(' ').slice(1)]),
      )
      expect(directives).toMatchObject({
        'default-src': ["'none'"],
        'script-src': ["'self'"],
        'style-src': ["'self'"],
        'connect-src': ["'self'"],
      })
      expect(directives).toMatchObject({ 'form-action': ["'self'"], 'base-uri': ["'self'"], 'object-src': ["'none'"] })
      expect(policy).not.toMatch(/unsafe|https?:|\*|blob:/)
    }
  })

  test('the documentation has no code, and its style is a file.', async () => {
    const { text } = await world.ask('GET', '/docs', { bearer: world.tokens.viewer })
    expect(text).toContain('<details>')
    expect(text).not.toMatch(/<script|<style|\sstyle=|\son\w+=|https?:\/\//i)
  })

  test('what says who somebody is or what they see is kept by no cache.', async () => {
    for (const [method, path, asked] of answers(world.tokens.admin)) {
      if (!/^\/(v1|docs$|openapi|metrics|health)/.test(path)) continue
      expect([path, (await world.ask(method, path, asked)).headers['cache-control']]).toEqual([path, expect.stringMatching(/no-store/)])
    }
  })
}

describe('as a server of its own', () => keepsOutOfFrames(useWorld()))
describe('mounted in an application', () => keepsOutOfFrames(useWorld({ prefix: '/internal/keys' })))
