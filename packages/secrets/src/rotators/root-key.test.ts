import { setTimeout as sleep } from 'node:timers/promises'
import type { RootConfig } from '@keyturn/core'
import local from '@keyturn/core/key-wrappers/local'
import { sealedSecrets } from '@keyturn/secrets'
import { afterEach, describe, expect, test } from 'vitest'
import { Died, lost } from '../../../../test/conformance/secrets/world.ts'
import { count } from '../../../../test/harness/counts.ts'
import { usePglite } from '../../../../test/harness/pglite.ts'
import { useDatabase } from '../../../../test/harness/postgres.ts'
import { memory } from '../../../../test/secrets/parts/memory-store.ts'
import { TurnedApplication, type TurnedOptions } from '../../../../test/secrets/parts/turned-application.ts'

const pglite = usePglite()
const server = useDatabase()
const bases: [string, () => TurnedOptions['base']][] = [
  ['PGlite', () => ({ pglite: pglite() })],
  ['PostgreSQL', () => ({ pool: server.pool })],
]
const first = '5e'.repeat(32)
const three = {
  root: [{ env: 'ROOT' }, { env: 'NEXT_ROOT' }, { env: 'PREVIOUS_ROOT' }],
  values: { ROOT: '{key}', NEXT_ROOT: '{next.key}', PREVIOUS_ROOT: '{previous.key}' },
}
const one = { root: { env: 'ROOT' }, values: { ROOT: '{key}' } }

let opened: TurnedApplication[] = []
afterEach(async () => {
  for (const each of opened) {
    await each.stop()
    await each.sql('DROP SCHEMA IF EXISTS keyturn CASCADE')
    await each.sql('DROP TABLE IF EXISTS notes')
  }
  opened = []
})

interface Shape {
  readonly root: RootConfig | readonly RootConfig[]
  readonly values: { readonly [name: string]: string }
}

async function application(base: TurnedOptions['base'], { root, values }: Shape, given: { keyrings?: object; rotator?: object } = {}) {
  memory.set('roots', new Map([['ROOT', first]]))
  // What a process has that starts now: what the store holds.
  const env = () => ({ ...Object.fromEntries(memory.get('roots') ?? []), PASS: 'a passphrase of a person', OWN: '7b'.repeat(32) })
  const config = {
    refreshMs: 500,
    keyrings: { app: { root }, vault: { root }, ...given.keyrings },
    fields: { ...sealedSecrets('app'), note: { column: 'notes.body', keyring: 'vault', bind: ['id'] } },
    secrets: {
      root: {
        rotator: { rotator: 'root-key', keyrings: ['app', 'vault'], ...given.rotator },
        stores: [{ store: './test/secrets/parts/memory-store.ts', id: 'roots', values }],
        grace: '1m',
        deadline: '2h',
      },
    },
  }
  const app = new TurnedApplication({ base, config, env })
  opened.push(app)
  await app.sql('CREATE TABLE notes (id int PRIMARY KEY, body text)')
  const { keyturn, secrets } = await app.start()
  await app.fill(keyturn, 'note', 'notes', 8)
  return { app, keyturn, secrets }
}

const stored = () => Object.fromEntries(memory.get('roots') ?? [])
const opensAlone = async (app: TurnedApplication, key: string) => {
  const keyturn = await app.process()
  const found = await Promise.all(['app', 'vault'].map((name) => keyturn.opensUnder(name, local({ key }))))
  return found.map(({ keys, opened: of }) => (of === keys ? 'all' : of))
}

/** What stands in the state for everybody who reads the database. */
const written = async (app: TurnedApplication) => {
  const tables = ['secret', 'secret_run', 'secret_step', 'secret_notice', 'audit_event', 'sealed', 'key_wrapping']
  const texts: string[] = []
  for (const table of tables) texts.push(JSON.stringify((await app.sql(`SELECT * FROM keyturn.${table}`)).rows))
  return texts.join('\n')
}

/** Looks with a process that started before everything, and with one that starts at this moment, after every call. */
async function watched(app: TurnedApplication) {
  const early = await app.process()
  const unread: unknown[] = []
  return {
    unread,
    async look(step: string) {
      const fresh = await app.process()
      for (const [who, process] of Object.entries({ early, fresh })) {
        const bad = await app.lost(process, 'note', 'notes')
        if (bad.length > 0) unread.push([step, who, bad])
        // Both also encrypt.
        await process.field('note').encrypt('more', { id: 0 })
      }
      await fresh.close()
    },
  }
}

