import type { Run, SecretConfig } from '@keyturn/secrets'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { SecretsWorld } from '../../../../test/conformance/secrets/world.ts'
import { bearer, described, startIssuer } from '../../../../test/doubles/made-by-hand.ts'
import { usePglite } from '../../../../test/harness/pglite.ts'
import { told as notices } from '../../../../test/secrets/parts/scripted-alert.ts'
import { verdicts } from '../../../../test/secrets/parts/scripted-gate.ts'

describe('a guided rotation', () => {
  const pglite = usePglite()
  let issuer: Awaited<ReturnType<typeof startIssuer>>
  let world: SecretsWorld
  let first: string
  const open = async (more: Partial<SecretConfig> = {}, rotator: object = {}) => {
    const secret: SecretConfig = {
      rotator: { rotator: 'guided', ...described, verify: bearer(issuer.origin), ...rotator },
      stores: [{ store: './test/secrets/parts/memory-store.ts', id: 'guided', values: { KEY: '{value}' } }],
      first: { value: { env: 'FIRST' } },
      grace: '1m',
      patience: '1d',
      ...more,
    }
    // A state of its own for each: runs of one test are none of the next.
    await pglite().exec('DROP SCHEMA IF EXISTS keyturn CASCADE')
    world = new SecretsWorld({
      pglite: pglite(),
      env: { FIRST: first },
      secrets: { it: secret },
      alerts: [{ alert: './test/secrets/parts/scripted-alert.ts', id: 'guided' }],
    })
    return await world.start()
  }
  beforeAll(async () => {
    issuer = await startIssuer()
  })
  beforeEach(() => {
    issuer.faults.clear()
    issuer.keys.length = 0
    first = issuer.make('first')
    notices.delete('guided')
  })
  afterAll(async () => {
    await world?.stop()
    await issuer.stop()
  })
  const stepOf = (run: Run) => run.steps[run.position]
  const told = () => (notices.get('guided') ?? []).map(({ condition, state }) => `${condition} ${state}`)

  test('without a way to try it, it is refused at plan with its place, unless a gate sees whether consumers work.', async () => {
    const gate = { gate: './test/secrets/parts/scripted-gate.ts', id: 'guided' }
    for (const gates of [[], [{ ...gate, at: 'unused' }]]) {
      const secrets = await open({ gates }, { verify: undefined })
      expect((await secrets.plan('it')).findings[0]).toEqual({
        severity: 'fault',
        place: 'secrets.it.gates',
        sentence: expect.stringContaining('nobody could verify it: the rotator has no way to try it'),
      })
      await expect(secrets.rotate('it')).rejects.toMatchObject({
        code: 'ERR_SECRET_PLAN',
        message: expect.stringContaining('secrets.it.gates'),
      })
      expect(await secrets.history('it')).toEqual([])
    }
    expect((await (await open({ gates: [gate] }, { verify: undefined })).plan('it')).findings).toEqual([])
  })

  test('where only a gate sees it, a person says that the old one has ended; and that the new one has, when the gate says no.', async () => {
    const gates = [{ gate: './test/secrets/parts/scripted-gate.ts', id: 'guided' }]
    const secrets = await open({ gates }, { verify: undefined })
    const states: string[] = []
    const person = async (run: Run, now: typeof secrets) => {
      states.push(`${stepOf(run)}`)
      if (stepOf(run) === 'task') {
        await now.provide(run.id, { value: issuer.make('new') })
        return true
      }
      await expect(now.provide(run.id, { ended: 'no' })).rejects.toMatchObject({ code: 'ERR_PROVIDED' })
      // To be asked again at once is no word that it has ended.
      expect((await now.settle((await now.resume(run.id)).id, { waitMs: 0 })).state).toBe('waiting')
      await now.provide(run.id, { ended: 'ended' })
      return true
    }
    const run = await world.finish((await secrets.rotate('it')).id, person)
    expect([run.state, states, run.steps.includes('confirm'), run.facts.task, run.facts.ended]).toEqual([
      'completed',
      ['task', 'revoke'],
      false,
      undefined,
      undefined,
    ])
    const { steps } = await (await world.start()).run(run.id)
    expect(steps.find(({ step }) => step === 'revoke')?.evidence).toEqual({ endedBy: 'a person, by their word' })

    states.length = 0
    verdicts.set('guided', ({ current }) =>
      current.parts.value === issuer.keys.at(-1)?.value
        ? { works: false, later: false, sentence: 'no consumer logs in' }
        : { works: true, sentence: 'all is well' },
    )
    const back = await world.finish((await (await world.start()).rotate('it')).id, person)
    verdicts.delete('guided')
    expect([back.state, back.note, states, await world.sealed()]).toEqual([
      'rolled-back',
      expect.stringContaining('no consumer logs in'),
      ['task', 'remove'],
      1,
    ])
  })

  test('what does not work is asked for again, and whether it works is asked until there is an answer.', async () => {
    const secrets = await open()
    const { id } = await secrets.rotate('it')
    await secrets.settle(id, { waitMs: 0 })
    await expect(secrets.provide(id, { value: 'something else' })).rejects.toMatchObject({ code: 'ERR_PROVIDED' })
    await secrets.provide(id, { value: `dd-${'0'.repeat(24)}` })
    const again = await secrets.settle(id, { waitMs: 0 })
    expect([again.state, stepOf(again), again.newValue, again.facts.task?.title]).toEqual(['waiting', 'task', null, described.title])
    await secrets.provide(id, { value: first })
    expect(stepOf(await secrets.settle(id, { waitMs: 0 }))).toBe('task')
    const value = issuer.make('new')
    await secrets.provide(id, { value })
    issuer.faults.next('GET', { status: 503 })
    const later = await secrets.settle(id, { waitMs: 0 })
    expect([later.state, stepOf(later), later.note]).toEqual(['waiting', 'verify', expect.stringContaining('answered 503')])
    // The old one is not ended by an answer that says nothing of it, nor is it by one that says that it works.
    const asked: unknown[] = []
    const run = await world.finish(id, async (at) => {
      asked.push(stepOf(at))
      if (asked.length === 1) issuer.faults.next('GET', { status: 404 })
      if (asked.length === 3) issuer.end(first)
      return false
    })
    expect([run.state, asked, await world.written().then((text) => text.includes(value))]).toEqual([
      'completed',
      ['revoke', 'revoke', 'revoke'],
      false,
    ])
  })

  test('a person who takes too long is waited for, and those are told who hear of failures.', async () => {
    const secrets = await open()
    const { id } = await secrets.rotate('it')
    await secrets.settle(id, { waitMs: 0 })
    expect(told()).toEqual(['task open'])
    world.ahead += 86_400_000 + 1_000
    await (await world.start()).settle(id, { waitMs: 0 })
    expect(told()).toEqual(['task open', 'failed open'])
    const late = await world.start()
    await late.provide(id, { value: issuer.make('new') })
    const run = await world.finish(id, async () => {
      issuer.end(first)
      return false
    })
    expect([run.state, issuer.keys.length, told().slice(2).toSorted()]).toEqual(['completed', 1, ['failed resolved', 'task resolved']])
  })
})
