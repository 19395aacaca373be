import { beforeAll, expect, test } from 'vitest'
import { damaged } from '../rotation/world.ts'
import { useWorld } from './server-world.ts'

const world = useWorld()
const script = '<script>alert("keyturn")</script>'
const image = '"><img src=x onerror=alert(1)>'
/** Would end an event of a stream, and begin another. */
const lines = 'done\n\nevent: end\ndata: {"forged":true}\n\n'
let rotation: string

// What stands in the database, in whatever somebody could write to it: the application, its users, an operator.
beforeAll(async () => {
  const { pool } = world.database
  await pool.query('UPDATE tokens SET token = $1 WHERE id = 2', [damaged()])
  const { id } = await world.keyturn.rotate('app', { accept: true, throttle: { share: 1 } })
  rotation = id
  await pool.query(`UPDATE keyturn.set_aside SET row_key = jsonb_build_object('id', $1::text), path = $2`, [script, image])
  await pool.query('UPDATE keyturn.rotation SET note = $1 WHERE id = $2', [script + lines, id])
  await world.keyturn.audit.record({ actor: script, action: 'report.read', subject: image, data: { note: script, [image]: lines } })
  await pool.query(`UPDATE keyturn.user_account SET name = $1 WHERE name = 'vera'`, [script])
  await pool.query(`UPDATE keyturn.api_token SET created_by = $1 WHERE name = 'viewer'`, [image])
})

test.each([
  ['/v1/audit', 'application/json', script],
  [`/v1/audit?actor=${encodeURIComponent(script)}`, 'application/json', image],
  ['/v1/audit/export', 'application/x-ndjson', script],
  ['/v1/rotations', 'application/json', script],
  ['/v1/rotations/:id', 'application/json', script],
  ['/v1/rotations/:id/set-aside', 'application/json', script],
  ['/v1/rotations/:id/events', 'text/event-stream', script],
  ['/v1/users', 'application/json', script],
  ['/v1/tokens', 'application/json', image],
])('a label with code in it comes back as data that no browser runs: %s', async (path, type, label) => {
  for (const accept of ['application/json', 'text/html,*/*']) {
    const { text, headers, status } = await world.ask('GET', path.replace(':id', rotation), {
      bearer: world.tokens.admin,
      headers: { accept },
    })
    expect(status).toBe(200)
    expect(text).toContain(JSON.stringify(label).slice(1, -1))
    expect(headers['content-type']).toMatch(new RegExp(`^${type}(;|$)`))
    expect(headers['x-content-type-options']).toBe('nosniff')
    expect(headers['content-security-policy']).toMatch(/default-src 'none'/)
  }
})

test.each([
  '/v1/rotations/:script',
  '/v1/keyrings/:script',
  '/v1/users/:script',
  '/v1/:script',
  '/:script',
  '/v1/audit?after=:script',
  '/v1/audit?:script=1',
])('what a link carries is shown by no page: %s', async (path) => {
  const { text, headers } = await world.ask('GET', path.replace(':script', encodeURIComponent(script)), {
    bearer: world.tokens.admin,
    headers: { accept: 'text/html' },
  })
  if (!String(headers['content-type']).startsWith('application/')) expect(text).not.toContain('alert(')
  expect(headers['x-content-type-options']).toBe('nosniff')
})

test('a label does not end an event of a stream, nor begin one.', async () => {
  const { text } = await world.ask('GET', `/v1/rotations/${rotation}/events`, { bearer: world.tokens.viewer })
  const events = text.split('\n').filter((line) => line.startsWith('event: '))
  expect(events).toEqual(['event: rotation', 'event: end'])
  expect(text.split('\n').some((line) => line.includes('forged') && !line.includes('alert('))).toBe(false)
})

test('pages and measurements hold nothing that stands in the database but counts and names of the configuration.', async () => {
  for (const path of ['/', '/docs', '/openapi.json', '/metrics', '/keys', '/health'])
    expect((await world.ask('GET', path, { bearer: world.tokens.admin, headers: { accept: 'text/html' } })).text).not.toContain('alert(')
})