describe.each(bases)('a root key, on %s', (_, base) => {
  for (const [shape, given] of Object.entries({ three, one })) {
    test(`with ${shape} deployments every process opens everything at every moment, and in the end the old one opens nothing`, async () => {
      const { app, secrets } = await application(base(), given)
      expect((await secrets.plan('root')).findings.filter(({ severity }) => severity === 'fault')).toEqual([])
      const { unread, look } = await watched(app)
      app.around = async ({ step }, work) => {
        const done = await work()
        await look(step)
        return done
      }
      const { id } = await secrets.rotate('root')
      const run = await app.finish(id)
      app.around = undefined
      expect([run.state, run.note, unread]).toEqual(['completed', null, []])
      const { ROOT: next = '', ...rest } = stored()
      expect([rest, next === first]).toEqual([{}, false])
      expect([await opensAlone(app, first), await opensAlone(app, next)]).toEqual([
        [0, 0],
        ['all', 'all'],
      ])
      expect(await app.lost(await app.process(), 'note', 'notes')).toEqual([])
      const text = await written(app)
      expect([text.includes(next), text.includes(first)]).toEqual([false, false])
      expect((await app.sql('SELECT count(*)::int AS count FROM keyturn.sealed')).rows).toEqual([{ count: 1 }])
      memory.set('roots', new Map([['ROOT', first]]))
      await expect(app.process()).rejects.toMatchObject({ code: 'ERR_ROOT_KEY' })
    })
  }

  test('a process that dies at any call loses no root key: one that starts then goes on, with what the stores hold', async () => {
    const { app, secrets } = await application(base(), three)
    const calls: string[] = []
    app.around = async ({ step }, work) => {
      calls.push(step)
      return await work()
    }
    expect((await app.finish((await secrets.rotate('root')).id)).state).toBe('completed')
    const points = calls.flatMap((step, index) => (['before', 'after', 'lost'] as const).map((mode) => ({ step, index, mode })))
    const few = ['create', 'write:announce', 'write:promote', 'write:withdraw', 'revoke']
    for (const { step, index, mode } of points.filter((at) => count(0, 1) === 1 || (at.mode === 'after' && few.includes(at.step)))) {
      await app.stop()
      const before = stored().ROOT ?? ''
      const { unread, look } = await watched(app)
      let met = 0
      app.around = async (at, work) => {
        try {
          if (met++ !== index) return await work()
          if (mode === 'before') throw new Died()
          await work()
          throw mode === 'after' ? new Died() : lost()
        } finally {
          await look(at.step)
        }
      }
      const run = await app.finish((await (await app.start()).secrets.rotate('root')).id)
      app.around = undefined
      const what = `${mode} call ${index + 1} (${step})`
      expect([what, run.state, run.note, unread]).toEqual([what, 'completed', null, []])
      const { ROOT: next = '' } = stored()
      expect([what, await opensAlone(app, before), await opensAlone(app, next)]).toEqual([what, [0, 0], ['all', 'all']])
      expect(Object.keys(stored())).toEqual(['ROOT'])
    }
  }, 300_000)

  test('a run is taken back from every step: the stores are as before, and the new root key opens nothing', async () => {
    const { app } = await application(base(), three)
    const made = new Set<string>()
    for (const step of ['create', 'write:announce', 'write:promote', 'unused', 'write:withdraw']) {
      const { id } = await (await app.start()).secrets.rotate('root')
      app.around = async (at, work) => {
        const done = await work()
        for (const value of Object.values(stored())) made.add(value)
        if (at.step !== step) return done
        app.around = undefined
        throw new Died()
      }
      const run = await app.finish(id, (next) => next.rollback(id))
      expect([step, run.state, run.note]).toEqual([step, 'rolled-back', 'rolled back by test'])
      expect([step, stored()]).toEqual([step, { ROOT: first }])
      expect([step, await opensAlone(app, first)]).toEqual([step, ['all', 'all']])
      expect(await app.lost(await app.process(), 'note', 'notes')).toEqual([])
      await app.stop()
    }
    made.delete(first)
    expect(made.size).toBeGreaterThan(2)
    for (const key of made) expect(await opensAlone(app, key)).toEqual([0, 0])
  }, 300_000)
})

