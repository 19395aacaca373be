import { randomUUID } from 'node:crypto'
import { beforeAll, describe, expect, test } from 'vitest'
import { usePglite } from '../../../../test/harness/pglite.ts'
import { useDatabase } from '../../../../test/harness/postgres.ts'
import { readEvents } from '../audit/log.ts'
import { pgliteState, pgState } from '../databases/postgres/sql.ts'
import type { Lease, Progress, RotationState, Run, RunStore, SetAside } from '../rotation/run.ts'
import { rotationStates } from './run-states.ts'
import { advanceRun, sqlRunStore } from './run-store.ts'
import { migrate } from './schema.ts'
import type { SqlState } from './sql.ts'

const progress = (more: Partial<Progress> = {}): Progress => ({
  pass: 1,
  table: 0,
  after: null,
  sequence: 0,
  rotated: 0,
  rows: {},
  conflicts: 0,
  passRotated: 0,
  passConflicts: 0,
  preserved: { old: '0'.repeat(64), new: '0'.repeat(64) },
  previousFound: 0,
  idlePasses: 0,
  ...more,
})
const newRun = (more: Partial<Run> = {}): Run => ({
  id: randomUUID(),
  keyring: randomUUID(),
  mode: 'online',
  state: 'planned',
  plan: 'digest',
  fields: ['a.b', 'c.d'],
  versionId: 'aaaqeaye',
  keyCheck: 'check',
  progress: progress(),
  createdAt: new Date('2026-01-02T03:04:05.678Z'),
  endedAt: null,
  note: null,
  requested: null,
  ...more,
})
const event = (action: string) => ({ actor: 'library', action, subject: 'rotation/x', data: {} })
const aside = (id: string, more: Partial<SetAside> = {}): SetAside => ({
  field: 'a.b',
  row: { id, part: 'x' },
  reason: 'ERR_DECRYPT',
  digest: new Uint8Array(32).fill(7),
  ...more,
})
const hour = 3_600_000

/** The way to each state from `planned`. */
const ways: Record<RotationState, RotationState[]> = {
  planned: [],
  running: ['running'],
  paused: ['running', 'paused'],
  waiting: ['running', 'waiting'],
  verifying: ['running', 'verifying'],
  completed: ['running', 'verifying', 'completed'],
  cancelled: ['cancelled'],
  failed: ['failed'],
}
const legal: Record<RotationState, string> = {
  planned: 'running paused cancelled failed',
  running: 'paused waiting verifying cancelled failed',
  paused: 'running cancelled failed',
  waiting: 'running paused cancelled failed',
  verifying: 'running paused waiting completed cancelled failed',
  completed: '',
  cancelled: '',
  failed: '',
}

