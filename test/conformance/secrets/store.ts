import type { PGlite } from '@electric-sql/pglite'
import type { Run, SecretConfig, Secrets } from '@keyturn/secrets'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { count } from '../../harness/counts.ts'
import { usePglite } from '../../harness/pglite.ts'
import { issue, issuerOf } from '../../secrets/parts/issuer.ts'
import { Died, lost, SecretsWorld, type WorldOptions } from './world.ts'

/** A store: a real one, or a double. */
export interface StoreUnderTest {
  /** Without `values`: the suite writes two names. */
  readonly config: { readonly store: string; readonly [option: string]: unknown }
  readonly env?: { readonly [name: string]: string }
  /** The application whose store it is, where it is one of its own, and its database. */
  readonly application?: WorldOptions['application']
  readonly pool?: WorldOptions['pool']
  /** Two names that the store can hold. What stands under them before is a consumer's credential or nothing. */
  readonly names: readonly [current: string, previous: string]
  /** What a consumer reads now, by name; names without a value are left out. */
  read(): Promise<{ readonly [name: string]: string }>
  /** What else stands in the store: it stays as it is. */
  others?(): Promise<unknown>
  /** Between two rotations: a store that lags or limits is told that time has passed. */
  rest?(): Promise<void>
  close(): Promise<void>
}

const modes = ['dies before', 'dies after', 'loses the answer of'] as const

/**
 * What every store must keep: whatever dies in between, consumers read the value of before or the new one, and in the end the right one; going
 * back gives what stood there; nothing else in the store changes.
 */
export function storeConformance(name: string, open: (pglite: PGlite) => Promise<StoreUnderTest>): void {
  describe(`${name}: what every store keeps`, () => {
    const pglite = usePglite()
    const issuer = `issuer for ${name}`
    let under: StoreUnderTest
    let world: SecretsWorld
    let others: unknown
    const live = () => [...issuerOf(issuer).values()].map(({ value }) => value)

    beforeAll(async () => {
      under = await open(pglite())
      const first = issue(issuer, null)
      const [current, previous] = under.names
      world = new SecretsWorld({
        pglite: pglite(),
        ...(under.pool && { pool: under.pool }),
        ...(under.application && { application: under.application }),
        env: { ...under.env, FIRST: first.value },
        secrets: {
          it: {
            rotator: { rotator: './test/secrets/parts/issuer.ts', id: issuer },
            stores: [{ ...under.config, values: { [current]: '{value}', [previous]: '{previous.value}' } }] as SecretConfig['stores'] &
              object,
            first: { value: { env: 'FIRST' } },
            grace: '1m',
            deadline: '2h',
          },
        },
      })
      const secrets = await world.start()
      const run = await secrets.rotate('it')
      await secrets.cancel(run.id)
      await secrets.sync({ apply: true })
      others = await under.others?.()
    })
    afterAll(async () => {
      await world?.stop()
      await under?.close()
    })

    async function person(run: Run, secrets: Secrets): Promise<boolean> {
      if (run.state !== 'paused') return false
      await secrets.resume(run.id)
      return true
    }

    async function rotated(around?: SecretsWorld['around']): Promise<Run> {
      await under.rest?.()
      const { id } = await (await world.start()).rotate('it')
      world.around = around
      try {
        return await world.finish(id, person)
      } finally {
        world.around = undefined
      }
    }

    /** Consumers read the one credential that the issuer has, and nothing else is in the store. */
    async function expectOne(what: string): Promise<void> {
      await under.rest?.()
      const [value] = live()
      expect([what, await under.read(), live().length]).toEqual([what, { [under.names[0]]: value }, 1])
      expect([what, await under.others?.()]).toEqual([what, others])
    }

    test('a rotation puts the new value there, keeps the old one beside it while both are accepted, and takes it away', async () => {
      const before = (await under.read())[under.names[0]]
      const during: unknown[] = []
      const run = await rotated(async ({ step }, work) => {
        const result = await work()
        if (step === 'unused' && during.length === 0) during.push(await under.read())
        return result
      })
      expect([run.state, run.note]).toEqual(['completed', null])
      await expectOne('after it')
      const after = (await under.read())[under.names[0]]
      expect(after).not.toBe(before)
      expect(during).toEqual([{ [under.names[0]]: after, [under.names[1]]: before }])
    })

    test('what stands there is told from what should, without a rotation; drift is mended when told, and not before', async () => {
      const secrets = await world.start()
      const drift = await secrets.sync()
      expect(drift.map((each) => [each.name, each.state])).toEqual([
        [under.names[0], 'same'],
        [under.names[1], 'same'],
      ])
      expect(await secrets.sync({ apply: true })).toEqual(drift)
      await expectOne('after a sync')
    })

    test('a process that dies before or after any call, or does not hear its answer, leaves the right value', async () => {
      const calls: string[] = []
      await rotated(async ({ step }, work) => {
        calls.push(step)
        return await work()
      })
      const points = calls.flatMap((step, index) => modes.map((mode) => ({ step, index, mode })))
      const ours = points.filter(({ step }) => step.startsWith('write:') || step === 'stage')
      for (const { step, index, mode } of count(0, 1) === 1 ? points : ours.filter(({ mode }) => mode !== 'dies before')) {
        let met = 0
        const run = await rotated(async (_, work) => {
          if (met++ !== index) return await work()
          if (mode === 'dies before') throw new Died()
          await work()
          if (mode === 'dies after') throw new Died()
          throw lost()
        })
        const what = `${mode} call ${index + 1} (${step})`
        expect([what, run.state, run.note]).toEqual([what, 'completed', null])
        await expectOne(what)
      }
    })

    test('a rotation that is taken back leaves what stood there before', async () => {
      const calls: string[] = []
      await rotated(async ({ step }, work) => {
        calls.push(step)
        return await work()
      })
      for (const [index, step] of calls.slice(0, calls.indexOf('revoke')).entries()) {
        if (!step.startsWith('write:') && step !== 'stage') continue
        await under.rest?.()
        const before = await under.read()
        const run = await (await world.start()).rotate('it')
        let met = 0
        world.around = async (_, work) => {
          if (met++ !== index) return await work()
          await work()
          throw new Died()
        }
        expect([step, await world.finish(run.id, person, { once: true })]).toEqual([step, null])
        world.around = undefined
        world.ahead += 1_200_000
        await (await world.start()).rollback(run.id)
        expect([step, (await world.finish(run.id, person)).state]).toEqual([step, 'rolled-back'])
        expect([step, await under.read()]).toEqual([step, before])
        await expectOne(`taken back after ${step}`)
      }
    })

    test('no value stands anywhere in the state, in no error and in no event', async () => {
      const written = await world.written()
      expect(live().filter((value) => written.includes(value))).toEqual([])
    })
  })
}