describe('what keeps a root key from being lost', () => {
  const base = () => ({ pglite: pglite() })

  test('a process that was not restarted drops nothing: the run waits at the revocation, and one with the new root key ends it', async () => {
    const { app, secrets } = await application(base(), one)
    const { id } = await secrets.rotate('root')
    // One process with the old environment, however long it tries.
    let note: string | null = null
    for (let turns = 0; turns < 40 && !note?.includes('Restart it'); turns++) {
      const run = await secrets.settle(id, { waitMs: 0 })
      note = run.note
      app.ahead += Math.max(1_000, (run.wakeAt ?? 0) - Date.now() - app.ahead)
    }
    expect(note).toMatch(/^revoke is tried again: .*Restart it with the one that remains/)
    expect([await opensAlone(app, first), await opensAlone(app, stored().ROOT ?? '')]).toEqual([
      ['all', 'all'],
      ['all', 'all'],
    ])
    await expect(secrets.rollback(id)).rejects.toMatchObject({ code: 'ERR_RUN_STATE' })
    const run = await app.finish(id)
    expect(run.state).toBe('completed')
    expect(await opensAlone(app, first)).toEqual([0, 0])
  })

  test('a key version that is made in the middle opens under the new root key, or is refused: none is lost', async () => {
    const { app, secrets } = await application(base(), three)
    const old = await app.process()
    const outcomes: string[] = []
    app.around = async ({ step }, work) => {
      const done = await work()
      if (step !== 'create' && step !== 'write:promote') return done
      const fresh = await app.process()
      for (const process of [old, fresh])
        outcomes.push(
          await process.rotate('vault').then(
            ({ state }) => `${step} ${state}`,
            (error: { code?: string }) => `${step} ${error.code}`,
          ),
        )
      return done
    }
    const run = await app.finish((await secrets.rotate('root')).id)
    expect([run.state, run.note]).toEqual(['completed', null])
    // With the old root key alone a new version would be one that others cannot open.
    expect(outcomes).toEqual(['create ERR_USAGE', 'create ERR_USAGE', 'write:promote ERR_USAGE', 'write:promote completed'])
    await sleep(200)
    expect([await opensAlone(app, first), await opensAlone(app, stored().ROOT ?? '')]).toEqual([
      [0, 0],
      ['all', 'all'],
    ])
    expect(await app.lost(await app.process(), 'note', 'notes')).toEqual([])
  })

  test.each([
    ['a keyring that is left out', one, { rotator: { keyrings: ['app'] } }, /keyring "vault" is wrapped under the same root key/],
    ['no store that takes it', { ...one, values: { ID: '{rootId}' } }, {}, /would stand nowhere/],
    ['an unknown keyring', one, { rotator: { keyrings: ['app', 'vault', 'vau1t'] } }, /no keyring "vau1t"/],
    [
      'a passphrase',
      one,
      {
        keyrings: { phrase: { root: { wrapper: 'local', passphrase: { env: 'PASS' }, id: 'ops' } } },
        rotator: { keyrings: ['app', 'vault', 'phrase'] },
      },
      /passphrase. Move it by hand/,
    ],
    [
      'another encoding',
      { ...one, root: { wrapper: 'local', key: { env: 'ROOT' }, encoding: 'hex' } },
      { rotator: { format: 'base64' } },
      /Set "format"/,
    ],
    [
      'a root key of its own',
      one,
      { keyrings: { own: { root: { env: 'OWN' } } }, rotator: { keyrings: ['app', 'vault', 'own'] } },
      /of their own/,
    ],
  ])('%s is refused at the plan', async (_, shape, given, words) => {
    const { secrets } = await application(base(), shape as Shape, given)
    await expect(secrets.rotate('root')).rejects.toMatchObject({ code: 'ERR_SECRET_PLAN', message: expect.stringMatching(words) })
  })

  test('a root key in AWS KMS is refused, and its sentence says what KMS does', async () => {
    const { checkRoot } = await import('./root-key/check.ts')
    const keyrings = { app: { root: { wrapper: 'aws-kms', keyId: 'arn:aws:kms:eu-central-1:1:key/1' } } }
    const world = { application: () => ({ keyturn: { config: { keyrings, fields: {}, secrets: {} } } }) } as never
    const looking = { secret: 'root', current: null, opens: async () => ({ keys: 0, opened: 0 }) }
    const found = await checkRoot(world, { keyrings: ['app'], format: 'hex' }, looking)
    expect(found.map(({ sentence }) => sentence).join()).toMatch(/AWS KMS: turn on automatic rotation/)
  })
})
