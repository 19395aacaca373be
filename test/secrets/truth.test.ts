import type { SecretConfig } from '@keyturn/secrets'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { openSecret, worldOf } from '../../packages/secrets/src/secret/opened-secret.ts'
import { SecretsWorld } from '../conformance/secrets/world.ts'
import { usePglite } from '../harness/pglite.ts'
import { issue, issuerOf, issuers } from './parts/issuer.ts'
import { memory } from './parts/memory-store.ts'
import { verdicts } from './parts/scripted-gate.ts'
import { instead } from './parts/scripted-rotator.ts'
import { deployments } from './parts/scripted-target.ts'

const parts = './test/secrets/parts'
const store = (id: string, values: Record<string, string>, truth?: true) => ({
  store: `${parts}/memory-store.ts`,
  id,
  values,
  ...(truth && { truth }),
})
const gate = { gate: `${parts}/scripted-gate.ts`, id: 'truth' }
const target = { target: `${parts}/scripted-target.ts`, id: 'truth' }

const secrets: Record<string, SecretConfig> = {
  key: {
    group: 'integrations',
    rotator: { rotator: `${parts}/issuer.ts`, id: 'truth' },
    stores: [store('item', { credential: '{value}' }, true), store('app', { KEY: '{value}' })],
    targets: [target],
    gates: [gate],
    grace: '1m',
  },
  feed: {
    group: 'threat intelligence',
    rotator: { rotator: 'kept' },
    stores: [store('feed', { credential: '{value}' }, true), store('app', { FEED: '{value}' })],
    targets: [target],
    gates: [gate],
    every: '365d',
  },
  byHand: {
    rotator: { rotator: `${parts}/pasted-key.ts`, id: 'by hand' },
    stores: [store('made', { credential: '{value}' }, true), store('app', { MADE: '{value}' })],
    targets: [target],
    gates: [gate],
    grace: '1m',
  },
  shared: {
    rotator: { rotator: `${parts}/scripted-rotator.ts`, id: 'tokens', needs: ['next', 'previous'] },
    stores: [
      store('tokens', { credential: '{value}' }, true),
      store('app', { JWT: '{value}', JWT_NEXT: '{next.value}', JWT_PREVIOUS: '{previous.value}' }),
    ],
    targets: [target],
    gates: [gate],
    grace: '24h',
  },
}

