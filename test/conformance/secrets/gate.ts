import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import type { Gate, SecretConfig } from '@keyturn/secrets'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { callOf } from '../../harness/parts.ts'
import { usePglite } from '../../harness/pglite.ts'
import { issue, issuerOf } from '../../secrets/parts/issuer.ts'
import { Died, lost, SecretsWorld } from './world.ts'

type Asked = Parameters<Gate['look']>[1]

/** A gate and what it looks at. */
export interface GateUnderTest {
  /** The gate; each time one of another process. */
  part(): Gate
  readonly asked: Asked
  /** Values of which nothing may be said: keys, passwords, what a log or an answer repeats. */
  readonly secrets: readonly string[]
  /** Everything that a look could change. */
  state(): Promise<unknown>
  /** From now on what it looks at is so. `silent`: it takes the question and never answers; left out where there is nobody to ask. */
  readonly make: {
    well(): Promise<void> | void
    ill(): Promise<void> | void
    down(): Promise<void> | void
    silent?(): Promise<void> | void
  }
  /** Whether somebody was asked and is silent. */
  isAsked?(): boolean | Promise<boolean>
  /** A log that is gone does not come back by waiting: then it refuses. Everything else may come back. */
  readonly isGone?: true
  close(): Promise<void>
}

/** A server that takes connections and says nothing. */
export async function startMute(): Promise<{ readonly port: number; connections(): number; close(): Promise<void> }> {
  const sockets: Socket[] = []
  const server = createServer((socket) => sockets.push(socket.on('error', () => {})))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => sockets.length,
    close: async () => {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

/**
 * What every gate must keep: it opens for what is well and for nothing else, whoever asks and however often; to look changes nothing; and what it says
 * has no secret in it.
 */
export function gateConformance(name: string, open: () => Promise<GateUnderTest>): void {
  describe(`${name}: what every gate keeps`, () => {
    let under: GateUnderTest
    const said: unknown[] = []

    beforeAll(async () => {
      under = await open()
    })
    afterAll(() => under?.close())

    /** What it says, or how it fails: `{ code }`. */
    async function look(
      signal = new AbortController().signal,
    ): Promise<{ readonly works?: boolean; readonly later?: boolean; readonly code?: string }> {
      const { part, asked } = under
      return await part()
        .look(callOf({ signal }), asked)
        .then(
          (verdict) => {
            said.push(verdict.sentence)
            return verdict
          },
          (error: unknown) => {
            said.push(error)
            return { code: String((error as { readonly code?: string }).code) }
          },
        )
    }
    /** It is asked again: nothing is taken back because nobody answers. */
    const isAskedAgain = ({ works, later, code = '' }: Awaited<ReturnType<typeof look>>) =>
      (works === false && later === true) || /^ERR_OUTSIDE_(BUSY|UNCERTAIN)$/.test(code)

    test('it opens for what is well, for each process that asks, and looking changes nothing', async () => {
      await under.make.well()
      const before = await under.state()
      await under.part().before?.(callOf())
      said.push(await under.part().check(callOf()))
      // A process that dies at the gate is followed by one that asks again.
      for (let process = 0; process < 3; process++) expect(await look()).toMatchObject({ works: true })
      expect(await under.state()).toEqual(before)
    })

    test('it does not open for what is ill, and does when that is over', async () => {
      await under.make.ill()
      const before = await under.state()
      for (let process = 0; process < 2; process++) expect(await look()).toMatchObject({ works: false })
      expect(await under.state()).toEqual(before)
      await under.make.well()
      expect(await look()).toMatchObject({ works: true })
    })

    test('it does not open while nobody answers', async () => {
      await under.make.down()
      const found = await look()
      expect([found, under.isGone ? found.code === 'ERR_OUTSIDE_REFUSED' : isAskedAgain(found)]).toEqual([found, true])
      said.push(await under.part().check(callOf()))
      await under.make.well()
      expect(await look()).toMatchObject({ works: true })
    })

    test('it ends with its signal, and does not open then', async () => {
      await under.make.well()
      const late = await look(AbortSignal.abort())
      expect([late, isAskedAgain(late)]).toEqual([late, true])
      if (under.make.silent === undefined) return
      await under.make.silent()
      const stop = new AbortController()
      const looking = look(stop.signal)
      await expect.poll(async () => await under.isAsked?.()).toBe(true)
      stop.abort()
      const ended = await looking
      expect([ended, isAskedAgain(ended)]).toEqual([ended, true])
      await under.make.well()
      expect(await look()).toMatchObject({ works: true })
    })

    test('no secret is in what it said', () => {
      const texts = said.map((each) => (each instanceof Error ? `${each} ${each.stack} ${each.cause}` : JSON.stringify(each)))
      expect(said.length).toBeGreaterThan(8)
      expect(under.secrets.filter((value) => texts.some((text) => text.includes(value)))).toEqual([])
    })
  })
}

/** A gate in a configuration, which is well whatever the credential is. */
export interface GateInARun {
  readonly config: { readonly gate: string; readonly [option: string]: unknown }
  readonly env?: { readonly [name: string]: string }
  /** The step in which it is asked. */
  readonly step: 'gates:promote' | 'unused'
  close(): Promise<void>
}

/** A run goes on whatever happens at its gate. */
export function gateInARun(name: string, open: () => Promise<GateInARun>): void {
  describe(`${name}: a run at this gate`, () => {
    const pglite = usePglite()

    test('goes on when its process dies before or after the question, or does not hear the answer', async () => {
      const { config, env, step, close } = await open()
      const id = `issuer for the gate ${name}`
      const world = new SecretsWorld({
        pglite: pglite(),
        env: { ...env, FIRST: issue(id, null).value },
        secrets: {
          it: {
            rotator: { rotator: './test/secrets/parts/issuer.ts', id },
            stores: [{ store: './test/secrets/parts/memory-store.ts', id, values: { KEY: '{value}' } }] as SecretConfig['stores'] & object,
            gates: [config] as SecretConfig['gates'] & object,
            first: { value: { env: 'FIRST' } },
            grace: '1m',
          },
        },
      })
      for (const mode of ['dies before', 'dies after', 'loses the answer'] as const) {
        const asked: string[] = []
        world.around = async (at, work) => {
          if (at.step !== step) return await work()
          asked.push(step)
          if (asked.length > 1) return await work()
          if (mode === 'dies before') throw new Died()
          await work()
          throw mode === 'dies after' ? new Died() : lost()
        }
        const run = await world.finish((await (await world.start()).rotate('it')).id)
        expect([mode, run.state, run.note, asked.length > 1, issuerOf(id).size]).toEqual([mode, 'completed', null, true, 1])
      }
      await world.stop()
      await close()
    })
  })
}
