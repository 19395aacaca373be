import type { Run, SecretConfig, Secrets } from '@keyturn/secrets'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { outside } from '../../packages/secrets/src/outside/failure.ts'
import { lost, SecretsWorld } from '../conformance/secrets/world.ts'
import { usePglite } from '../harness/pglite.ts'
import { issue, issuerOf, issuers } from './parts/issuer.ts'
import { memory } from './parts/memory-store.ts'
import { told } from './parts/scripted-alert.ts'
import { verdicts } from './parts/scripted-gate.ts'
import { instead } from './parts/scripted-rotator.ts'
import { deployments } from './parts/scripted-target.ts'

const parts = './test/secrets/parts'
const store = (values: Record<string, string>) => ({ store: `${parts}/memory-store.ts`, id: 'app', values })
const gate = { gate: `${parts}/scripted-gate.ts`, id: 'health' }
const target = { target: `${parts}/scripted-target.ts`, id: 'machines' }
const scripted = { rotator: `${parts}/scripted-rotator.ts`, id: 'scripted', issued: true }
const secrets: Record<string, SecretConfig> = {
  // An issuer whose keys carry no name, as that of AWS.
  key: {
    rotator: { rotator: `${parts}/issuer.ts`, id: 'keys', named: false },
    stores: [store({ KEY: '{value}' })],
    targets: [target],
    gates: [gate, { ...gate, id: 'unused', at: 'unused' }],
    first: { value: { env: 'FIRST_KEY' } },
    grace: '1h',
  },
  single: { rotator: { ...scripted, overlap: false }, stores: [store({ SINGLE: '{value}' })], gates: [gate] },
  known: {
    rotator: { ...scripted, overlap: false },
    stores: [store({ SINGLE: '{value}' })],
    gates: [gate],
    first: { value: { env: 'FIRST_KEY' } },
  },
  scripted: { rotator: scripted, stores: [store({ S: '{value}' })], targets: [target], first: { value: { env: 'FIRST_KEY' } } },
}

