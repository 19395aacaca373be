import { expect, test } from 'vitest'
import { useServer } from './world.ts'

const world = useServer(20)

/** As a server leaves it that works at it, or that has died at it. */
async function left(id: string, kind: string, aliveSeconds: number): Promise<void> {
  await world.database.pool.query(
    `INSERT INTO keyturn.operation (id, kind, keyring, actor, state, started_at, alive_until)
     VALUES ($1, $2, 'app', 'user:ada', 'running', now() - interval '1 minute', now() + $3::float8 * interval '1 second')`,
    [id, kind, aliveSeconds],
  )
}

test('What another server works at is not begun a second time, and every server knows of it.', async () => {
  await left('elsewhere', 'verify', 20)
  await left('counting', 'census', 20)
  expect((await world.api.get('/v1/operations/elsewhere')).body).toMatchObject({
    kind: 'verify',
    state: 'running',
    endedAt: null,
    problem: null,
  })
  expect(await world.api.post('/v1/verify', { keyring: 'app' })).toMatchObject({ status: 409 })
  expect(await world.api.post('/v1/census', { keyring: 'app' })).toMatchObject({
    status: 202,
    body: { censuses: [{ running: true, at: null }] },
  })
  expect((await world.database.pool.query('SELECT id FROM keyturn.operation')).rows).toHaveLength(2)
})

test('What a server was at when it died says that it was interrupted, and can be begun again.', async () => {
  await left('dead', 'verify', -1)
  expect((await world.api.get('/v1/operations/dead')).body).toMatchObject({
    state: 'failed',
    endedAt: expect.any(String),
    problem: { code: 'ERR_INTERRUPTED' },
  })
  const again = await world.api.post('/v1/verify', { keyring: 'app' })
  expect(again.status).toBe(202)
  const done = await world.api.until(again.headers.get('location') ?? '', ({ state }) => state !== 'running')
  expect(done).toMatchObject({ state: 'done', keyring: 'app', result: { total: 30, current: 30 } })
})

test('What fails says why, by the code of its error.', async () => {
  await world.database.pool.query('ALTER TABLE tokens RENAME TO elsewhere')
  const { headers } = await world.api.post('/v1/census', { keyring: 'app' })
  expect(headers.get('location')).toBe('/v1/census?keyring=app')
  await world.api.until('/v1/census?keyring=app', (body) => !body.censuses[0].running)
  const { rows } = await world.database.pool.query('SELECT id FROM keyturn.operation')
  expect((await world.api.get(`/v1/operations/${rows[0].id}`)).body).toMatchObject({
    state: 'failed',
    problem: { code: 'ERR_UNKNOWN_TABLE' },
  })
  await world.database.pool.query('ALTER TABLE elsewhere RENAME TO tokens')
})
