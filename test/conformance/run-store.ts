import { randomUUID } from 'node:crypto'
import { beforeAll, describe, expect, test } from 'vitest'
import type { LoggedEvent } from '../../packages/core/src/audit/chain.ts'
import type { Database } from '../../packages/core/src/rotation/database.ts'
import {
  type Lease,
  type Progress,
  type RotationState,
  type Run,
  type RunStore,
  type SetAside,
  start,
} from '../../packages/core/src/rotation/run.ts'

const hour = 3_600_000

/** A run that nobody has heard of. */
export const newRun = (more: Partial<Run> = {}): Run => ({
  id: randomUUID(),
  keyring: randomUUID(),
  mode: 'online',
  state: 'planned',
  plan: 'digest',
  fields: ['a.b', 'c.d'],
  versionId: null,
  keyCheck: 'check',
  progress: start,
  createdAt: new Date('2026-01-02T03:04:05.678Z'),
  endedAt: null,
  note: null,
  requested: null,
  ...more,
})
export const event = (action: string) => ({ actor: 'library', action, subject: 'rotation/x', data: {} })
/** A value that was set aside. */
export const aside = (id: string, more: Partial<SetAside> = {}): SetAside => ({
  field: 'a.b',
  row: { id, part: 'x' },
  reason: 'ERR_DECRYPT',
  digest: new Uint8Array(32).fill(7),
  ...more,
})

