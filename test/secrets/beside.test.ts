import { schemaSql } from '@keyturn/core'
import { type SecretConfig, secretMigrations } from '@keyturn/secrets'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { SecretsWorld } from '../conformance/secrets/world.ts'
import { usePglite } from '../harness/pglite.ts'
import { issue, issuerOf, issuers } from './parts/issuer.ts'
import { memory } from './parts/memory-store.ts'
import { failing, told } from './parts/scripted-alert.ts'
import { verdicts } from './parts/scripted-gate.ts'
import { instead } from './parts/scripted-rotator.ts'
import { deployments } from './parts/scripted-target.ts'

const parts = './test/secrets/parts'
const store = (values: Record<string, string>) => ({ store: `${parts}/memory-store.ts`, id: 'app', values })
const of = (id: string, more: Partial<SecretConfig> = {}): SecretConfig => ({
  rotator: { rotator: `${parts}/issuer.ts`, id },
  stores: [store({ [id]: '{value}' })],
  first: { value: { env: `FIRST_${id}` } },
  ...more,
})

describe('what stands beside a run', () => {
  const pglite = usePglite()
  let world: SecretsWorld | undefined
  const env: Record<string, string> = {}
  const opened = () => {
    if (world === undefined) throw new Error('no world')
    return world
  }
  const create = (secrets: Record<string, SecretConfig>, alerts: readonly object[] = []) => {
    world = new SecretsWorld({ pglite: pglite(), secrets, alerts, env })
    return world.start()
  }
  beforeEach(async () => {
    await pglite().exec('DROP SCHEMA IF EXISTS keyturn CASCADE')
    for (const map of [issuers, memory, deployments, told, failing, instead, verdicts]) map.clear()
    for (const id of ['one', 'two']) env[`FIRST_${id}`] = issue(id, null).value
  })
  afterEach(async () => {
    await world?.stop()
    world = undefined
  })

  test('two secrets that are not changed at the same time are not, also by hand, whichever names the other', async () => {
    const now = await create({ one: of('one'), two: of('two', { after: ['one'] }) })
    expect((await now.plan('two')).findings).toEqual([
      { severity: 'warning', place: 'secrets.two.after', sentence: expect.stringContaining('does not wait for "one"') },
    ])
    const { id } = await now.rotate('one')
    await expect(now.rotate('two')).rejects.toMatchObject({
      code: 'ERR_SECRET_PLAN',
      message: expect.stringContaining('secrets.two.after: secret "one" has a run'),
    })
    await now.cancel(id)
    const both = await Promise.allSettled([now.rotate('one'), now.rotate('two')])
    expect(both.map(({ status }) => status).sort(), 'also in the same moment').toEqual(['fulfilled', 'rejected'])
    await now.cancel((await now.status('one')).run?.id ?? (await now.status('two')).run?.id ?? '')
    const second = await now.rotate('two')
    await expect(now.rotate('one')).rejects.toMatchObject({ code: 'ERR_SECRET_PLAN' })
    // What others know waits for nobody.
    expect(await now.rotate('one', { leaked: true })).toMatchObject({ state: 'running' })
    expect((await now.run(second.id)).run.state).toBe('running')
  })

  test('several secrets of one application are written before the first is deployed and looked at', async () => {
    const gates = [{ gate: `${parts}/scripted-gate.ts`, id: 'app' }]
    const targets = [{ target: `${parts}/scripted-target.ts`, id: 'app' }]
    const now = await create({ one: of('one', { gates, targets }), two: of('two', { gates, targets }) })
    for (const name of ['one', 'two']) await now.cancel((await now.rotate(name)).id)
    const well = () => ['one', 'two'].every((id) => memory.get('app')?.get(id) === env[`FIRST_${id}`])
    verdicts.set('app', () =>
      well() ? { works: true, sentence: 'it is well' } : { works: false, later: false, sentence: 'it cannot log in' },
    )
    await now.sync({ apply: true })
    const runs = await Promise.all(['one', 'two'].map(async (name) => (await now.history(name))[0]))
    expect(runs.map((run) => [run?.state, run?.note])).toEqual([
      ['completed', null],
      ['completed', null],
    ])
  })

  test('what a part says when it is looked at is shown without the values that it knows', async () => {
    const value = env.FIRST_one ?? ''
    instead.set('talks', {
      check: async () => [{ severity: 'fault', sentence: `it does not know ${value} nor ${Buffer.from(value).toString('base64')}` }],
    })
    const now = await create({ talks: { ...of('one'), rotator: { rotator: `${parts}/scripted-rotator.ts`, id: 'talks', issued: true } } })
    const error = await now.rotate('talks').catch((caught: Error) => caught)
    expect(error).toMatchObject({ code: 'ERR_SECRET_PLAN', message: expect.stringContaining('it does not know … nor …') })
  })

  test('a rotator that calls a credential by its value is refused: nothing is on record, and nothing is left at the issuer', async () => {
    const made: string[] = []
    instead.set('bare', {
      propose: undefined,
      create: async () => {
        made.push('the-value-of-a-new-credential')
        return { id: 'key/the-value-of-a-new-credential', parts: { value: 'the-value-of-a-new-credential' } }
      },
      verify: async (_: unknown, { parts: { value = '' } }: { parts: { value?: string } }) =>
        value === env.FIRST_one || made.includes(value)
          ? { works: true, sentence: 'it is let in' }
          : { works: false, later: false, sentence: 'it is refused' },
      revoke: async (_: unknown, { id }: { id: string | null }) => {
        if (id === 'key/the-value-of-a-new-credential') made.length = 0
      },
    } as never)
    const now = await create({ bare: { ...of('one'), rotator: { rotator: `${parts}/scripted-rotator.ts`, id: 'bare', issued: true } } })
    const { id } = await now.rotate('bare')
    expect(await opened().finish(id)).toMatchObject({ state: 'rolled-back', note: expect.stringContaining('by its value') })
    expect(made).toEqual([])
    expect(await opened().written()).not.toContain('the-value-of-a-new-credential')
    expect(await opened().sealed()).toBe(1)
  })

  test('a channel that moved in the configuration is told what was for it, and one that is gone is told by the others', async () => {
    const channel = (id: string, more: object = {}) => ({ alert: `${parts}/scripted-alert.ts`, id, name: id, ...more })
    failing.set('night', 1).set('leaks', 1)
    const now = await create({ one: of('one') }, [channel('day', { on: ['task'] }), channel('night'), channel('leaks', { on: ['leak'] })])
    const { id } = await now.rotate('one', { leaked: true })
    await now.attend()
    expect([...told.keys()], 'only what comes later').not.toContain('day')
    told.clear()
    await now.cancel(id).catch(() => undefined)
    await opened().stop()
    const ahead = opened().ahead + 3_600_000
    const later = await create({ one: of('one') }, [channel('night'), channel('day', { on: ['task'] })])
    opened().ahead = ahead
    await later.attend()
    expect(
      told
        .get('night')
        ?.filter(({ state }) => state === 'open')
        .map(({ condition }) => condition),
    ).toEqual(['leak'])
    expect(told.has('day')).toBe(false)
    const { rows } = await pglite().query('SELECT channel FROM keyturn.secret_notice WHERE sent_at IS NULL')
    expect(rows).toEqual([])
    expect(issuerOf('one').size).toBe(1)
  })

  test('what a DBA is given makes all tables, and a role that may make none works with them', async () => {
    await pglite().exec(schemaSql('"keyturn"', [secretMigrations]))
    await pglite().exec(`CREATE ROLE app_of_dba; GRANT USAGE ON SCHEMA keyturn TO app_of_dba;
      GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA keyturn TO app_of_dba; REVOKE CREATE ON SCHEMA public FROM PUBLIC;
      SET ROLE app_of_dba`)
    try {
      const now = await create({ one: of('one', { every: '90d' }) })
      expect((await now.list()).map(({ name }) => name)).toEqual(['one'])
      expect(await opened().finish((await now.rotate('one')).id)).toMatchObject({ state: 'completed' })
    } finally {
      await pglite().exec('RESET ROLE; DROP SCHEMA keyturn CASCADE; DROP OWNED BY app_of_dba; DROP ROLE app_of_dba')
    }
  })
})
