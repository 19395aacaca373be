import { type Run, type SecretConfig, sealedSecrets } from '@keyturn/secrets'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { outside } from '../../packages/secrets/src/outside/failure.ts'
import { lost, SecretsWorld } from '../conformance/secrets/world.ts'
import { usePglite } from '../harness/pglite.ts'
import { issue, issuerOf, issuers } from './parts/issuer.ts'
import { memory } from './parts/memory-store.ts'
import { failing, told } from './parts/scripted-alert.ts'
import { verdicts } from './parts/scripted-gate.ts'
import { instead } from './parts/scripted-rotator.ts'
import { deployments } from './parts/scripted-target.ts'

const parts = './test/secrets/parts'
const store = (values: Record<string, string>) => ({
  store: `${parts}/memory-store.ts`,
  id: 'app',
  values,
})
const gate = { gate: `${parts}/scripted-gate.ts`, id: 'health' }
const target = { target: `${parts}/scripted-target.ts`, id: 'machines' }

const secrets: Record<string, SecretConfig> = {
  key: {
    rotator: { rotator: `${parts}/issuer.ts`, id: 'keys' },
    stores: [store({ KEY: '{value}' })],
    targets: [target],
    gates: [gate, { ...gate, id: 'unused', at: 'unused' }],
    first: { value: { env: 'FIRST_KEY' } },
    every: '90d',
    grace: '24h',
    runbook: 'https://runbooks.example/key',
  },
  jwt: {
    rotator: { rotator: `${parts}/scripted-rotator.ts`, id: 'jwt', needs: ['next', 'previous'] },
    stores: [store({ JWT: '{value}', JWT_NEXT: '{next.value}', JWT_PREVIOUS: '{previous.value}' })],
    targets: [target],
    gates: [gate],
    first: { value: { env: 'FIRST_JWT' } },
    grace: '24h',
  },
  guided: {
    rotator: { rotator: `${parts}/scripted-rotator.ts`, id: 'guided', issued: true },
    stores: [store({ GUIDED: '{value}' })],
    first: { value: { env: 'FIRST_GUIDED' } },
    patience: '2h',
    grace: '1h',
  },
}

