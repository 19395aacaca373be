import type { SecretConfig, Secrets } from '@keyturn/secrets'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { outside } from '../../packages/secrets/src/outside/failure.ts'
import { Died, SecretsWorld } from '../conformance/secrets/world.ts'
import { usePglite } from '../harness/pglite.ts'
import { issue, issuerOf, issuers } from './parts/issuer.ts'
import { memory } from './parts/memory-store.ts'
import { told } from './parts/scripted-alert.ts'
import { deployments } from './parts/scripted-target.ts'

const parts = './test/secrets/parts'
const issuer = `${parts}/issuer.ts`
const target = `${parts}/scripted-target.ts`
const store = { store: `${parts}/memory-store.ts`, id: 'limited', values: {} }
const names = ['one', 'two', 'three', 'four', 'five']

describe('limits of a provider', () => {
  const pglite = usePglite()
  let world: SecretsWorld | undefined
  const opened = () => {
    if (world === undefined) throw new Error('no world')
    return world
  }
  const env = Object.fromEntries(names.map((name) => [`FIRST_${name}`, '']))
  const secrets = (more: Partial<SecretConfig> = {}): Record<string, SecretConfig> =>
    Object.fromEntries(
      names.map((name) => [
        name,
        {
          rotator: { rotator: issuer, id: name },
          stores: [{ ...store, values: { [name]: '{value}' } }],
          first: { value: { env: `FIRST_${name}` } },
          grace: '1m',
          ...more,
        },
      ]),
    )
  function create(limits: Record<string, object>, config = secrets()): void {
    world = new SecretsWorld({
      pglite: pglite(),
      secrets: config,
      limits,
      env,
      alerts: [{ alert: `${parts}/scripted-alert.ts`, id: 'all' }],
    })
  }

  beforeEach(async () => {
    await pglite().exec('DROP SCHEMA IF EXISTS keyturn CASCADE')
    for (const map of [issuers, memory, deployments, told]) map.clear()
    for (const name of names) env[`FIRST_${name}`] = issue(name, null).value
  })
  afterEach(async () => {
    await world?.stop()
    world = undefined
  })

  async function begun(now: Secrets, which: readonly string[] = names): Promise<string[]> {
    const ids: string[] = []
    for (const name of which) ids.push((await now.rotate(name)).id)
    return ids
  }
  /** Attends until all runs are over, letting time pass. */
  async function attended(now: readonly Secrets[], ids: readonly string[]): Promise<void> {
    for (let turns = 0; turns < 400; turns++) {
      await Promise.all(now.map((each) => each.attend()))
      const runs = await Promise.all(ids.map(async (id) => (await (now[0] as Secrets).run(id)).run))
      if (runs.every(({ endedAt }) => endedAt !== null)) return
      opened().ahead += 5_000
    }
    throw new Error('the runs do not end')
  }

  test('never are more calls made at once, by any number of processes, and all runs end well', async () => {
    create({ [issuer]: { atOnce: 2, perMinute: 10_000 } })
    const processes = [await opened().start(), await opened().beside(), await opened().beside()]
    const ids = await begun(processes[0] as Secrets)
    let inside = 0
    let most = 0
    opened().around = async ({ step }, work) => {
      const counts = /create|verify|unused|revoke|confirm/.test(step)
      if (counts) most = Math.max(most, ++inside)
      try {
        await new Promise((resolve) => setTimeout(resolve, 5))
        return await work()
      } finally {
        if (counts) inside--
      }
    }
    await attended(processes, ids)
    expect(most).toBe(2)
    for (const id of ids) expect((await (processes[0] as Secrets).run(id)).run).toMatchObject({ state: 'completed', note: null })
    expect(names.map((name) => issuerOf(name).size)).toEqual([1, 1, 1, 1, 1])
  })

  test('never are more calls made in any minute; who waits says so and uses up neither tries nor deadline', async () => {
    create({ [issuer]: { perMinute: 4 } }, secrets({ deadline: '1m' }))
    const now = await opened().start()
    const ids = await begun(now, names.slice(0, 2))
    const at: number[] = []
    opened().around = async ({ step }, work) => {
      if (/create|verify|unused|revoke|confirm/.test(step)) at.push(Date.now() + opened().ahead)
      return await work()
    }
    // However slow this machine is: as many calls as there may be, all at this moment.
    await pglite().query(`INSERT INTO keyturn.secret_call (id, provider, taken_at, until)
      SELECT 'x' || n, provider, clock_timestamp() + interval '50 minutes 50 seconds', clock_timestamp()
      FROM (SELECT DISTINCT provider FROM keyturn.secret_call) counted, generate_series(1, 4) n`)
    opened().ahead += 3_000_000
    const waiting = await now.settle(ids[0] ?? '', { waitMs: 0 })
    expect(waiting).toMatchObject({ state: 'waiting', note: expect.stringContaining('issuer.ts was called 4 times in the last minute') })
    expect(waiting.facts.step?.tries).toBe(0)
    const { rows } = await pglite().query('SELECT lease_until FROM keyturn.secret_run WHERE id = $1', [waiting.id])
    expect(rows, 'the lease is given back').toEqual([{ lease_until: null }])
    // A wait much longer than the deadline.
    opened().ahead += 3_600_000
    const ticking = setInterval(() => (opened().ahead += 5_000), 20)
    await attended([now], ids).finally(() => clearInterval(ticking))
    for (const id of ids) expect((await now.run(id)).run).toMatchObject({ state: 'completed', note: null })
    // The times are of just before the call: a few milliseconds after its place was taken.
    for (const [index, time] of at.entries())
      expect(at.filter((each) => each > time && each <= time + 50_000).length, `${index}`).toBeLessThan(5)
    expect(at.length).toBeGreaterThan(15)
  })

  test('a place that a process died with comes back by time', async () => {
    create({ [issuer]: { atOnce: 1 } })
    const now = await opened().start()
    const [id = '', other = ''] = await begun(now, ['one', 'two'])
    opened().around = async ({ secret }, work) => {
      if (secret === 'one') throw new Died()
      return await work()
    }
    await expect(now.settle(id, { waitMs: 0 })).rejects.toThrow(Died)
    expect(await now.settle(other, { waitMs: 0 })).toMatchObject({
      state: 'waiting',
      note: expect.stringContaining('issuer.ts is being called 1 times at once'),
    })
    opened().ahead += 45_000
    const next = await opened().start()
    expect(await next.settle(other, { waitMs: 0 })).toMatchObject({
      state: 'waiting',
      note: expect.stringContaining('both credentials work'),
    })
  })

  test('when one run is told that it asks too much, all runs leave the provider alone for as long', async () => {
    create({ [target]: {} }, secrets({ targets: [{ target, id: 'machines' }] }))
    const now = await opened().start()
    const [id = '', other = ''] = await begun(now, ['one', 'two'])
    let calls = 0
    deployments.set('machines', async () => {
      if (++calls === 1) throw outside('busy', 'the machines', 'they answered 429', 600_000)
    })
    expect(await now.settle(id, { waitMs: 0 })).toMatchObject({ state: 'waiting', note: expect.stringContaining('they answered 429') })
    const waits = await now.settle(other, { waitMs: 0 })
    expect(waits).toMatchObject({ state: 'waiting', note: expect.stringContaining('has asked to be left alone until') })
    expect((waits.wakeAt ?? 0) - Date.now()).toBeGreaterThan(500_000)
    expect(calls).toBe(1)
    opened().ahead += 601_000
    await attended([now], [id, other])
    expect((await now.run(other)).run).toMatchObject({ state: 'completed' })
  })

  test('another account has limits of its own, and the same account shares them whatever the part is called', async () => {
    const account = { rotator: `${parts}/issuer.ts`, id: 'one', provider: 'cloud', endpoint: 'https://one.example' }
    const config: Record<string, SecretConfig> = {
      one: { ...(secrets().one as SecretConfig), rotator: account },
      two: { ...(secrets().two as SecretConfig), rotator: { ...account, id: 'two' } },
      three: { ...(secrets().three as SecretConfig), rotator: { ...account, id: 'three', endpoint: 'https://three.example' } },
    }
    create({ cloud: { perMinute: 1 } }, config)
    const now = await opened().start()
    expect((await now.plan('one')).limits).toEqual([{ provider: 'cloud', atOnce: 4, perMinute: 1, parts: [`rotator ${issuer}`] }])
    // What is looked at for a rotation is counted, and not kept waiting.
    const [id = ''] = await begun(now, ['one'])
    expect(await now.settle(id, { waitMs: 0 })).toMatchObject({ note: expect.stringContaining('cloud was called 1 times') })
    const [third = ''] = await begun(now, ['three'])
    opened().ahead += 61_000
    const ends = async (runId: string) => (await now.settle(runId, { waitMs: 0 })).steps[(await now.run(runId)).run.position]
    const stopped = new AbortController()
    opened().around = async (_, work) => {
      stopped.abort()
      return await work()
    }
    await now.settle(id, { waitMs: 0, signal: stopped.signal })
    opened().around = undefined
    const [second = ''] = await begun(now, ['two'])
    expect(await ends(second)).toBe('create')
    expect((await now.run(third)).run.note).toBe(null)
  })

  test('an unused limit or a wrong one is refused with its place', async () => {
    create({ 'openai-kee': { atOnce: 2 } })
    await expect(opened().start()).rejects.toMatchObject({ code: 'ERR_CONFIG', message: expect.stringContaining('limits.openai-kee') })
    create({ [issuer]: { atOnce: 0 } })
    await expect(opened().start()).rejects.toMatchObject({
      code: 'ERR_CONFIG',
      message: expect.stringContaining(`limits.${issuer}.atOnce`),
    })
  })

  test('what is due in one night begins as there is room, and a revocation is late but not forgotten', async () => {
    create({ [issuer]: { perMinute: 3, atOnce: 4 } }, secrets({ every: '30d', automatic: true, deadline: '1m' }))
    const now = await opened().start()
    const begunAtOnce = await now.beginDue()
    expect(begunAtOnce.length).toBe(3)
    const ids = begunAtOnce.map(({ id }) => id)
    const ticking = setInterval(() => (opened().ahead += 5_000), 10)
    try {
      for (let turns = 0; ids.length < names.length && turns < 400; turns++) {
        ids.push(...(await now.beginDue()).map(({ id }) => id))
        await now.attend()
      }
      await attended([now], ids)
    } finally {
      clearInterval(ticking)
    }
    expect(names.map((name) => issuerOf(name).size)).toEqual([1, 1, 1, 1, 1])
    for (const id of ids) expect((await now.run(id)).run).toMatchObject({ state: 'completed' })
  })
})
