import type { Run, SecretConfig, Target } from '@keyturn/secrets'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { callOf } from '../../harness/parts.ts'
import { usePglite } from '../../harness/pglite.ts'
import { issue, issuerOf } from '../../secrets/parts/issuer.ts'
import { Died, lost, SecretsWorld } from './world.ts'

/** A target, the consumers behind it, and the store that they read. */
export interface TargetUnderTest {
  /** Without `values`: the suite writes `KEY`. It holds what the issuer made first. */
  readonly store: { readonly store: string; readonly [option: string]: unknown }
  readonly config: { readonly target: string; readonly [option: string]: unknown }
  /** What both read from variables: of these nothing may be kept. */
  readonly env: { readonly [name: string]: string }
  /** The same target, to be called without the engine. */
  readonly part: Target
  /** What each consumer uses now. */
  running(): Promise<readonly (string | undefined)[]>
  /** How often consumers took values, or their hook was told to have them take some; repetitions that it knows again are one. */
  deployments(): Promise<number>
  /** What the target sent or handed on where no value belongs. */
  sent(): Promise<string>
  /** The next call takes effect and its answer is lost on the way. */
  lose(): void | Promise<void>
  /** The next call is refused and does nothing. */
  refuse(): void | Promise<void>
  /** The next call does not end. @returns whether it is under way */
  hang(): (() => boolean) | Promise<() => Promise<boolean>>
  close(): Promise<void>
}

const modes = ['dies before', 'dies after', 'loses the answer of', 'loses on the way the answer of'] as const

/**
 * What every target must keep: whatever dies in between, each consumer uses a value that is accepted, the old one or the new one, and in the end all
 * use the new one, which they took once; a refusal brings them back; no value goes anywhere but through the store.
 */
export function targetConformance(name: string, open: (first: string) => Promise<TargetUnderTest>): void {
  describe(`${name}: what every target keeps`, () => {
    const pglite = usePglite()
    const issuer = `issuer for the target ${name}`
    let under: TargetUnderTest
    let world: SecretsWorld
    const seen = new Set<string>()
    const live = () => [...issuerOf(issuer).values()].map(({ value }) => value)

    beforeAll(async () => {
      const first = issue(issuer, null)
      under = await open(first.value)
      world = new SecretsWorld({
        pglite: pglite(),
        env: { ...under.env, FIRST: first.value },
        secrets: {
          it: {
            rotator: { rotator: './test/secrets/parts/issuer.ts', id: issuer },
            stores: [{ ...under.store, values: { KEY: '{value}' } }] as SecretConfig['stores'] & object,
            targets: [under.config] as SecretConfig['targets'] & object,
            first: { value: { env: 'FIRST' } },
            grace: '1m',
            deadline: '2h',
          },
        },
      })
    })
    afterAll(async () => {
      await world?.stop()
      await under?.close()
    })

    /** A rotation; at its first deployment stands `around`. Tells what consumers used that the issuer would not let in. */
    async function rotated(
      around: (work: () => Promise<unknown>) => Promise<unknown>,
    ): Promise<{ run: Run; gaps: string[]; deployed: number }> {
      const before = await under.deployments()
      const { id } = await (await world.start()).rotate('it')
      const gaps: string[] = []
      let met = false
      world.around = async ({ step }, work) => {
        for (const value of live()) seen.add(value)
        const isMet = met
        met ||= step === 'deploy:promote'
        try {
          return (await (met && !isMet ? around(work) : work())) as Awaited<ReturnType<typeof work>>
        } finally {
          for (const value of await under.running()) if (value === undefined || !live().includes(value)) gaps.push(step)
        }
      }
      try {
        const run = await world.finish(id)
        return { run, gaps, deployed: (await under.deployments()) - before }
      } finally {
        world.around = undefined
      }
    }

    /** All consumers use the one credential that there is. */
    async function expectOne(what: string): Promise<void> {
      const all = await under.running()
      expect([what, all.length > 0, [...new Set(all)]]).toEqual([what, true, live()])
    }

    test('a rotation has every consumer take the new value, and lets none without one', async () => {
      const before = await under.running()
      const { run, gaps, deployed } = await rotated((work) => work())
      expect([run.state, run.note, gaps, deployed]).toEqual(['completed', null, [], 1])
      expect((await under.running()).filter((value) => before.includes(value))).toEqual([])
      await expectOne('after it')
    })

    test('a process that dies before or after the call, or does not hear its answer, repeats it, and consumers take the value once', async () => {
      for (const mode of modes) {
        const { run, gaps, deployed } = await rotated(async (work) => {
          if (mode === 'dies before') throw new Died()
          if (mode === 'loses on the way the answer of') await under.lose()
          const result = await work()
          if (mode === 'dies after') throw new Died()
          if (mode === 'loses the answer of') throw lost()
          return result
        })
        expect([mode, run.state, run.note, gaps, deployed]).toEqual([mode, 'completed', null, [], 1])
        await expectOne(mode)
      }
    })

    test('a refusal takes the run back, and consumers use what they used before', async () => {
      const before = await under.running()
      const { run, gaps } = await rotated(async (work) => {
        await under.refuse()
        return await work()
      })
      expect([run.state, gaps]).toEqual(['rolled-back', []])
      expect(run.note).not.toBeNull()
      expect(await under.running()).toEqual(before)
      await expectOne('after a refusal')
    })

    test('it ends with its signal, and consumers still have a value', async () => {
      const before = await under.running()
      const isUnderWay = await under.hang()
      const stop = new AbortController()
      const deployed = under.part.deploy(callOf({ signal: stop.signal }), {}).catch((error: unknown) => error)
      await expect.poll(async () => await isUnderWay()).toBe(true)
      stop.abort()
      expect(await deployed).toMatchObject({ code: 'ERR_OUTSIDE_UNCERTAIN' })
      expect(await under.running()).toEqual(before)
    })

    test('no value stands in its evidence, in an error, in what it sent, or anywhere in the state', async () => {
      const texts = [await world.written(), await under.sent()]
      expect(seen.size).toBeGreaterThan(modes.length)
      const all = [...seen, ...Object.values(under.env)]
      expect(all.filter((value) => texts.some((text) => text.includes(value)))).toEqual([])
    })
  })
}