describe('a run', () => {
  const pglite = usePglite()
  let world: SecretsWorld | undefined
  const values = () => Object.fromEntries(memory.get('app') ?? [])
  const opened = () => {
    if (world === undefined) throw new Error('no world')
    return world
  }

  beforeEach(async () => {
    await world?.stop()
    await pglite().exec('DROP SCHEMA IF EXISTS keyturn CASCADE')
    for (const map of [issuers, memory, verdicts, deployments, told, failing, instead]) map.clear()
    const first = issue('keys', null)
    instead.set('guided', {
      propose: undefined,
      task: async () => ({
        title: 'Make a key in the console',
        instructions: '1. Log in.\n2. Make it.',
        paste: [{ part: 'value', label: 'the key', pattern: 'sk-[a-z]+' }],
      }),
      verify: async (_: unknown, { parts }: { parts: Record<string, string> }) =>
        ['sk-first', 'sk-good'].includes(parts.value ?? '') && !(ended && parts.value === 'sk-first')
          ? { works: true, sentence: 'it is let in' }
          : { works: false, later: false, sentence: 'it is refused' },
      revoke: async () => {
        ended = true
      },
    } as never)
    ended = false
    world = new SecretsWorld({
      pglite: pglite(),
      secrets,
      alerts: [
        { alert: `${parts}/scripted-alert.ts`, id: 'all' },
        { alert: `${parts}/scripted-alert.ts`, id: 'some', on: ['leak'], runbooks: { leak: 'https://runbooks.example/leak' } },
      ],
      env: { FIRST_KEY: first.value, FIRST_JWT: 'the first secret of tokens', FIRST_GUIDED: 'sk-first' },
    })
  })
  afterAll(() => world?.stop())
  let ended = false

  async function begin(name: string, sync = true): Promise<Run> {
    const now = await opened().start()
    if (sync) {
      const run = await now.rotate(name)
      await now.cancel(run.id)
      await now.sync({ only: [name], apply: true })
    }
    return await now.rotate(name)
  }
  const steps = async (runId: string) => (await (await opened().start()).run(runId)).steps.map(({ step, state }) => `${step} ${state}`)

  test('goes through its steps, each on record with its evidence, and waits for the grace', async () => {
    const { id } = await begin('key')
    const before = values().KEY
    const waiting = await (await opened().start()).settle(id, { waitMs: 0 })
    expect(waiting).toMatchObject({
      state: 'waiting',
      note: expect.stringMatching(/^both credentials work until 20.*; then the old one is revoked$/),
    })
    expect(values().KEY).not.toBe(before)
    expect(issuerOf('keys').size).toBe(2)
    const done = await opened().finish(id)
    expect(done).toMatchObject({ state: 'completed', note: null })
    expect(await steps(id)).toEqual(
      ['prepare', 'create', 'verify', 'write:promote', 'deploy:promote', 'gates:promote', 'grace', 'unused', 'revoke', 'confirm']
        .map((step) => `${step} done`)
        .concat('sweep skipped'),
    )
    const now = await opened().start()
    expect((await now.status('key')).credentialId).toBe([...issuerOf('keys').keys()][0])
    const { rows } = await pglite().query<{ action: string }>('SELECT DISTINCT action FROM keyturn.audit_event')
    expect(rows.map(({ action }) => action)).toEqual(
      expect.arrayContaining(['run.begin', 'run.cancel', 'run.step', 'secret.adopt', 'secret.rotate']),
    )
  })

  test('of a value that consumers share announces it, promotes it and withdraws the old one, each deployed before the next', async () => {
    const seen: Record<string, string>[] = []
    deployments.set('machines', async () => void seen.push(values()))
    const { id } = await begin('jwt')
    seen.length = 0
    const old = 'the first secret of tokens'
    expect(await opened().finish(id)).toMatchObject({ state: 'completed' })
    const made = values().JWT
    expect(seen).toEqual([{ JWT: old, JWT_NEXT: made }, { JWT: made, JWT_PREVIOUS: old }, { JWT: made }])
  })

  test('goes back by itself when a gate fails: stores, targets and the new credential; somebody is told, and told again when it is well', async () => {
    const { id } = await begin('key')
    const before = values()
    verdicts.set('health', ({ current }) =>
      current.parts.value === before.KEY
        ? { works: true, sentence: 'all is well' }
        : { works: false, later: false, sentence: 'the database component is down' },
    )
    const back = await opened().finish(id)
    expect(back).toMatchObject({ state: 'rolled-back', note: `${gate.gate}: the database component is down` })
    expect([values(), issuerOf('keys').size]).toEqual([before, 1])
    expect(told.get('all')?.map(({ key, state, condition, severity }) => [key, state, condition, severity])).toEqual([
      ['keyturn/key/authentication', 'open', 'authentication', 'error'],
    ])
    expect(told.get('all')?.[0]?.runbook).toBe('https://runbooks.example/key')
    expect(told.has('some')).toBe(false)
    verdicts.clear()
    const again = await (await opened().start()).rotate('key')
    expect(await opened().finish(again.id)).toMatchObject({ state: 'completed' })
    expect(told.get('all')?.map(({ state }) => state)).toEqual(['open', 'resolved'])
  })

  test('tries again what was not taken, with more and more time between, and goes back when the deadline is over', async () => {
    let refusals = 3
    deployments.set('machines', async () => {
      if (refusals-- > 0) throw outside('busy', 'the machines', 'they answered 429', 5_000)
    })
    const { id } = await begin('key', false)
    expect(await opened().finish(id)).toMatchObject({ state: 'completed' })
    expect((await (await opened().start()).run(id)).steps.find(({ step }) => step === 'deploy:promote')).toMatchObject({ tries: 4 })
    refusals = Number.POSITIVE_INFINITY
    const next = await (await opened().start()).rotate('key')
    // The way back is never given up: it waits until the machines can be deployed again.
    const run = await (await opened().start()).settle(next.id, { waitMs: 0 })
    expect(run).toMatchObject({ state: 'waiting', direction: 'forward', note: expect.stringContaining('they answered 429') })
    opened().ahead += 3_600_000
    await (await opened().start()).settle(next.id, { waitMs: 0 })
    expect((await (await opened().start()).run(next.id)).run).toMatchObject({ direction: 'back', state: 'waiting' })
    refusals = 0
    expect(await opened().finish(next.id)).toMatchObject({ state: 'rolled-back' })
  })

  test('does not revoke a credential that is still used; a person may', async () => {
    const { id } = await begin('key')
    verdicts.set('unused', () => ({ works: false, later: false, sentence: '2 sessions use it' }))
    expect(await opened().finish(id)).toMatchObject({ state: 'paused', note: expect.stringContaining('2 sessions use it') })
    expect(issuerOf('keys').size).toBe(2)
    const now = await opened().start()
    await now.revoke(id)
    expect(await opened().finish(id)).toMatchObject({ state: 'completed' })
    expect(issuerOf('keys').size).toBe(1)
  })

  test('never forgets a revocation: it is tried until it is done, also after days, and somebody is told', async () => {
    const { id } = await begin('guided')
    let down = true
    instead.set('guided', {
      ...instead.get('guided'),
      revoke: async () => {
        if (down) throw outside('busy', 'the issuer', 'it answered 503')
        ended = true
      },
    })
    await opened().start()
    const given = await opened()
      .finish(
        id,
        async (run, now) => {
          if (run.facts.task === undefined) return false
          await now.provide(run.id, { value: 'sk-good' })
          opened().ahead += 7_200_000
          return true
        },
        { turns: 40 },
      )
      .catch((error: Error) => error.message)
    expect(given).toBe('the run does not end')
    expect(told.get('all')?.map(({ condition }) => condition)).toContain('revocation')
    down = false
    expect(await opened().finish(id)).toMatchObject({ state: 'completed' })
    expect(ended).toBe(true)
  })

  test('asks a person for what no API makes, refuses what cannot be it, and asks again when it does not work', async () => {
    const { id } = await begin('guided')
    const now = await opened().start()
    const asked = await now.settle(id, { waitMs: 0 })
    expect(asked).toMatchObject({ state: 'waiting', note: 'waits for a person: Make a key in the console' })
    expect(asked.facts.task?.paste).toEqual([{ part: 'value', label: 'the key', pattern: 'sk-[a-z]+' }])
    expect(told.get('all')?.map(({ condition }) => condition)).toEqual(['task'])
    for (const wrong of [{}, { value: 'SECRET-of-someone' }, { value: 'sk-a\nb' }, { value: 'sk-good', other: 'x' }])
      await expect(now.provide(id, wrong as Record<string, string>)).rejects.toMatchObject({ code: 'ERR_PROVIDED' })
    await expect(now.provide(id, { value: 'SECRET-of-someone' })).rejects.not.toThrow('SECRET')
    await now.provide(id, { value: ' sk-bad\n' })
    const again = await now.settle(id, { waitMs: 0 })
    expect(again).toMatchObject({ state: 'waiting', note: expect.stringContaining('waits for a person') })
    await now.provide(id, { value: 'sk-good' })
    expect(await opened().finish(id)).toMatchObject({ state: 'completed' })
    expect([values().GUIDED, ended, await opened().sealed()]).toEqual(['sk-good', true, 1])
  })

  test('asks a person which of several unknown credentials are its own', async () => {
    issuers.clear()
    const first = issue('keys', null)
    world = new SecretsWorld({
      pglite: pglite(),
      secrets: { key: { ...(secrets.key as SecretConfig), rotator: { rotator: `${parts}/issuer.ts`, id: 'keys', named: false } } },
      env: { FIRST_KEY: first.value },
    })
    const { id } = await begin('key')
    let lostOnce = false
    let foreign = ''
    opened().around = async ({ step }, work) => {
      const result = await work()
      if (step !== 'create' || lostOnce || issuerOf('keys').size < 2) return result
      lostOnce = true
      foreign = issue('keys', null).id
      throw lost()
    }
    const paused = await opened().finish(id)
    expect(paused).toMatchObject({ state: 'paused', note: expect.stringContaining('--remove ID') })
    expect(paused.facts.asks?.ids).toHaveLength(2)
    const ours = paused.facts.asks?.ids.filter((each) => each !== foreign) ?? []
    const now = await opened().start()
    await expect(now.resume(id, { remove: ['key-of-nobody'] })).rejects.toMatchObject({ code: 'ERR_USAGE' })
    await now.resume(id, { remove: ours, keep: [foreign] })
    expect(await opened().finish(id)).toMatchObject({ state: 'completed' })
    expect([...issuerOf('keys').keys()]).toContain(foreign)
    expect(issuerOf('keys').size).toBe(2)
  })

  test('ends an orphan that its issuer shows only after the run is over', async () => {
    const { id } = await begin('key')
    let hidden: ReturnType<typeof issue> | undefined
    opened().around = async ({ step }, work) => {
      const result = await work()
      if (step !== 'create' || hidden !== undefined || issuerOf('keys').size < 2) return result
      hidden = [...issuerOf('keys').values()].at(-1)
      issuerOf('keys').delete(hidden?.id ?? '')
      throw lost()
    }
    expect(await opened().finish(id)).toMatchObject({ state: 'completed' })
    if (hidden === undefined) throw new Error('no call was lost')
    issuerOf('keys').set(hidden.id, hidden)
    const now = await opened().start()
    await now.attend()
    expect(issuerOf('keys').size).toBe(2)
    opened().ahead += 1_000_000
    await now.attend()
    expect([...issuerOf('keys').values()].map(({ value }) => value)).toEqual([values().KEY])
  })

  test('is refused where there is one; a process that works on it keeps others away, and goes back when somebody wants it', async () => {
    const { id } = await begin('key')
    const now = await opened().start()
    await expect(now.rotate('key')).rejects.toMatchObject({ code: 'ERR_RUN_RUNNING' })
    let asked: Promise<unknown> | undefined
    deployments.set('machines', async () => {
      if (asked !== undefined) return
      await expect(now.settle(id)).rejects.toMatchObject({ code: 'ERR_RUN_LEASE' })
      asked = now.rollback(id)
      await asked
    })
    expect(await now.settle(id, { waitMs: 0 })).toMatchObject({ state: 'rolled-back' })
    expect(issuerOf('keys').size).toBe(1)
  })

  test('brings stores and targets in line with the credential in use, without a rotation; nothing else begins meanwhile', async () => {
    await opened().finish((await begin('key')).id)
    const now = await opened().start()
    const before = values()
    memory.get('app')?.set('KEY', 'what somebody wrote by hand')
    expect(await now.sync({ only: ['key'] })).toMatchObject([{ secret: 'key', name: 'KEY', state: 'differs' }])
    expect(values().KEY).toBe('what somebody wrote by hand')
    let deployed = 0
    deployments.set('machines', async () => {
      deployed++
      await expect(now.rotate('key')).rejects.toMatchObject({ code: 'ERR_RUN_RUNNING' })
    })
    const since = (await now.status('key')).since
    await now.sync({ only: ['key'], apply: true })
    expect([values(), deployed, issuerOf('keys').size, (await now.status('key')).since]).toEqual([before, 1, 1, since])
    expect(await now.sync({ only: ['key'] })).toMatchObject([{ state: 'same' }])
    // One that cannot go on is ended by a person.
    memory.get('app')?.set('KEY', 'once more')
    deployments.set('machines', async () => {
      throw outside('refused', 'the machines', 'they answered 403')
    })
    await now.sync({ only: ['key'], apply: true })
    const [stuck] = await now.history('key')
    expect(stuck).toMatchObject({ state: 'paused', note: expect.stringContaining('they answered 403') })
    await expect(now.rollback(stuck?.id ?? '')).rejects.toMatchObject({ code: 'ERR_RUN_STATE' })
    expect(await now.cancel(stuck?.id ?? '')).toMatchObject({ state: 'cancelled' })
    deployments.clear()
    expect(await opened().finish((await now.rotate('key')).id)).toMatchObject({ state: 'completed' })
    expect([issuerOf('keys').size, await opened().sealed()]).toEqual([1, 1])
  })

  test('whose old credential is being ended cannot be taken back', async () => {
    const { id } = await begin('key')
    await opened().finish(id)
    const now = await opened().start()
    await expect(now.rollback(id)).rejects.toMatchObject({ code: 'ERR_RUN_STATE' })
    await expect(now.cancel(id)).rejects.toMatchObject({ code: 'ERR_RUN_STATE' })
    await expect(now.provide(id, { value: 'x' })).rejects.toMatchObject({ code: 'ERR_RUN_STATE' })
    await expect(now.run('run_of-nobody')).rejects.toMatchObject({ code: 'ERR_UNKNOWN_NAME' })
  })

  test('of a secret that may be known to others has no grace, and those who hear of leaks are told', async () => {
    await begin('key').then(async ({ id }) => await (await opened().start()).cancel(id))
    const now = await opened().start()
    const { id } = await now.rotate('key', { leaked: true })
    expect(await now.settle(id, { waitMs: 0 })).toMatchObject({ state: 'completed' })
    expect(told.get('some')).toMatchObject([
      { condition: 'leak', state: 'open', runbook: 'https://runbooks.example/leak' },
      { state: 'resolved' },
    ])
  })

  test('tells a channel that was down when it is up again, once', async () => {
    failing.set('all', 2)
    await begin('key').then(async ({ id }) => await (await opened().start()).cancel(id))
    const now = await opened().start()
    await now.settle((await now.rotate('key', { leaked: true })).id, { waitMs: 0 })
    expect(told.get('all') ?? []).toEqual([])
    for (let tries = 0; tries < 3; tries++) {
      opened().ahead += 3_600_000
      await now.attend()
    }
    expect(told.get('all')?.map(({ state }) => state)).toEqual(['open', 'resolved'])
  })
})

test('the field in which credentials are sealed is one of the configuration', () => {
  expect(sealedSecrets('app')).toEqual({ 'keyturn.sealed': { column: 'keyturn.sealed.value', keyring: 'app', bind: ['id'] } })
})
