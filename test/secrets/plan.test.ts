import { open } from '@keyturn/core'
import { openSecrets, type SecretConfig, sealedSecrets } from '@keyturn/secrets'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SecretsWorld } from '../conformance/secrets/world.ts'
import { usePglite } from '../harness/pglite.ts'
import { issue } from './parts/issuer.ts'

const parts = './test/secrets/parts'
const env = (name: string) => ({ env: name })
const issuer = { rotator: `${parts}/issuer.ts`, id: 'planned' }
const store = { store: `${parts}/memory-store.ts`, id: 'planned', values: { KEY: '{value}' } }
const shared = { rotator: `${parts}/scripted-rotator.ts`, id: 'shared', needs: ['next', 'previous'] }
const gate = { gate: `${parts}/scripted-gate.ts`, id: 'planned' }

describe('a plan', () => {
  const pglite = usePglite()
  let world: SecretsWorld
  const secrets: Record<string, SecretConfig> = {
    sound: { rotator: issuer, stores: [store], gates: [gate], first: { value: env('FIRST') }, every: '90d', grace: '24h' },
    unknown: { rotator: issuer, stores: [store] },
    short: { rotator: issuer, stores: [store], first: { value: env('FIRST') }, every: '12h', grace: '24h' },
    two: { rotator: shared, stores: [{ ...store, values: { JWT: '{value}', OLD: '{previous.value}' } }], gates: [gate] },
    unseen: { rotator: { ...shared, needs: [] }, stores: [store] },
    one: { rotator: issuer, stores: [store], first: { value: env('FIRST') }, after: ['other'] },
    other: { rotator: issuer, stores: [store], first: { value: env('FIRST') }, after: ['one'] },
    unread: { rotator: issuer, stores: [store], first: { value: env('NOWHERE') } },
    nowhere: { rotator: issuer, stores: [store], first: { value: env('FIRST') }, after: ['nobody'] },
    gap: { rotator: { ...shared, needs: [], issued: true, overlap: false }, stores: [store], first: { value: env('FIRST') } },
  }

  beforeAll(async () => {
    world = new SecretsWorld({ pglite: pglite(), secrets, env: { FIRST: issue('planned', null).value } })
    await world.start()
  })
  afterAll(() => world?.stop())
  const plan = async (name: string) => (await world.start()).plan(name)

  test('says what would be called, in order, and changes nothing', async () => {
    const { steps, findings, gap, hasOld } = await plan('sound')
    expect({ findings, gap, hasOld }).toEqual({ findings: [], gap: false, hasOld: true })
    expect(steps.map(({ step, calls }) => `${step}: ${calls.join('; ')}`)).toEqual([
      `prepare: gate ${gate.gate}`,
      `create: rotator ${issuer.rotator}`,
      `verify: rotator ${issuer.rotator}`,
      `write:promote: store ${store.store}: KEY`,
      'deploy:promote: ',
      `gates:promote: gate ${gate.gate}`,
      'grace: ',
      `unused: `,
      `revoke: rotator ${issuer.rotator}`,
      `confirm: rotator ${issuer.rotator}`,
      `sweep: rotator ${issuer.rotator}`,
    ])
    expect((await (await world.start()).history('sound')).length).toBe(0)
  })

  test.each([
    ['short', 'secrets.short.every', 'the interval is shorter than the grace'],
    ['two', 'secrets.two.stores', 'three deployments are needed'],
    ['unseen', 'secrets.unseen.gates', 'nobody could verify it'],
    ['one', 'secrets.one.after', 'a loop: one after other after one'],
    ['unread', 'secrets.unread.first.value', 'NOWHERE is not set'],
    ['nowhere', 'secrets.nowhere.after[0]', 'there is no secret "nobody"'],
  ])('of %s is refused at %s', async (name, place, sentence) => {
    const { findings } = await plan(name)
    expect(findings[0]).toEqual({ severity: 'fault', place, sentence: expect.stringContaining(sentence) })
    const now = await world.start()
    await expect(now.rotate(name)).rejects.toMatchObject({ code: 'ERR_SECRET_PLAN', message: expect.stringContaining(place) })
    expect(await now.history(name)).toEqual([])
  })

  test('warns of what cannot be revoked, and of a gap in which log-ins are refused', async () => {
    expect((await plan('unknown')).findings).toEqual([
      { severity: 'warning', place: 'secrets.unknown.first', sentence: expect.stringContaining('it will not be revoked') },
    ])
    expect(await plan('gap')).toMatchObject({
      gap: true,
      findings: [{ severity: 'warning', place: 'secrets.gap.rotator', sentence: expect.stringContaining('log-ins are refused') }],
    })
  })

  test('of a secret that is not there names the nearest', async () => {
    await expect(plan('soundd')).rejects.toMatchObject({ code: 'ERR_UNKNOWN_NAME', message: expect.stringContaining('"sound"') })
  })

  test('a secret is begun by itself when it is due, once, and not before those that it comes after', async () => {
    const due = new SecretsWorld({
      pglite: pglite(),
      secrets: {
        first: { rotator: issuer, stores: [store], first: { value: env('FIRST') }, every: '30d', automatic: true, grace: '1h' },
        second: {
          rotator: issuer,
          stores: [store],
          first: { value: env('FIRST') },
          every: '30d',
          automatic: true,
          grace: '1h',
          after: ['first'],
        },
        byHand: { rotator: issuer, stores: [store], first: { value: env('FIRST') }, every: '30d' },
      },
      env: { FIRST: issue('planned', null).value },
    })
    const [one, another] = [await due.start(), await due.start()]
    const begun = [...(await one.beginDue()), ...(await another.beginDue())]
    expect(begun.map(({ secret, startedBy }) => [secret, startedBy])).toEqual([['first', 'server:policy']])
    await due.finish(begun[0]?.id ?? '')
    const next = await (await due.start()).beginDue()
    expect(next.map(({ secret }) => secret)).toEqual(['second'])
    await due.finish(next[0]?.id ?? '')
    const now = await due.start()
    expect(await now.beginDue()).toEqual([])
    expect((await now.list()).map(({ name, overdue, beginsAt }) => [name, overdue, beginsAt === null])).toEqual([
      ['byHand', true, true],
      ['first', false, false],
      ['second', false, false],
    ])
    due.ahead += 31 * 86_400_000
    expect((await now.beginDue()).map(({ secret }) => secret)).toEqual(['first'])
    await due.stop()
  })
})

