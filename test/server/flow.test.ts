import { expect, test } from 'vitest'
import { useServer } from './world.ts'

const world = useServer(60)

test('The whole flow over HTTP: count, plan, rotate, set aside, certificate, retire, destroy.', async () => {
  const { api, database } = world
  await database.pool.query(`UPDATE tokens SET token = 'aa:bb:cc' WHERE id = 'row 7'`)
  expect((await api.get('/v1/keyrings/app')).body).toMatchObject({
    name: 'app',
    kind: 'stored',
    census: null,
    policy: { periodSeconds: 7_776_000, automatic: false },
  })
  const taken = await api.post('/v1/census', { keyring: 'app' })
  expect({ status: taken.status, location: taken.headers.get('location') }).toEqual({ status: 202, location: '/v1/census?keyring=app' })
  const { censuses } = await api.until('/v1/census?keyring=app', (body) => body.censuses[0].at !== null && !body.censuses[0].running)
  expect(censuses[0].census.fields[0]).toMatchObject({ field: 'tokens.token', total: 60 })
  expect((await api.get('/v1/keyrings/app')).body.census).toMatchObject({ total: 90, current: 89 })

  const plan = (await api.post('/v1/plans', { keyring: 'app' })).body
  expect(plan).toMatchObject({ keyring: 'app', mode: 'online', fields: [{ field: 'tokens.token' }, { field: 'tokens.note' }] })
  const begun = await api.post('/v1/rotations', { keyring: 'app', plan, accept: true })
  expect(begun.status).toBe(202)
  const { id } = begun.body
  expect(begun.headers.get('location')).toBe(`/v1/rotations/${id}`)
  const done = await api.until(`/v1/rotations/${id}`, ({ state, live }) => state === 'completed' && !live)
  expect(done).toMatchObject({ rotated: 89, setAside: 1, startedBy: 'user:admin', hasCertificate: true, endedAt: expect.any(String) })
  expect((await api.get(`/v1/rotations/${id}/set-aside`)).body).toMatchObject({
    total: 1,
    next: null,
    items: [{ field: 'tokens.token', row: { id: 'row 7' }, reason: 'ERR_DECRYPT', what: 'the value does not open' }],
  })
  const certificate = (await api.get(`/v1/rotations/${id}/certificate`)).body
  expect(certificate.claim).toMatchObject({ kind: 'rotation', rotation: id })
  expect((await api.get('/v1/rotations?state=completed')).body.items).toHaveLength(1)

  // What stands under the keys now is counted without being asked for.
  await api.until('/v1/keyrings/app', (body) => body.census.at > done.endedAt && body.census.current === 89)
  const versions = (await api.get('/v1/keyrings/app')).body.versions as { id: string; state: string }[]
  const old = versions.find(({ state }) => state === 'retiring')?.id
  const retiring = await api.post(`/v1/keyrings/app/versions/${old}/retire`)
  expect(retiring.status).toBe(202)
  const operation = await api.until(retiring.headers.get('location') ?? '', ({ state }) => state !== 'running')
  expect(operation).toMatchObject({ kind: 'retire', state: 'done', problem: null, result: { retirements: [{ versionId: old }] } })

  const early = await api.post(`/v1/keyrings/app/versions/${old}/destroy`, { confirm: 'ap', now: true })
  expect(early).toMatchObject({ status: 400, body: { code: 'ERR_INPUT', field: '/confirm' } })
  const destroyed = await api.post(`/v1/keyrings/app/versions/${old}/destroy`, { confirm: 'app', now: true })
  expect({
    status: destroyed.status,
    state: destroyed.body.versions?.find((version: { id: string }) => version.id === old)?.state,
  }).toEqual({
    status: 200,
    state: 'destroyed',
  })
  expect((await api.get('/v1/audit?action=version.destroy')).body.items).toMatchObject([{ actor: 'user:admin', subject: 'keyring/app' }])
  expect((await api.get('/v1/audit/verify')).body).toMatchObject({ intact: true })
  const subjects = (await api.get('/v1/certificates')).body.items.map(({ subject }: { subject: string }) => subject)
  expect(subjects).toContain(`rotation/${id}`)
  expect(subjects.some((subject: string) => subject.startsWith('retirement/') && subject.endsWith(`/${old}`))).toBe(true)
})
