import type { Keyturn } from '@keyturn/core'
import { sealedSecrets } from '@keyturn/secrets'
import { afterEach, describe, expect, test } from 'vitest'
import { Died, lost } from '../../../../test/conformance/secrets/world.ts'
import { count } from '../../../../test/harness/counts.ts'
import { usePglite } from '../../../../test/harness/pglite.ts'
import { useDatabase } from '../../../../test/harness/postgres.ts'
import { TurnedApplication, type TurnedOptions } from '../../../../test/secrets/parts/turned-application.ts'

const pglite = usePglite()
const server = useDatabase()
const env = { ROOT: '5e'.repeat(32), NOTED: '44'.repeat(32) }
const bases: [string, () => TurnedOptions['base']][] = [
  ['PGlite', () => ({ pglite: pglite() })],
  ['PostgreSQL', () => ({ pool: server.pool })],
]
let opened: TurnedApplication[] = []
afterEach(async () => {
  for (const each of opened) {
    await each.stop()
    await each.sql('DROP SCHEMA IF EXISTS keyturn CASCADE')
    await each.sql('DROP TABLE IF EXISTS notes')
  }
  opened = []
})

async function application(base: TurnedOptions['base'], rotator: object = {}, keyrings: object = {}) {
  const config = {
    refreshMs: 500,
    keyrings: { app: { root: { env: 'ROOT' } }, ...keyrings },
    fields: { ...sealedSecrets('app'), note: { column: 'notes.body', keyring: 'app', bind: ['id'] } },
    secrets: { turn: { rotator: { rotator: 'keyring', keyring: 'app', ...rotator }, grace: '1m' } },
  }
  const app = new TurnedApplication({ base, config, env: () => env })
  opened.push(app)
  await app.sql('CREATE TABLE notes (id int PRIMARY KEY, body text)')
  const { keyturn, secrets } = await app.start()
  await app.fill(keyturn, 'note', 'notes', 30)
  return { app, keyturn, secrets }
}

const versions = async (keyturn: Keyturn) => (await keyturn.keyrings('app'))[0]!.versions.map(({ id, state }) => ({ id, state }))
const ended = async (app: TurnedApplication) => {
  const keyturn = await app.process()
  const states = (await versions(keyturn)).map(({ state }) => state)
  return { states, lost: await app.lost(keyturn, 'note', 'notes'), fences: await keyturn.missingFences('app') }
}