describe('what a rotation must not do, whatever happens at the same time', () => {
  const pglite = usePglite()
  let world: SecretsWorld | undefined
  let first = ''
  const opened = () => {
    if (world === undefined) throw new Error('no world')
    return world
  }
  const ids = () => [...issuerOf('keys').keys()]
  const consumed = () => [...issuerOf('keys').values()].filter(({ value }) => value === memory.get('app')?.get('KEY')).length
  beforeEach(async () => {
    await world?.stop()
    await pglite().exec('DROP SCHEMA IF EXISTS keyturn CASCADE')
    for (const map of [issuers, memory, verdicts, deployments, told, instead]) map.clear()
    const { id, value } = issue('keys', null)
    first = id
    world = new SecretsWorld({
      pglite: pglite(),
      secrets,
      alerts: [{ alert: `${parts}/scripted-alert.ts`, id: 'all' }],
      env: { FIRST_KEY: value },
    })
  })
  afterAll(() => world?.stop())

  /** The answer of the call that makes the key is lost; with `made` it had taken effect. */
  function loseCreate(made: boolean, also: () => void = () => {}): void {
    let calls = 0
    opened().around = async ({ step }, work) => {
      if (step !== 'create' || ++calls !== 2) return await work()
      if (made) await work()
      also()
      throw lost()
    }
  }
  /** Works until the run is at a step, or stops. */
  async function until(now: Secrets, runId: string, step: string): Promise<Run> {
    for (let turns = 0; turns < 50; turns++) {
      const run = await now.settle(runId, { waitMs: 0 })
      if (run.steps[run.position] === step || run.state !== 'waiting') return run
      opened().ahead += 5_000
    }
    throw new Error('the run does not get there')
  }

  test('a look for orphans of a run that is over does not take the key of the next run for one', async () => {
    const now = await opened().start()
    loseCreate(false)
    verdicts.set('health', ({ previous }) => ({ works: previous?.id !== first, later: false, sentence: 'it is not well' }) as never)
    const { id } = await now.rotate('key')
    expect(await opened().finish(id)).toMatchObject({ state: 'rolled-back' })
    verdicts.clear()
    const next = await opened().start()
    const { id: nextId } = await next.rotate('key')
    await next.settle(nextId, { waitMs: 0 })
    expect(ids()).toHaveLength(2)
    opened().ahead += 901_000
    await next.attend()
    expect(ids()).toHaveLength(2)
    expect(await opened().finish(nextId)).toMatchObject({ state: 'completed' })
    const later = await opened().start()
    opened().ahead += 901_000
    await later.attend()
    expect([ids().length, consumed()]).toEqual([1, 1])
  })

  test('a new credential that stopped working in the grace does not replace the old one', async () => {
    const now = await opened().start()
    const { id } = await now.rotate('key')
    const { facts } = await now.settle(id, { waitMs: 0 })
    issuerOf('keys').delete(facts.newId ?? '')
    expect(await opened().finish(id)).toMatchObject({ state: 'rolled-back', note: expect.stringContaining('does not work any more') })
    expect([ids(), consumed()]).toEqual([[first], 1])
    const again = await opened().start()
    const { id: hurried } = await again.rotate('key', { leaked: true })
    opened().around = async ({ step }, work) => {
      const result = await work()
      if (step === 'write:promote') for (const each of ids()) if (each !== first) issuerOf('keys').delete(each)
      return result
    }
    expect(await opened().finish(hurried)).toMatchObject({ state: 'rolled-back' })
    expect(ids()).toEqual([first])
  })

  test("a key that somebody else makes during the grace is asked about, and left when it is somebody's", async () => {
    const now = await opened().start()
    loseCreate(true)
    const { id } = await now.rotate('key')
    await until(now, id, 'grace')
    const theirs = issue('keys', null)
    loseCreate(false)
    const paused = await opened().finish(id)
    if (paused.state === 'paused') await (await opened().start()).resume(id, { keep: [theirs.id] })
    expect(await opened().finish(id)).toMatchObject({ state: 'completed' })
    expect([issuerOf('keys').has(theirs.id), ids().length, consumed()]).toEqual([true, 2, 1])
  })

  test('a rollback that was accepted is granted, also in the last step before the old one is ended', async () => {
    const now = await opened().start()
    const { id } = await now.rotate('key')
    await now.settle(id, { waitMs: 0 })
    opened().ahead += 3_700_000
    const next = await opened().start()
    let accepted: Run | undefined
    opened().around = async ({ step }, work) => {
      if (step === 'unused') accepted ??= await next.rollback(id)
      return await work()
    }
    expect(await next.settle(id, { waitMs: 0 })).toMatchObject({ state: 'rolled-back' })
    expect([accepted?.id, ids(), consumed()]).toEqual([id, [first], 1])
  })

  test('a rollback that was accepted while the new one is tried for the last time is granted; after it none is accepted', async () => {
    const now = await opened().start()
    const { id } = await now.rotate('key')
    await now.settle(id, { waitMs: 0 })
    opened().ahead += 3_700_000
    const next = await opened().start()
    let accepted: Run | undefined
    opened().around = async ({ step }, work) => {
      if (step === 'revoke') accepted ??= await next.rollback(id)
      return await work()
    }
    expect(await next.settle(id, { waitMs: 0 })).toMatchObject({ state: 'rolled-back' })
    expect([accepted?.id, ids(), consumed()]).toEqual([id, [first], 1])
    opened().around = async (_, work) => await work()
    const { id: second } = await next.rotate('key')
    await next.settle(second, { waitMs: 0 })
    opened().ahead += 3_700_000
    let calls = 0
    let refused: unknown
    opened().around = async ({ step }, work) => {
      if (step === 'revoke' && ++calls === 2) refused = await next.rollback(second).catch((error: unknown) => error)
      return await work()
    }
    expect(await opened().finish(second)).toMatchObject({ state: 'completed' })
    expect(refused).toMatchObject({ code: expect.stringMatching(/^ERR_RUN_(STATE|LEASE)$/) })
    expect([ids().length, consumed()]).toEqual([1, 1])
  })

  test('a key of our name that somebody uses is not ended unasked', async () => {
    const now = await opened().start()
    let theirs: string | undefined
    const { id } = await now.rotate('key')
    let calls = 0
    opened().around = async ({ step }, work) => {
      if (step !== 'create' || ++calls !== 2) return await work()
      const { run } = await now.run(id)
      const taken = issue('keys', `keyturn-${run.attempt}`)
      taken.usedAt = 1
      theirs = taken.id
      throw lost()
    }
    const paused = await opened().finish(id)
    expect(paused).toMatchObject({ state: 'paused', facts: { asks: { ids: [theirs] } } })
    expect(issuerOf('keys').has(theirs ?? '')).toBe(true)
    await (await opened().start()).resume(id, { keep: [theirs ?? ''] })
    expect(await opened().finish(id)).toMatchObject({ state: 'completed' })
    expect([issuerOf('keys').has(theirs ?? ''), consumed()]).toEqual([true, 1])
  })

  test('a rollback is granted at once, also when the step that it came in waits', async () => {
    const now = await opened().start()
    const { id } = await now.rotate('key')
    await now.settle(id, { waitMs: 0 })
    opened().ahead += 3_700_000
    verdicts.set('unused', () => ({ works: false, later: true, sentence: 'a session is left' }))
    const next = await opened().start()
    let accepted: Run | undefined
    opened().around = async ({ step }, work) => {
      const result = await work()
      if (step === 'unused') accepted ??= await next.rollback(id)
      return result
    }
    expect(await next.settle(id, { waitMs: 0 })).toMatchObject({ state: 'rolled-back' })
    expect([accepted?.id, ids()]).toEqual([id, [first]])
  })

  test('a run whose call was unclear is not cancelled but taken back: nothing of it is left', async () => {
    const now = await opened().start()
    const { id } = await now.rotate('key')
    loseCreate(true, () => issue('keys', null))
    const paused = await until(now, id, 'nowhere')
    expect(paused).toMatchObject({ state: 'paused' })
    await now.cancel(id)
    opened().around = undefined
    const asked = await opened().finish(id)
    expect(asked).toMatchObject({ state: 'paused', direction: 'back' })
    await (await opened().start()).resume(id, { remove: asked.facts.asks?.ids ?? [] })
    expect(await opened().finish(id)).toMatchObject({ state: 'rolled-back' })
    expect([ids(), consumed()]).toEqual([[first], 0])
  })

  test('an issuer with one password that refuses the first change leaves a run that ends', async () => {
    instead.set('scripted', {
      create: async () => {
        throw outside('refused', 'the issuer', 'no right')
      },
    } as never)
    const now = await opened().start()
    const { id } = await now.rotate('single')
    expect(await opened().finish(id)).toMatchObject({ state: 'rolled-back', note: expect.stringContaining('no right') })
  })

  test('an issuer whose old password nothing brings back goes on with the new one when it is mended', async () => {
    verdicts.set('health', () => ({ works: false, later: false, sentence: 'it is not well' }))
    instead.set('scripted', {
      verify: async (_: unknown, { parts: { value } }: { parts: { value: string } }) =>
        value === memory.get('app')?.get('SINGLE') || !memory.get('app')?.has('SINGLE')
          ? { works: true, sentence: 'it is let in' }
          : { works: false, later: false, sentence: 'it is refused' },
    } as never)
    const now = await opened().start()
    const { id } = await now.rotate('known')
    expect(await opened().finish(id)).toMatchObject({
      state: 'paused',
      direction: 'forward',
      note: expect.stringContaining('There is no way back'),
    })
    await expect(now.rollback(id)).rejects.toMatchObject({ code: 'ERR_RUN_STATE' })
    verdicts.clear()
    await (await opened().start()).resume(id)
    expect(await opened().finish(id)).toMatchObject({ state: 'completed' })
  })

  test('somebody is told when a run stops on its way back, though they were told that it goes back', async () => {
    deployments.set('machines', async () => {
      throw outside('refused', 'the machines', 'they are gone')
    })
    const { id } = await (await opened().start()).rotate('key')
    expect(await opened().finish(id)).toMatchObject({ state: 'paused', direction: 'back' })
    expect(told.get('all')?.map(({ severity }) => severity)).toEqual(['error', 'critical'])
  })

  test('a slow adoption does not put back a credential that was rotated meanwhile', async () => {
    let slow = () => {}
    let calls = 0
    instead.set('scripted', {
      adopt: async (_: unknown, given: { value: string }) => {
        if (++calls === 2) await new Promise<void>((resolve) => (slow = resolve))
        return { id: 'old', parts: given }
      },
    } as never)
    const now = await opened().start()
    const [one, other] = [now.rotate('scripted'), now.rotate('scripted').catch((error: unknown) => error)]
    const { id } = await one
    await expect.poll(() => calls).toBe(2)
    await now.settle(id, { waitMs: 0 })
    const promoted = memory.get('app')?.get('S')
    slow()
    expect(await other).toMatchObject({ code: 'ERR_RUN_RUNNING' })
    await now.revoke(id)
    instead.set('scripted', { verify: undefined } as never)
    expect((await pglite().query('SELECT value_id FROM keyturn.secret WHERE name = $1', ['scripted'])).rows).toEqual([
      { value_id: (await now.run(id)).run.newValue },
    ])
    expect([promoted === undefined, await opened().sealed()]).toEqual([false, 2])
  })

  test('a run goes on with the issuer that it began with, and with no other', async () => {
    const { id } = await (await opened().start()).rotate('key')
    await (await opened().start()).settle(id, { waitMs: 0 })
    await opened().stop()
    const before = world
    const env = { FIRST_KEY: issuerOf('keys').get(first)?.value }
    const other = { ...(secrets.key as SecretConfig), rotator: { rotator: `${parts}/issuer.ts`, id: 'others', named: false } }
    world = new SecretsWorld({ pglite: pglite(), secrets: { key: other }, env })
    const paused = await opened().finish(id)
    expect(paused).toMatchObject({ state: 'paused', note: expect.stringContaining('configured otherwise') })
    expect(issuerOf('keys').has(first)).toBe(true)
    const after = opened().ahead
    await opened().stop()
    world = before
    opened().ahead = after
    await (await opened().start()).resume(id)
    expect(await opened().finish(id)).toMatchObject({ state: 'completed' })
    expect([issuerOf('keys').has(first), consumed()]).toEqual([false, 1])
  })

  test('one run that cannot be read keeps no other from going on', async () => {
    const now = await opened().start()
    const bad = await now.rotate('scripted')
    const good = await now.rotate('key')
    await pglite().query(`UPDATE keyturn.sealed SET value = 'broken' WHERE id = $1`, [bad.oldValue])
    await expect(now.attend()).rejects.toMatchObject({ code: 'ERR_DECRYPT' })
    expect((await now.run(good.id)).run).toMatchObject({ state: 'waiting', note: expect.stringContaining('both credentials work') })
  })

  test('credentials that turn up after a run and may be of it are a question, which is told and can be answered', async () => {
    const now = await opened().start()
    loseCreate(false)
    const { id } = await now.rotate('key')
    expect(await opened().finish(id)).toMatchObject({ state: 'completed' })
    const theirs = [issue('keys', null).id, issue('keys', null).id]
    const later = await opened().start()
    opened().ahead += 901_000
    await later.attend()
    const { run } = await later.run(id)
    expect(run).toMatchObject({ state: 'completed', facts: { asks: { ids: theirs } } })
    expect(told.get('all')?.map(({ condition, severity }) => [condition, severity])).toEqual([['revocation', 'critical']])
    await later.resume(id, { remove: theirs.slice(0, 1), keep: theirs.slice(1) })
    await later.attend()
    expect([ids().includes(theirs[0] ?? ''), ids().includes(theirs[1] ?? ''), consumed()]).toEqual([false, true, 1])
    expect((await later.run(id)).run).toMatchObject({ state: 'completed', sweepAt: null })
  })

  test('a part that goes on after its time is over is not called by another process at the same time', async () => {
    let inside = 0
    let most = 0
    let go = () => {}
    instead.set('scripted', {
      create: async (_: unknown, given: unknown) => {
        most = Math.max(most, ++inside)
        await new Promise<void>((resolve) => (go = resolve))
        inside--
        return given
      },
    } as never)
    const now = await opened().start()
    const { id } = await now.rotate('scripted')
    const stop = new AbortController()
    const stopped = now.settle(id, { waitMs: 0, signal: stop.signal })
    await expect.poll(() => inside).toBe(1)
    stop.abort()
    await stopped
    opened().ahead += 2_000
    await expect(now.settle(id, { waitMs: 0 })).rejects.toMatchObject({ code: 'ERR_RUN_LEASE' })
    expect(most).toBe(1)
    go()
  })
})