/** What the RunStore of every Database keeps. Part of the suite of databases. */
export function conformsToRunStore(open: () => { readonly database: Database; events(): Promise<readonly LoggedEvent[]> }): void {
  describe('keeps runs', () => {
    let database: Database
    let runs: RunStore
    let events: () => Promise<readonly LoggedEvent[]>
    beforeAll(() => {
      ;({ database, events } = open())
      runs = database.runs
    })
    const made = async (more: Partial<Run> = {}) => {
      const run = newRun(more)
      await runs.create(run, event('rotation.plan'))
      return { run, lease: await runs.acquire(run.id, hour) }
    }
    const advance = (lease: Lease, more: Partial<Progress>, values: readonly SetAside[] = []) =>
      database.transaction((tx) => tx.advance(lease, { ...start, ...more }, values))
    const refused = (work: Promise<unknown>, code: string) => expect(work).rejects.toMatchObject({ code })

    test("a run comes back as it was created, and is nobody else's object", async () => {
      const { run } = await made({ note: 'why', progress: { ...start, after: ['1', 'ä'], rows: { 'public.t': 3 } } })
      expect(await runs.get(run.id)).toEqual(run)
      expect(await runs.unfinished(run.keyring)).toEqual(run)
      expect(await runs.get(run.id)).not.toBe(await runs.get(run.id))
      expect([await runs.get('none'), await runs.unfinished('none')]).toEqual([null, null])
    })

    test('the newest runs come first', async () => {
      const [older, newer] = [new Date('2030-01-01T00:00:00Z'), new Date('2030-01-02T00:00:00Z')]
      const ids = [(await made({ createdAt: newer })).run.id, (await made({ createdAt: older })).run.id]
      expect((await runs.list(2)).map(({ id }) => id)).toEqual(ids)
    })

    test('a keyring has one unfinished run, and the second is refused with the id of the first', async () => {
      const { run, lease } = await made()
      const before = (await events()).length
      const second = runs.create(newRun({ keyring: run.keyring }), event('rotation.plan'))
      await refused(second, 'ERR_ROTATION_RUNNING')
      await expect(second).rejects.toThrow(run.id)
      expect((await events()).length).toBe(before)
      await runs.change(lease, 'cancelled', null, event('rotation.cancel'))
      await runs.create(newRun({ keyring: run.keyring }), event('rotation.plan'))
    })

    test('a lease is held by one, renewed, given back, taken over when it ends', async () => {
      const { run, lease } = await made()
      await refused(runs.acquire(run.id, hour), 'ERR_LEASE_HELD')
      await runs.renew(lease)
      await refused(runs.acquire(run.id, hour), 'ERR_LEASE_HELD')
      await runs.surrender(lease)
      await refused(runs.renew(lease), 'ERR_LEASE_LOST')
      const second = await runs.acquire(run.id, hour)
      expect(second.epoch).toBeGreaterThan(lease.epoch)
      await runs.surrender(lease)
      await refused(runs.acquire(run.id, hour), 'ERR_LEASE_HELD')
      await runs.renew({ ...second, ttlMs: -1 })
      const third = await runs.acquire(run.id, hour)
      for (const late of [
        () => runs.renew(second),
        () => runs.change(second, 'running', null, event('rotation.run')),
        () => runs.replaceSetAside(second, [aside('1')]),
        () => advance(second, { sequence: 1 }),
      ]) {
        await refused(late(), 'ERR_LEASE_LOST')
      }
      expect(await runs.get(run.id)).toEqual(run)
      expect(third.epoch).toBeGreaterThan(second.epoch)
      await refused(runs.acquire('none', hour), 'ERR_UNKNOWN_NAME')
    })

    test('an advance renews the lease', async () => {
      const { run, lease } = await made()
      await runs.renew({ ...lease, ttlMs: -1 })
      await advance(lease, { sequence: 1 })
      await refused(runs.acquire(run.id, hour), 'ERR_LEASE_HELD')
    })

    test('states change by their table, each with its event, and what is over stays so', async () => {
      const { run, lease } = await made()
      const before = (await events()).length
      const to = (state: RotationState, note: string | null = null) => runs.change(lease, state, note, event(`rotation.${state}`))
      await refused(to('completed'), 'ERR_ROTATION_STATE')
      for (const state of ['running', 'waiting', 'paused', 'running', 'verifying'] as const) await to(state, state)
      expect(await runs.get(run.id)).toMatchObject({ state: 'verifying', note: 'verifying', endedAt: null })
      await to('completed')
      expect((await runs.get(run.id))?.endedAt).toBeInstanceOf(Date)
      await refused(to('running'), 'ERR_ROTATION_STATE')
      const actions = (await events()).slice(before).map(({ action }) => action)
      expect(actions).toEqual(['running', 'waiting', 'paused', 'running', 'verifying', 'completed'].map((state) => `rotation.${state}`))
    })

    test('a request is seen by the next advance, and answered by the pause', async () => {
      const { run, lease } = await made()
      await runs.change(lease, 'running', null, event('rotation.run'))
      expect(await advance(lease, { sequence: 1 })).toBeNull()
      await runs.request(run.id, 'pause', event('rotation.request'))
      expect(await advance(lease, { sequence: 2 })).toBe('pause')
      await runs.change(lease, 'paused', null, event('rotation.pause'))
      await runs.change(lease, 'running', null, event('rotation.run'))
      expect(await advance(lease, { sequence: 3 })).toBeNull()
      await runs.request(run.id, 'cancel', event('rotation.request'))
      expect(await advance(lease, { sequence: 4 })).toBe('cancel')
      // A cancellation is not taken back, and is seen where no batch commits.
      await runs.request(run.id, 'pause', event('rotation.request'))
      expect(await runs.renew(lease)).toBe('cancel')
      await runs.change(lease, 'cancelled', null, event('rotation.cancel'))
      await refused(runs.request(run.id, 'pause', event('rotation.request')), 'ERR_ROTATION_STATE')
      await refused(runs.request('none', 'pause', event('rotation.request')), 'ERR_UNKNOWN_NAME')
    })

    test('a pause that was asked of a process that died is over when another takes the run; a cancellation is not', async () => {
      for (const [what, after] of [
        ['pause', null],
        ['cancel', 'cancel'],
      ] as const) {
        const { run, lease } = await made()
        await runs.change(lease, 'running', null, event('rotation.run'))
        await runs.request(run.id, what, event('rotation.request'))
        await runs.renew({ ...lease, ttlMs: -1 })
        await runs.acquire(run.id, hour)
        expect((await runs.get(run.id))?.requested).toBe(after)
      }
    })

    test('the values set aside are those of the latest pass, each once, with the latest reason', async () => {
      const { run, lease } = await made()
      await advance(lease, { sequence: 1 }, [aside('1'), aside('2')])
      await advance(lease, { sequence: 2 }, [aside('1', { reason: 'ERR_EMPTY_VALUE', row: { part: 'x', id: '1' } })])
      expect((await runs.setAside(run.id, 9)).values.map(({ row, reason }) => [row.id, reason]).sort()).toEqual([
        ['1', 'ERR_EMPTY_VALUE'],
        ['2', 'ERR_DECRYPT'],
      ])
      await advance(lease, { sequence: 3, pass: 2 }, [aside('2'), aside('3'), aside('3', { field: 'c.d' })])
      const { total, values } = await runs.setAside(run.id, 2)
      expect([total, values.length]).toEqual([3, 2])
      expect((await runs.setAside(run.id, 9)).values).toEqual(
        expect.arrayContaining([aside('2'), aside('3'), aside('3', { field: 'c.d' })]),
      )
      await runs.replaceSetAside(lease, [aside('9')])
      expect(await runs.setAside(run.id, 9)).toEqual({ total: 1, values: [aside('9')] })
      await runs.replaceSetAside(lease, [])
      expect(await runs.setAside(run.id, 9)).toEqual({ total: 0, values: [] })
      expect((await runs.setAside('none', 9)).total).toBe(0)
    })
  })
}
