import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { useWorld } from './server-world.ts'

const world = useWorld()

/** Watches a rotation. `ended` once the server has ended the stream. */
async function watch(id: string, headers: Record<string, string>): Promise<{ ended: boolean; status: number }> {
  const { port } = world.app.server.address() as AddressInfo
  const response = await fetch(`http://127.0.0.1:${port}/v1/rotations/${id}/events`, { headers })
  const watching = { ended: false, status: response.status }
  void (async () => {
    for await (const _ of response.body ?? []);
    watching.ended = true
  })().catch(() => {})
  return watching
}

test('who may not look any more is shown nothing more: a stream ends with its session, and with its token.', async () => {
  await world.app.listen({ port: 0, host: '127.0.0.1' })
  const { id } = await world.keyturn.rotate('app', { accept: true, throttle: { share: 1 } })
  // One that nothing happens to, so that its streams stay open.
  await world.database.pool.query("UPDATE keyturn.rotation SET state = 'paused', ended_at = NULL WHERE id = $1", [id])
  const { pool } = world.database
  const cookies = await world.signIn('viewer')
  const byCookie = await watch(id, { cookie: `keyturn=${cookies.keyturn}` })
  const revoked = await watch(id, { authorization: `Bearer ${world.tokens.viewer}` })
  const staying = await watch(id, { authorization: `Bearer ${world.tokens.operator}` })
  expect([byCookie.status, revoked.status, staying.status]).toEqual([200, 200, 200])
  expect((await world.ask('DELETE', '/v1/session', { cookies })).status).toBe(204)
  const { rows } = await pool.query("SELECT id FROM keyturn.api_token WHERE name = 'viewer'")
  expect((await world.ask('DELETE', `/v1/tokens/${rows[0].id}`, { bearer: world.tokens.admin })).status).toBe(204)
  await expect.poll(() => [byCookie.ended, revoked.ended], { timeout: 120_000, interval: 250 }).toEqual([true, true])
  expect(staying.ended).toBe(false)
})