describe('a source of truth', () => {
  const pglite = usePglite()
  let world: SecretsWorld | undefined
  let deployed = 0
  const opened = () => {
    if (world === undefined) throw new Error('no world')
    return world
  }
  const app = () => Object.fromEntries(memory.get('app') ?? [])
  const write = (item: string, credential: string) => memory.set(item, new Map([['credential', credential]]))
  const states = async (only: readonly string[]) =>
    (await (await opened().start()).sync({ only })).map(({ name, state }) => `${name} ${state}`)
  const sync = async (...only: string[]) => (await opened().start()).sync({ only, apply: true, waitMs: 0 })
  const last = async (name: string) => (await (await opened().start()).history(name, 1))[0]

  beforeEach(async () => {
    await world?.stop()
    await pglite().exec('DROP SCHEMA IF EXISTS keyturn CASCADE')
    for (const map of [issuers, memory, verdicts, deployments, instead]) map.clear()
    deployed = 0
    deployments.set('truth', async () => void deployed++)
    write('item', issue('truth', null).value)
    write('feed', 'feed-of-the-first-year')
    write('tokens', 'the-first-secret-of-tokens')
    world = new SecretsWorld({ pglite: pglite(), secrets })
  })
  afterAll(() => world?.stop())

  test('what somebody wrote there is shown by digest, then tried, taken over and deployed; the next one as well', async () => {
    expect(await states(['key', 'feed'])).toEqual(['credential new', 'KEY missing', 'credential new', 'FEED missing'])
    expect([app(), deployed]).toEqual([{}, 0])
    await sync('key', 'feed')
    expect(app()).toEqual({ KEY: memory.get('item')?.get('credential'), FEED: 'feed-of-the-first-year' })
    expect(await states(['key', 'feed'])).toEqual(['credential same', 'KEY same', 'credential same', 'FEED same'])
    expect(deployed).toBe(2)

    const since = (await (await opened().start()).status('feed')).since
    write('feed', 'feed-of-the-next-year')
    const found = await (await opened().start()).sync({ only: ['feed'] })
    expect(found).toMatchObject([{ state: 'new' }, { state: 'differs' }])
    expect(JSON.stringify(found)).not.toContain('of-the')
    await sync('feed')
    expect(app().FEED).toBe('feed-of-the-next-year')
    const now = await opened().start()
    expect((await now.status('feed')).since).not.toBe(since)
    // The one before is not kept, and what was seen holds no value.
    expect(await opened().sealed()).toBe(2)
    expect(await opened().written()).not.toMatch(/of-the-(first|next)-year/)
    expect(await opened().written()).toContain('secret.take')
  })

  test('what is blank or gone there is taken over by nobody: nothing is written anywhere', async () => {
    await sync('key', 'feed')
    const [before, times] = [app(), deployed]
    for (const blank of ['', '  \n', null]) {
      if (blank === null) memory.get('item')?.delete('credential')
      else write('item', blank)
      write('feed', 'of another year')
      expect(await states(['key'])).toEqual(['credential empty', 'KEY same'])
      await expect(sync('feed', 'key')).rejects.toMatchObject({
        code: 'ERR_SECRET_PLAN',
        message: expect.stringMatching(/secrets\.key\.stores\[0\]\.truth.*nothing stands under "credential"/),
      })
      expect([app(), deployed]).toEqual([before, times])
    }
  })

  test('what does not work there is not deployed, and nothing else is begun', async () => {
    await sync('key', 'feed')
    const before = app()
    write('feed', 'of the next year')
    write('item', 'no key of the issuer')
    await expect(sync('feed', 'key')).rejects.toMatchObject({ code: 'ERR_SECRET_PLAN', message: expect.stringContaining('refuses it') })
    write('item', `${issue('truth', null).value}\nwith a break`)
    await expect(sync('feed', 'key')).rejects.toMatchObject({ message: expect.stringContaining('line break') })
    expect(app()).toEqual(before)
  })

  test('where consumers are not healthy with it the one from before stands in the stores again, and the item stays as it was written', async () => {
    await sync('key')
    const before = app()
    const next = issue('truth', null)
    write('item', next.value)
    verdicts.set('truth', ({ current }: { current: { parts: { value?: string } } }) =>
      current.parts.value === next.value
        ? { works: false, later: false, sentence: 'they are refused' }
        : { works: true, sentence: 'they are well' },
    )
    await sync('key')
    expect(await last('key')).toMatchObject({ state: 'rolled-back', note: expect.stringContaining('they are refused') })
    expect(app()).toEqual(before)
    expect(memory.get('item')?.get('credential')).toBe(next.value)
    // Nobody ended a key: that is for whoever made it.
    expect(issuerOf('truth').size).toBe(2)
    expect(await states(['key'])).toEqual(['credential new', 'KEY differs'])
    verdicts.clear()
    await sync('key')
    expect(app().KEY).toBe(next.value)
  })

  test('a first one with which consumers are not well is given up by a person, and the next one is taken over', async () => {
    const bad = memory.get('item')?.get('credential')
    verdicts.set('truth', () => ({ works: false, later: false, sentence: 'they are refused' }))
    await sync('key')
    const stuck = await last('key')
    expect(stuck).toMatchObject({ state: 'paused', note: expect.stringContaining('no way back') })
    verdicts.clear()
    expect(await (await opened().start()).cancel(stuck?.id ?? '')).toMatchObject({ state: 'cancelled' })
    const next = issue('truth', null)
    write('item', next.value)
    await sync('key')
    expect([app().KEY, await opened().sealed()]).toEqual([next.value, 1])
    expect(bad).not.toBe(next.value)
  })

  test('a value that consumers share is announced first and withdrawn last, as in a rotation', async () => {
    await sync('shared')
    write('tokens', 'the-next-secret-of-tokens')
    const seen: object[] = []
    deployments.set('truth', async () => void seen.push(app()))
    await sync('shared')
    expect(await last('shared')).toMatchObject({ state: 'waiting' })
    await opened().finish((await last('shared'))?.id ?? '')
    const [first, next] = ['the-first-secret-of-tokens', 'the-next-secret-of-tokens']
    expect(seen).toEqual([{ JWT: first, JWT_NEXT: next }, { JWT: next, JWT_PREVIOUS: first }, { JWT: next }])
  })

  test('a rotation writes there, begins with what stands there, and not over what somebody wrote', async () => {
    const now = await opened().start()
    const old = memory.get('item')?.get('credential')
    expect(await opened().finish((await now.rotate('key')).id)).toMatchObject({ state: 'completed' })
    expect(memory.get('item')?.get('credential')).toBe(app().KEY)
    expect([...issuerOf('truth').values()].map(({ value }) => value)).toEqual([app().KEY])
    expect(old).not.toBe(app().KEY)
    write('item', issue('truth', null).value)
    const again = await opened().start()
    await expect(again.rotate('key')).rejects.toMatchObject({
      code: 'ERR_SECRET_PLAN',
      message: expect.stringMatching(/stores\[0\]\.truth.*keyturn secrets sync key --apply/),
    })
    await expect(again.rotate('feed')).rejects.toMatchObject({ message: expect.stringContaining('keyturn secrets sync feed --apply') })
  })

  test('a key that a person makes is not ended when its take-over goes back or is given up: whoever made it may use it', async () => {
    const [first, next] = [issue('by hand', null), issue('by hand', null)]
    write('made', first.value)
    await sync('byHand')
    expect(app().MADE).toBe(first.value)
    write('made', next.value)
    verdicts.set('truth', () => ({ works: false, later: true, sentence: 'they are not well yet' }))
    await sync('byHand')
    const run = await last('byHand')
    expect(run).toMatchObject({ state: 'waiting' })
    await (await opened().start()).cancel(run?.id ?? '')
    verdicts.clear()
    expect(await opened().finish(run?.id ?? '')).toMatchObject({ state: 'rolled-back' })
    expect([app().MADE, [...issuerOf('by hand').keys()]]).toEqual([first.value, [first.id, next.id]])
  })

  test('where every store holds it already it is only taken over, and nobody is deployed', async () => {
    memory.set('app', new Map([['FEED', 'feed-of-the-first-year']]))
    await sync('feed')
    expect([deployed, (await (await opened().start()).status('feed')).since]).toEqual([0, expect.any(String)])
  })

  test('a process that dies at any call is followed by one that goes on', async () => {
    await sync('key')
    for (const step of ['take', 'verify', 'write:promote', 'deploy:promote', 'gates:promote']) {
      const next = issue('truth', null)
      write('item', next.value)
      let died = false
      opened().around = async (at, work) => {
        if (at.step !== step || died) return await work()
        died = true
        if (step !== 'verify') await work()
        throw new Error('the process dies')
      }
      await sync('key').catch(() => undefined)
      opened().around = undefined
      opened().ahead += 1_200_000
      expect([step, died, (await opened().finish((await last('key'))?.id ?? '')).state]).toEqual([step, true, 'completed'])
      expect([app().KEY, await opened().sealed()]).toEqual([next.value, 1])
    }
  })

  test('groups are names of secrets; one that nobody has is refused with those there are', async () => {
    const now = await opened().start()
    expect(now.group('threat intelligence')).toEqual(['feed'])
    expect(() => now.group('integration')).toThrow(/integrations/)
  })
})

test.each([
  ['two of them', [store('a', { x: '{value}' }, true), store('b', { x: '{value}' }, true)], 'secrets.it.stores[1].truth'],
  ['a part within a text', [store('a', { x: 'key={value}' }, true)], 'secrets.it.stores[0].values'],
  ['none for what others make', [store('a', { x: '{value}' })], 'secrets.it.stores'],
])('a configuration is refused with its place: %s.', async (_, stores, place) => {
  await expect(openSecret('it', { rotator: { rotator: 'kept' }, stores }, worldOf({}, Date.now))).rejects.toMatchObject({
    code: 'ERR_CONFIG',
    message: expect.stringContaining(place),
  })
})
