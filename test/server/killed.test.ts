import { afterEach, expect, test } from 'vitest'
import { pgState } from '../../packages/core/src/databases/postgres.ts'
import { claimRotation } from '../../packages/server/src/state/claims.ts'
import { type Child, startChild } from '../harness/child.ts'
import type { Manner } from './serving-child.ts'
import { type Api, apiAt, useServer } from './world.ts'

const world = useServer(600)
const children: Child[] = []
afterEach(async () => {
  for (const child of children.splice(0)) await child.kill()
})

async function start(manner: Manner): Promise<{ child: Child; api: Api }> {
  const child = startChild('test/server/serving-child.ts', [manner], { env: { DATABASE_URL: world.database.url } })
  children.push(child)
  await child.printed('!')
  return { child, api: apiAt(/listening at (\S+)!/.exec(child.stdout)?.[1] ?? '') }
}

test('A server that is killed in the middle of a rotation: another takes over when the lease is over, and no value is lost.', async () => {
  const { child, api } = await start('asked')
  const { id } = (await api.post('/v1/rotations', { keyring: 'app' })).body
  await api.until(`/v1/rotations/${id}`, ({ rotated }) => rotated > 0)
  await child.kill()
  const before = await world.keyturn.rotations.get(id)
  expect(before.state).toBe('running')
  expect(before.rotated).toBeLessThan(900)
  // The server of the test has served all the while, and did not begin this one.
  const done = await world.api.until(`/v1/rotations/${id}`, ({ state }) => state === 'completed')
  expect(done).toMatchObject({ rotated: 900, startedBy: 'user:admin' })
  expect(await world.keyturn.verify({ keyring: 'app' })).toMatchObject({ total: 900, current: 900, failedCount: 0 })
  expect(await world.keyturn.audit.verify()).toMatchObject({ intact: true })
})

test('A server that is asked to end finishes its batch and ends; a rotation that it ran goes on elsewhere.', async () => {
  const { child, api } = await start('asked')
  const { id } = (await api.post('/v1/rotations', { keyring: 'app' })).body
  await api.until(`/v1/rotations/${id}`, ({ rotated }) => rotated > 0)
  const { code } = await child.kill('SIGTERM')
  expect(code).toBe(0)
  expect(child.stdout).toContain('closed')
  const done = await world.api.until(`/v1/rotations/${id}`, ({ state }) => state === 'completed')
  expect(done.rotated).toBe(900)
})

test('Two servers and one keyring that is due: each key is replaced once, by one of them.', async () => {
  const [{ api }] = (await Promise.all([start('automatic'), start('automatic')])) as [{ api: Api }, unknown]
  const { items } = await api.until('/v1/rotations', (body) => body.items.some(({ state }: { state: string }) => state === 'completed'))
  expect(items.at(-1)).toMatchObject({ state: 'completed', startedBy: 'server:policy' })
  // A key is claimed before it is replaced: in one look there are never more rotations than claims.
  const { rows } = await world.database.pool.query(
    `SELECT (SELECT count(*)::int FROM keyturn.automatic_rotation) AS claims,
       (SELECT count(*)::int FROM keyturn.audit_event WHERE action = 'version.create' AND actor = 'server:policy') AS made`,
  )
  expect(rows[0].made).toBeGreaterThan(0)
  expect(rows[0].made).toBeLessThanOrEqual(rows[0].claims)
})

test('Of several servers that find a keyring due one may rotate it, and for each key anew.', async () => {
  const state = pgState(world.database.pool)
  const claims = await Promise.all(Array.from({ length: 5 }, () => claimRotation(state, 'app', 'aaaaaaaa')))
  expect(claims.filter((claimed) => claimed)).toHaveLength(1)
  expect(await claimRotation(state, 'app', 'aaaaaaaa')).toBe(false)
  expect(await claimRotation(state, 'app', 'bbbbbbbb')).toBe(true)
  // One that came to nothing is tried again later.
  await world.database.pool.query(`UPDATE keyturn.automatic_rotation SET at = at - interval '2 hours'`)
  expect(await claimRotation(state, 'app', 'aaaaaaaa')).toBe(true)
})
