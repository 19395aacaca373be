import type { Alert, AlertConfig, Notice, SecretConfig } from '@keyturn/secrets'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Fault } from '../../doubles/faults.ts'
import { callOf } from '../../harness/parts.ts'
import { usePglite } from '../../harness/pglite.ts'
import { issue } from '../../secrets/parts/issuer.ts'
import { verdicts } from '../../secrets/parts/scripted-gate.ts'
import { SecretsWorld } from './world.ts'

/** A channel and the receiver behind it. */
export interface AlertUnderTest {
  readonly config: AlertConfig
  /** What it reads from variables: a key, an address with a token. Of these nothing may be kept or said. */
  readonly env: { readonly [name: string]: string }
  /** The same channel, to be called without the engine; each time one of another process. */
  part(): Alert
  /** The next delivery that meets nothing yet meets this. */
  fail(fault: Fault): void
  /** How many deliveries came, whatever became of them. */
  tries(): number
  /** What came of each notice that arrived, the oldest first, as the receiver tells them apart: what it knows again is one. */
  received(): readonly { readonly state: Notice['state']; readonly says: string }[]
  /** Whether the receiver knows a repetition again. */
  readonly knows: boolean
  close(): Promise<void>
}

const notice = (more: Partial<Notice> = {}): Notice => ({
  key: 'keyturn/direct/leak',
  state: 'open',
  severity: 'critical',
  condition: 'leak',
  secret: 'direct',
  runId: '7',
  summary: 'a key of "direct" is known to others',
  runbook: 'https://runbooks.test/leak',
  at: '2026-11-21T00:00:00.000Z',
  ...more,
})

/**
 * What every alert must keep: what is told twice is one thing for a receiver that knows it again, a channel that is away is told later, what is over is
 * told after what began, and no key or address is in what it says or throws.
 */
export function alertConformance(name: string, open: () => Promise<AlertUnderTest>): void {
  describe(`${name}: what every alert keeps`, () => {
    const pglite = usePglite()
    const id = `told by ${name}`
    let under: AlertUnderTest
    let world: SecretsWorld
    const thrown: unknown[] = []
    const isFailing = async (sending: Promise<void>) => {
      const error = await sending.then(
        () => null,
        (each: unknown) => each,
      )
      if (error !== null) thrown.push(error)
      return (error as { readonly code?: string } | null)?.code ?? null
    }
    const states = (from = 0) =>
      under
        .received()
        .slice(from)
        .map(({ state }) => state)

    beforeAll(async () => {
      under = await open()
      const first = issue(id, null)
      world = new SecretsWorld({
        pglite: pglite(),
        env: { ...under.env, FIRST: first.value },
        alerts: [under.config],
        secrets: {
          it: {
            rotator: { rotator: './test/secrets/parts/issuer.ts', id },
            stores: [{ store: './test/secrets/parts/memory-store.ts', id, values: { KEY: '{value}' } }] as SecretConfig['stores'] & object,
            gates: [{ gate: './test/secrets/parts/scripted-gate.ts', id }] as SecretConfig['gates'] & object,
            first: { value: { env: 'FIRST' } },
            grace: '1m',
          },
        },
      })
    })
    afterAll(async () => {
      verdicts.delete(id)
      await world?.stop()
      await under?.close()
    })

    test('a repetition by another process, after an answer that was lost, is one notice for who knows it again', async () => {
      const from = under.received().length
      under.fail('drop')
      expect(await isFailing(under.part().send(callOf(), notice()))).toBe('ERR_OUTSIDE_UNCERTAIN')
      await under.part().send(callOf(), notice())
      expect(states(from)).toEqual(under.knows ? ['open'] : ['open', 'open'])
      await under.part().send(callOf(), notice({ state: 'resolved' }))
      await under.part().send(callOf(), notice({ state: 'resolved' }))
      expect(states(from)).toEqual(under.knows ? ['open', 'resolved'] : ['open', 'open', 'resolved', 'resolved'])
    })

    test('the next trouble of the same kind is another notice, and that of another secret as well', async () => {
      const from = under.received().length
      await under.part().send(callOf(), notice({ at: '2026-11-22T00:00:00.000Z' }))
      await under.part().send(callOf(), notice({ key: 'keyturn/other/leak', secret: 'other' }))
      expect(states(from)).toEqual(['open', 'open'])
    })

    test('a channel that is away, refuses or has too much is told once it is back, first what began and then that it is over', async () => {
      const from = under.received().length
      const before = under.tries()
      let looks = 0
      verdicts.set(id, () =>
        looks++ === 0 ? { works: false, later: false, sentence: 'consumers are refused' } : { works: true, sentence: 'all is well' },
      )
      const faults: Fault[] = ['cut', { status: 500 }, { status: 429 }, { status: 400 }]
      for (const fault of faults) under.fail(fault)
      const run = await world.finish((await (await world.start()).rotate('it')).id)
      expect(run.state).toBe('rolled-back')
      expect(states(from)).toEqual([])
      // It is asked again after a while, and not at once.
      const { rows } = await pglite().query(
        'SELECT extract(epoch FROM next_at - at)::int AS after FROM keyturn.secret_notice WHERE sent_at IS NULL ORDER BY id',
      )
      expect(rows.map((row) => (row as { after: number }).after >= 16)).toEqual([true])
      for (let pass = 0; pass < 2 * faults.length && states(from).length === 0; pass++) {
        world.ahead += 3_600_000
        await (await world.start()).attend()
      }
      expect([states(from), under.tries() - before]).toEqual([['open'], faults.length + 1])
      expect(under.received().at(-1)?.says).toContain('consumers are refused')
      expect((await world.finish((await (await world.start()).rotate('it')).id)).state).toBe('completed')
      expect(states(from)).toEqual(['open', 'resolved'])
      for (let pass = 0; pass < 2; pass++) {
        world.ahead += 3_600_000
        await (await world.start()).attend()
      }
      expect([states(from), under.tries() - before]).toEqual([['open', 'resolved'], faults.length + 2])
    })

    test('a delivery ends with its signal', async () => {
      const before = under.tries()
      const stop = new AbortController()
      under.fail('silent')
      const sending = isFailing(under.part().send(callOf({ signal: stop.signal }), notice()))
      await expect.poll(() => under.tries()).toBe(before + 1)
      stop.abort()
      expect(await sending).toBe('ERR_OUTSIDE_UNCERTAIN')
    })

    test('no key and no address is in what it says, in an error or anywhere in the state', async () => {
      under.fail({ status: 400, body: Object.values(under.env).join(' ') })
      expect(await isFailing(under.part().send(callOf(), notice()))).toBe('ERR_OUTSIDE_REFUSED')
      const errors = thrown.map((each) => `${each} ${JSON.stringify(each)} ${(each as Error).stack} ${(each as Error).cause}`)
      const texts = [await world.written(), ...errors, ...under.received().map(({ says }) => says)]
      expect(thrown.length).toBe(3)
      expect(Object.values(under.env).filter((value) => texts.some((text) => text.includes(value)))).toEqual([])
    })
  })
}
