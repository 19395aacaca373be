import { afterEach, beforeEach, expect, test } from 'vitest'
import { useDatabase } from '../../../test/harness/postgres.ts'
import { storedConfig, storedEnv } from '../../../test/rotation/stored-keyring.ts'
import { actingAs } from './audit/acting.ts'
import type { Keyturn } from './keyturn.ts'
import { open } from './open.ts'

const server = useDatabase()
let keyturn: Keyturn

beforeEach(async () => {
  await server.pool.query(
    'DROP SCHEMA IF EXISTS keyturn CASCADE; DROP TABLE IF EXISTS tokens; CREATE TABLE tokens (id text PRIMARY KEY, token text)',
  )
  keyturn = await open(storedConfig, { pool: server.pool, env: storedEnv, leaseMs: 2_000 })
  const token = keyturn.field('tokens.token')
  for (let id = 1; id <= 40; id++)
    await server.pool.query('INSERT INTO tokens VALUES ($1, $2)', [`row ${id}`, await token.encrypt(`secret ${id}`, { id: `row ${id}` })])
  await server.pool.query(`UPDATE tokens SET token = left(token, -6) || 'AAAAAA' WHERE id IN ('row 1', 'row 2', 'row 3'); ANALYZE tokens`)
})
afterEach(() => keyturn.close())

const all = { share: 1 }
const rotate = () => actingAs('user:ada', () => keyturn.rotate('app', { accept: true, throttle: all }))

test('Rotations are listed newest first, page by page, by keyring and by state, with who began them.', async () => {
  const ids = [(await rotate()).id, (await rotate()).id, (await rotate()).id].reverse()
  const { items, next } = await keyturn.rotations.list({ limit: 2 })
  expect(items.map(({ id }) => id)).toEqual(ids.slice(0, 2))
  const rest = await keyturn.rotations.list({ limit: 2, after: String(next) })
  expect({ ids: rest.items.map(({ id }) => id), next: rest.next }).toEqual({ ids: ids.slice(2), next: null })
  expect(items[0]).toMatchObject({
    keyring: 'app',
    state: 'completed',
    startedBy: 'user:ada',
    live: false,
    setAside: 3,
    rotated: 37,
    rowsTotal: 40,
    rowsDone: 40,
    tables: [{ name: 'public.tokens', rowsTotal: 40, rowsDone: 40 }],
    hasCertificate: false,
  })
  expect((await keyturn.rotations.list({ state: 'paused' })).items).toEqual([])
  expect((await keyturn.rotations.list({ keyring: 'app', state: 'completed' })).items).toHaveLength(3)
  expect((await keyturn.rotations.list({ keyring: 'other' })).items).toEqual([])
  await expect(keyturn.rotations.list({ after: 'made up' })).rejects.toMatchObject({ code: 'ERR_USAGE' })
  await expect(keyturn.rotations.get('none')).rejects.toMatchObject({ code: 'ERR_UNKNOWN_NAME' })
})

test('What a rotation set aside is read in pages, each value once.', async () => {
  const { id } = await rotate()
  const seen: string[] = []
  let after: string | undefined
  do {
    const page = await keyturn.rotations.setAside(id, { limit: 2, ...(after === undefined ? {} : { after }) })
    expect(page.total).toBe(3)
    seen.push(...page.items.map(({ row, reason }) => `${row.id} ${reason}`))
    after = page.next ?? undefined
  } while (after !== undefined)
  expect(seen).toEqual(['row 1 ERR_DECRYPT', 'row 2 ERR_DECRYPT', 'row 3 ERR_DECRYPT'])
  await expect(keyturn.rotations.setAside(id, { after: Buffer.from('["a","b","c"]').toString('base64url') })).rejects.toMatchObject({
    code: 'ERR_USAGE',
  })
})

test('Invariant: a rotation that is handed over is not paused; it stays as it is, and another process goes on with it.', async () => {
  const stop = new AbortController()
  const handed = await keyturn.rotate('app', {
    accept: true,
    handOver: true,
    signal: stop.signal,
    throttle: all,
    onProgress: ({ phase }) => phase === 'rewriting' && stop.abort(),
  })
  expect(handed.state).toBe('running')
  expect(await keyturn.rotations.get(handed.id)).toMatchObject({ state: 'running', live: false, note: null })
  expect((await keyturn.resume(handed.id, { throttle: all })).state).toBe('completed')
  expect(await keyturn.audit.list({ subject: `rotation/${handed.id}`, action: 'rotation.pause' })).toEqual({ items: [], next: null })
})

test('The keyrings alone are those of the status.', async () => {
  await rotate()
  expect(await keyturn.keyrings('app')).toEqual((await keyturn.status('app')).keyrings)
  await expect(keyturn.keyrings('ap')).rejects.toMatchObject({ code: 'ERR_UNKNOWN_NAME' })
})

test('Without handing over, the same rotation is paused.', async () => {
  const stop = new AbortController()
  const paused = await keyturn.rotate('app', {
    accept: true,
    signal: stop.signal,
    throttle: all,
    onProgress: ({ phase }) => phase === 'rewriting' && stop.abort(),
  })
  expect(paused.state).toBe('paused')
})

test('Events are listed newest first, by actor, action, subject and time.', async () => {
  const { id } = await rotate()
  const mine = await keyturn.audit.list({ subject: `rotation/${id}`, limit: 2 })
  expect(mine.items.map(({ action }) => action)).toEqual(['rotation.complete', 'rotation.verify'])
  const rest = await keyturn.audit.list({ subject: `rotation/${id}`, after: String(mine.next) })
  expect(rest.items.map(({ action }) => action)).toEqual(['rotation.run', 'rotation.plan'])
  expect((await keyturn.audit.list({ actor: 'user:ada', action: 'version.activate' })).items).toHaveLength(1)
  expect((await keyturn.audit.list({ from: '2999-01-01T00:00:00Z' })).items).toEqual([])
  expect((await keyturn.audit.list({ to: '2999-01-01T00:00:00Z' })).items.length).toBeGreaterThan(4)
  await expect(keyturn.audit.list({ after: 'x' })).rejects.toMatchObject({ code: 'ERR_USAGE' })
})