describe('what is wrong in a configuration', () => {
  const pglite = usePglite()
  const valid: SecretConfig = { rotator: issuer, stores: [store] }
  const key = 'sk-proj-0123456789abcdefghijABCDEFGHIJ'

  test.each<[string, object, string, string]>([
    ['an unknown rotator', { it: { rotator: { rotator: 'openay-key' } } }, 'ERR_UNKNOWN_DRIVER', 'It stands at secrets.it.rotator'],
    ['a module that is not there', { it: { rotator: { rotator: './own.ts' } } }, 'ERR_CONFIG', 'secrets.it.rotator: the module '],
    ['an unknown store', { it: { ...valid, stores: [{ store: 'flyy', values: {} }] } }, 'ERR_UNKNOWN_DRIVER', 'there is no store named'],
    [
      'an option that is not there',
      { it: { rotator: { ...issuer, colour: key } } },
      'ERR_CONFIG',
      'secrets.it.rotator: there is no property "colour" here',
    ],
    ['a property that is not there', { it: { ...valid, evry: '90d' } }, 'ERR_CONFIG', 'secrets.it: there is no property "evry" here'],
    ['no period', { it: { ...valid, every: key } }, 'ERR_CONFIG', 'secrets.it.every: expected a period'],
    ['no window', { it: { ...valid, window: '9-17' } }, 'ERR_CONFIG', 'secrets.it.window: expected hours in UTC'],
    [
      'a value in place of its variable',
      { it: { ...valid, first: { value: key } } },
      'ERR_CONFIG',
      'secrets.it.first.value: expected { "env": "NAME" }',
    ],
    [
      'a part that the rotator has not',
      { it: { ...valid, stores: [{ ...store, values: { KEY: '{valeu}' } }] } },
      'ERR_CONFIG',
      'no part "valeu"',
    ],
    [
      'a first part that the rotator has not',
      { it: { ...valid, first: { password: env('X') } } },
      'ERR_CONFIG',
      'secrets.it.first.password',
    ],
    ['no rotator', { it: { stores: [store] } }, 'ERR_CONFIG', 'secrets.it.rotator'],
  ])('%s is refused with its place, and no value is printed', async (_, secrets, code, sentence) => {
    const config = { keyrings: { app: { root: env('ROOT') } }, fields: sealedSecrets('app'), secrets: secrets as Record<string, object> }
    const keyturn = await open(config, { pglite: pglite(), env: { ROOT: '5e'.repeat(32) }, warn: () => {} })
    try {
      const error = await openSecrets(keyturn, { pglite: pglite() }).catch((caught: Error) => caught)
      expect(error).toMatchObject({ code, message: expect.stringContaining(sentence) })
      expect(String(error)).not.toContain(key)
    } finally {
      await keyturn.close()
    }
  })

  test('secrets without a field to seal them in are refused', async () => {
    const config = { keyrings: { app: { root: env('ROOT') } }, fields: {}, secrets: { it: valid } }
    const keyturn = await open(config, { pglite: pglite(), env: { ROOT: '5e'.repeat(32) }, warn: () => {} })
    await expect(openSecrets(keyturn, { pglite: pglite() })).rejects.toMatchObject({
      code: 'ERR_CONFIG',
      message: expect.stringContaining('sealedSecrets'),
    })
    await keyturn.close()
  })
})