describe.each(bases)('a keyring, on %s', (_, base) => {
  test('a run makes one version, moves every value under it, and the database refuses the old one', async () => {
    const { app, keyturn, secrets } = await application(base())
    const [first] = await versions(keyturn)
    const old = await keyturn.field('note').encrypt('late', { id: 31 })
    const plan = await secrets.plan('turn')
    expect(plan.findings.filter(({ severity }) => severity === 'fault')).toEqual([])
    expect(plan.steps.map(({ step }) => step)).toEqual(expect.arrayContaining(['propose', 'create', 'verify', 'revoke', 'confirm']))
    const { id } = await secrets.rotate('turn')
    const run = await app.finish(id)
    expect([run.state, run.note]).toEqual(['completed', null])
    expect(await ended(app)).toEqual({ states: ['retired', 'active'], lost: [], fences: [] })
    const status = await secrets.status('turn')
    expect(status.credentialId).toBe((await versions(await app.process()))[1]?.id)
    expect(run.facts.oldId).toBe(first?.id)
    await expect(app.sql('INSERT INTO notes VALUES (31, $1)', [old])).rejects.toMatchObject({ code: '23514' })
    const { steps } = await secrets.run(id)
    const verdicts = steps.map(({ evidence }) => evidence.verdict)
    expect(verdicts).toContain(`version ${first?.id} is retired: the database refuses it in every column`)
    expect(verdicts).toContain(`version ${status.credentialId} encrypts and opens in every field; all of 32 values are under it`)
    // A certificate of the retirement is there where one could be signed; the event is always.
    const { items } = await keyturn.audit.list({ subject: 'keyring/app' })
    expect(items.map(({ action }) => action)).toEqual(expect.arrayContaining(['version.activate', 'version.retire']))
  })

  test('a process that dies at any call makes no second version and loses no value', async () => {
    const { app, secrets } = await application(base())
    const calls: string[] = []
    app.around = async ({ step }, work) => {
      calls.push(step)
      return await work()
    }
    expect((await app.finish((await secrets.rotate('turn')).id)).state).toBe('completed')
    const points = calls.flatMap((step, index) => (['before', 'after', 'lost'] as const).map((mode) => ({ step, index, mode })))
    const wanted = points.filter(({ step, mode }) => count(0, 1) === 1 || (mode !== 'before' && ['create', 'revoke'].includes(step)))
    let made = 2
    for (const { step, index, mode } of wanted) {
      const reader = await app.process()
      const unread: unknown[] = []
      let met = 0
      app.around = async (_, work) => {
        try {
          if (met++ !== index) return await work()
          if (mode === 'before') throw new Died()
          await work()
          throw mode === 'after' ? new Died() : lost()
        } finally {
          unread.push(...(await app.lost(reader, 'note', 'notes')))
        }
      }
      const { secrets: next } = await app.start()
      const run = await app.finish((await next.rotate('turn')).id)
      app.around = undefined
      const what = `${mode} call ${index + 1} (${step})`
      made++
      const states = Array.from({ length: made }, (_, n) => (n === made - 1 ? 'active' : 'retired'))
      expect([what, run.state, run.note, unread]).toEqual([what, 'completed', null, []])
      expect([what, await ended(app)]).toEqual([what, { states, lost: [], fences: [] }])
      await app.stop()
    }
  }, 300_000)

  test('a run that is taken back leaves the version from before active, every value under it, and the new one retired', async () => {
    const { app, keyturn } = await application(base())
    const [first] = await versions(keyturn)
    for (const step of ['create', 'verify', 'unused']) {
      const { id } = await (await app.start()).secrets.rotate('turn')
      app.around = async (at, work) => {
        if (at.step !== step) return await work()
        await work()
        app.around = undefined
        throw new Died()
      }
      const run = await app.finish(id, (next) => next.rollback(id))
      expect([step, run.state, run.note]).toEqual([step, 'rolled-back', 'rolled back by test'])
      const now = await app.process()
      expect((await versions(now)).find(({ state }) => state === 'active')).toEqual({ id: first?.id, state: 'active' })
      expect((await now.census({ keyring: 'app' })).fields.flatMap(({ groups }) => groups.filter(({ current }) => !current))).toEqual([])
      expect((await ended(app)).lost).toEqual([])
    }
  }, 300_000)

  test('where somebody else has rotated the keyring since the choice, the run has their version and makes none', async () => {
    const { app, secrets, keyturn } = await application(base())
    const { id } = await secrets.rotate('turn')
    app.around = async ({ step }, work) => {
      if (step === 'create') {
        app.around = undefined
        await keyturn.rotate('app')
      }
      return await work()
    }
    expect((await app.finish(id)).state).toBe('completed')
    expect((await ended(app)).states).toEqual(['retired', 'active'])
  })
})

describe('what is refused or not claimed', () => {
  test('keyrings that cannot be rotated in this way are refused at the plan, each with what to do', async () => {
    const others = { outside: { primary: { env: 'NOTED' } }, tokens: { root: { env: 'ROOT' }, sign: 'ES256', tokens: { lifetime: '1h' } } }
    for (const [keyring, words] of [
      ['outside', /environment/],
      ['tokens', /signs tokens/],
      ['ap', /no keyring/],
    ] as const) {
      const { app, secrets } = await application({ pglite: pglite() }, { keyring }, others)
      await expect(secrets.rotate('turn')).rejects.toMatchObject({ code: 'ERR_SECRET_PLAN', message: expect.stringMatching(words) })
      await app.stop()
      await app.sql('DROP SCHEMA keyturn CASCADE')
      await app.sql('DROP TABLE notes')
    }
  })

  test('of a version that is not retired nothing is claimed but that no value is under it', async () => {
    const { app, secrets } = await application({ pglite: pglite() }, { retire: false })
    const { id } = await secrets.rotate('turn')
    expect((await app.finish(id)).state).toBe('completed')
    expect((await ended(app)).states).toEqual(['retiring', 'active'])
    const { steps } = await secrets.run(id)
    expect(steps.map(({ evidence }) => String(evidence.verdict)).join()).toMatch(
      /is not retired. That nothing is written under it is not claimed/,
    )
  })
})
