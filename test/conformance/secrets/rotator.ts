import type { Parts, Run, SecretConfig, Secrets } from '@keyturn/secrets'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { count } from '../../harness/counts.ts'
import { usePglite } from '../../harness/pglite.ts'
import { memory } from '../../secrets/parts/memory-store.ts'
import { Died, lost, SecretsWorld } from './world.ts'

/** A rotator and its issuer: a real server, or a double of one. */
export interface RotatorUnderTest {
  readonly config: SecretConfig['rotator']
  readonly env?: { readonly [name: string]: string }
  /** The parts of a credential that the issuer has made already, which consumers use. */
  readonly first: Parts
  /** What consumers read, by name: `{ DSN: 'postgres://{user}:{password}@…' }`. */
  readonly templates: { readonly [name: string]: string }
  /** Whether a consumer that has read these values is let in, by a fresh connection. */
  login(values: { readonly [name: string]: string }): Promise<boolean>
  /** How many credentials the issuer has for this use that are let in, or could be again. */
  live(): Promise<number>
  /** What a person does who is given a task: makes the credential, or ends the old one. */
  person?(run: Run): Promise<Parts>
  /** Between two rotations: an issuer that delays is told that time has passed. */
  rest?(): Promise<void>
  close(): Promise<void>
}

const modes = ['dies before', 'dies after', 'loses the answer of'] as const

/**
 * What every rotator must keep: the process dies before and after each outside call, answers are lost, a person changes their mind; and in the
 * end there is one credential, consumers were let in all the time, and no secret stands anywhere.
 */
export function rotatorConformance(name: string, open: () => Promise<RotatorUnderTest>): void {
  describe(`${name}: what every rotator keeps`, () => {
    const pglite = usePglite()
    let under: RotatorUnderTest
    let world: SecretsWorld
    const store = `conformance of ${name}`
    const values = () => Object.fromEntries(memory.get(store) ?? [])
    const seen = new Set<string>()
    let overlap = true

    beforeAll(async () => {
      under = await open()
      const first = Object.fromEntries(Object.keys(under.first).map((part) => [part, { env: `FIRST_${part}` }]))
      const env = Object.fromEntries(Object.entries(under.first).map(([part, value]) => [`FIRST_${part}`, value]))
      world = new SecretsWorld({
        pglite: pglite(),
        env: { ...under.env, ...env },
        secrets: {
          it: {
            rotator: under.config,
            stores: [{ store: './test/secrets/parts/memory-store.ts', id: store, values: under.templates }],
            first,
            grace: '1m',
            deadline: '2h',
          },
        },
      })
      memory.delete(store)
      const secrets = await world.start()
      // What the consumers have before the first rotation.
      await begun(secrets)
      overlap = !(await secrets.plan('it')).gap
    })
    afterAll(async () => {
      await world?.stop()
      await under?.close()
    })

    /** The credential from before stands in the store, as after a rotation. */
    async function begun(secrets: Secrets): Promise<void> {
      const run = await secrets.rotate('it')
      await secrets.cancel(run.id)
      await secrets.sync({ apply: true })
      for (const value of Object.values(under.first)) if (value.length > 7) seen.add(value)
    }

    async function note(): Promise<void> {
      for (const value of Object.values(values())) if (value.length > 7) seen.add(value)
    }

    /** A person who does every task, and says of every unknown credential that it is of this run. */
    async function person(run: Run, secrets: Secrets): Promise<boolean> {
      if (run.facts.asks !== undefined) {
        await secrets.resume(run.id, { remove: run.facts.asks.ids })
        return true
      }
      if (run.state === 'paused') {
        await secrets.resume(run.id)
        return true
      }
      if (run.facts.task === undefined || under.person === undefined) return false
      const parts = await under.person(run)
      for (const value of Object.values(parts)) if (value.length > 7) seen.add(value)
      if (run.facts.task.paste.length === 0) return false
      await secrets.provide(run.id, parts)
      return true
    }

    async function rotated(around?: SecretsWorld['around']): Promise<{ run: Run; gaps: string[] }> {
      const gaps: string[] = []
      await under.rest?.()
      const secrets = await world.start()
      const { id } = await secrets.rotate('it')
      world.around = async (at, work) => {
        try {
          return around === undefined ? await work() : await around(at, work)
        } finally {
          await note()
          if (overlap && !(await under.login(values()))) gaps.push(at.step)
        }
      }
      try {
        const run = await world.finish(id, person)
        await note()
        return { run, gaps }
      } finally {
        world.around = undefined
      }
    }

    async function expectOne(what: string): Promise<void> {
      await under.rest?.()
      expect([what, await under.login(values()), await under.live(), await world.sealed()]).toEqual([what, true, 1, 1])
    }

    test('a rotation leaves one credential, which consumers have, and lets them in all the time', async () => {
      const before = values()
      const { run, gaps } = await rotated()
      expect([run.state, run.note, gaps]).toEqual(['completed', null, []])
      expect(values()).not.toEqual(before)
      expect(await under.login(before)).toBe(false)
      await expectOne('after it')
    })

    test('a process that dies before or after any call, or does not hear its answer, leaves nothing behind', async () => {
      const calls: string[] = []
      await rotated(async ({ step }, work) => {
        calls.push(step)
        return await work()
      })
      const points = calls.flatMap((step, index) => modes.map((mode) => ({ step, index, mode })))
      // Those around what cannot be repeated always; the others in the long run.
      const wanted = points.filter(({ step, mode }) => count(0, 1) === 1 || (mode !== 'dies before' && ['create', 'revoke'].includes(step)))
      for (const { step, index, mode } of wanted) {
        let met = 0
        const { run, gaps } = await rotated(async (_, work) => {
          if (met++ !== index) return await work()
          if (mode === 'dies before') throw new Died()
          await work()
          if (mode === 'dies after') throw new Died()
          throw lost()
        })
        const what = `${mode} call ${index + 1} (${step})`
        expect([what, run.state, run.note, gaps]).toEqual([what, 'completed', null, []])
        await expectOne(what)
      }
    })

    test('a rotation is taken back after any call before the old credential is revoked, also by a process that died there', async () => {
      const calls: string[] = []
      await rotated(async ({ step }, work) => {
        calls.push(step)
        return await work()
      })
      const last = calls.includes('revoke') ? calls.indexOf('revoke') : calls.indexOf('confirm')
      const points = (last < 0 ? calls : calls.slice(0, last)).map((step, index) => ({ step, index }))
      const few = ['create', 'write:promote', 'disable']
      for (const { step, index } of count(0, 1) === 1 ? points : points.filter((each) => few.includes(each.step))) {
        await under.rest?.()
        const before = values()
        const run = await (await world.start()).rotate('it')
        let met = 0
        world.around = async (_, work) => {
          if (met++ !== index) return await work()
          await work().catch(() => undefined)
          throw new Died()
        }
        expect([step, await world.finish(run.id, person, { once: true })]).toEqual([step, null])
        world.around = undefined
        await note()
        world.ahead += 1_200_000
        await (await world.start()).rollback(run.id)
        const back = await world.finish(run.id, person)
        expect([step, back.state, values()]).toEqual([step, 'rolled-back', before])
        await expectOne(`taken back after ${step}`)
      }
    })

    test('no value stands anywhere in the state, in no error and in no event', async () => {
      const written = await world.written()
      expect(seen.size).toBeGreaterThan(1)
      expect([...seen].filter((value) => written.includes(value) || written.includes(JSON.stringify(value).slice(1, -1)))).toEqual([])
    })
  })
}