function keepsRuns(open: () => SqlState) {
  let state: SqlState
  let runs: RunStore
  beforeAll(async () => {
    state = open()
    await migrate(state)
    runs = sqlRunStore(state)
  })
  const advance = (lease: Lease, to: Progress, setAside: SetAside[] = []) =>
    state.transaction((sql) => advanceRun(sql, state.schema, lease, to, setAside))
  const actions = async () => (await readEvents(state, state.schema, { limit: 100_000 })).map(({ action }) => action)
  const made = async (more: Partial<Run> = {}) => {
    const run = newRun(more)
    await runs.create(run, event('rotation.start'))
    return { run, lease: await runs.acquire(run.id, hour) }
  }

  test('a run comes back as it was created', async () => {
    const { run } = await made({ note: 'why', progress: progress({ after: ['1', 'ä'], rows: { 'public.t': 3 } }) })
    expect(await runs.get(run.id)).toEqual(run)
    expect(await runs.unfinished(run.keyring)).toEqual(run)
    expect(await runs.get('no such run')).toBeNull()
    expect((await runs.list(100)).map(({ id }) => id)).toContain(run.id)
  })

  test('a keyring has one unfinished run, however many start together', async () => {
    const keyring = randomUUID()
    const before = (await actions()).length
    const results = await Promise.allSettled(Array.from({ length: 6 }, () => runs.create(newRun({ keyring }), event('rotation.start'))))
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    const other = await runs.unfinished(keyring)
    for (const result of results) {
      if (result.status === 'rejected') {
        expect(result.reason).toMatchObject({ code: 'ERR_ROTATION_RUNNING' })
        expect(result.reason.message).toContain(other!.id)
      }
    }
    expect((await actions()).length).toBe(before + 1)
    const lease = await runs.acquire(other!.id, hour)
    await runs.change(lease, 'cancelled', null, event('rotation.cancel'))
    expect(await runs.unfinished(keyring)).toBeNull()
    await runs.create(newRun({ keyring }), event('rotation.start'))
  })

  test('a lease is held by one, taken over when it ends, and lost to the one before', async () => {
    const { run, lease } = await made()
    await expect(runs.acquire(run.id, hour)).rejects.toMatchObject({ code: 'ERR_LEASE_HELD' })
    await expect(runs.acquire(run.id, hour)).rejects.toThrow(/at most 3(600|599) s/)
    await runs.renew({ ...lease, ttlMs: -1 })
    const next = await runs.acquire(run.id, hour)
    expect(next.epoch).toBeGreaterThan(lease.epoch)
    for (const late of [
      () => runs.renew({ ...lease, ttlMs: hour }),
      () => advance(lease, progress({ sequence: 1 }), [aside('1')]),
      () => runs.change(lease, 'running', null, event('rotation.run')),
      () => runs.replaceSetAside(lease, [aside('1')]),
    ]) {
      await expect(late()).rejects.toMatchObject({ code: 'ERR_LEASE_LOST' })
    }
    await runs.surrender(lease)
    expect((await runs.get(run.id))?.progress.sequence).toBe(0)
    expect((await runs.setAside(run.id, 10)).total).toBe(0)
    await expect(runs.acquire(run.id, hour)).rejects.toMatchObject({ code: 'ERR_LEASE_HELD' })
    await expect(runs.acquire('no such run', hour)).rejects.toMatchObject({ code: 'ERR_UNKNOWN_NAME' })
  })

  test('a lease that was given back is free at once, and nothing can be written under it', async () => {
    const { run, lease } = await made()
    await runs.surrender(lease)
    await expect(advance(lease, progress())).rejects.toMatchObject({ code: 'ERR_LEASE_LOST' })
    await runs.acquire(run.id, hour)
  })

  test('of many that take a free lease at once, one has it', async () => {
    const run = newRun()
    await runs.create(run, event('rotation.start'))
    const results = await Promise.allSettled(Array.from({ length: 6 }, () => runs.acquire(run.id, hour)))
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  })

  test('an advance renews the lease, and is undone with its transaction', async () => {
    const { run, lease } = await made()
    await runs.renew({ ...lease, ttlMs: -1 })
    await advance(lease, progress({ sequence: 1, after: ['9'] }))
    await expect(runs.acquire(run.id, hour)).rejects.toMatchObject({ code: 'ERR_LEASE_HELD' })
    await expect(
      state.transaction(async (sql) => {
        await advanceRun(sql, state.schema, lease, progress({ sequence: 2 }), [aside('1')])
        throw new Error('rolled back')
      }),
    ).rejects.toThrow('rolled back')
    expect((await runs.get(run.id))?.progress).toEqual(progress({ sequence: 1, after: ['9'] }))
    expect((await runs.setAside(run.id, 10)).total).toBe(0)
  })

  test('a request of another process is seen by the next advance and answered by the change', async () => {
    const { run, lease } = await made()
    await runs.change(lease, 'running', null, event('rotation.run'))
    expect(await advance(lease, progress({ sequence: 1 }))).toBeNull()
    await runs.request(run.id, 'pause', event('rotation.request'))
    expect(await advance(lease, progress({ sequence: 2 }))).toBe('pause')
    await runs.change(lease, 'verifying', null, event('rotation.verify'))
    expect(await advance(lease, progress({ sequence: 3 }))).toBe('pause')
    await runs.change(lease, 'paused', 'as asked', event('rotation.pause'))
    expect(await runs.get(run.id)).toMatchObject({ state: 'paused', note: 'as asked', requested: null, endedAt: null })
    await runs.change(lease, 'cancelled', null, event('rotation.cancel'))
    expect((await runs.get(run.id))?.endedAt).toBeInstanceOf(Date)
    await expect(runs.request(run.id, 'cancel', event('rotation.request'))).rejects.toMatchObject({ code: 'ERR_ROTATION_STATE' })
    await expect(runs.request('no such run', 'cancel', event('rotation.request'))).rejects.toMatchObject({ code: 'ERR_UNKNOWN_NAME' })
  })

  test.each(rotationStates.flatMap((from) => rotationStates.map((to) => [from, to] as const)))(
    'the step from %s to %s is as the table says',
    async (from, to) => {
      const { run, lease } = await made()
      for (const step of ways[from]) await runs.change(lease, step, null, event('rotation.step'))
      const before = (await actions()).length
      const step = runs.change(lease, to, 'note', event(`rotation.${to}`))
      if (legal[from].split(' ').includes(to)) {
        await step
        expect(await runs.get(run.id)).toMatchObject({ state: to, note: 'note' })
        expect((await actions()).slice(before)).toEqual([`rotation.${to}`])
      } else {
        await expect(step).rejects.toMatchObject({ code: 'ERR_ROTATION_STATE' })
        expect((await runs.get(run.id))?.state).toBe(from)
        expect((await actions()).length).toBe(before)
      }
    },
  )

  test('the values set aside are those of the latest pass, each once', async () => {
    const { run, lease } = await made()
    await advance(lease, progress({ sequence: 1 }), [aside('1'), aside('2'), aside('1', { reason: 'ERR_EMPTY_VALUE' })])
    expect((await runs.setAside(run.id, 10)).values).toEqual([aside('1', { reason: 'ERR_EMPTY_VALUE' }), aside('2')])
    await advance(lease, progress({ sequence: 2, pass: 2 }), [aside('2', { row: { part: 'x', id: '2' } }), aside('3')])
    const { total, values } = await runs.setAside(run.id, 1)
    expect(total).toBe(2)
    expect(values).toEqual([aside('2')])
    await runs.replaceSetAside(lease, [aside('9', { field: 'c.d' })])
    expect(await runs.setAside(run.id, 10)).toEqual({ total: 1, values: [aside('9', { field: 'c.d' })] })
    await runs.replaceSetAside(lease, [])
    expect((await runs.setAside(run.id, 10)).total).toBe(0)
  })

  test('a row with a long key can be set aside', async () => {
    const { run, lease } = await made()
    const long = aside(Array.from({ length: 300 }, () => randomUUID()).join(''))
    await advance(lease, progress({ sequence: 1 }), [long])
    expect((await runs.setAside(run.id, 1)).values).toEqual([long])
  })
}

describe('on Postgres', () => {
  const database = useDatabase()
  keepsRuns(() => pgState(database.pool))
})
describe('on PGlite', () => {
  const pglite = usePglite()
  keepsRuns(() => pgliteState(pglite()))
})
