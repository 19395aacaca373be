import { setTimeout as sleep } from 'node:timers/promises'
import { startChild } from '../../test/harness/child.ts'
import { freshTable, makeApplication, settle, timedRotation } from '../application.ts'
import type { Benchmark } from '../benchmark.ts'
import { median, percentile } from '../numbers.ts'

const perSecond = 200
const mostSamples = 3_000
/** Let go by before a window begins: connections and code get warm. */
const warmUpMs = 2_000

interface Window {
  readonly from: number
  readonly to: number
}

/** What a rotation costs the application that writes meanwhile, in another process. */
export const latency: Benchmark = {
  name: 'latency',
  about: "the application's writes during a rotation with default throttling, against without one: p99",
  rows: 1_000_000,
  async run({ rows, rounds, postgres, say }) {
    const { pool, url, drop } = await (await postgres()).createDatabase()
    const [without, during, verifying]: [Window[], Window[], Window[]] = [[], [], []]
    const leastMs = (Math.min(mostSamples, rows) / perSecond / rounds) * 1000
    let samples: [at: number, tookMs: number][] = []
    try {
      say(`${rows} values in kt1`)
      const keyturn = await makeApplication(pool, 'kt1', rows)
      await freshTable(pool, rows)
      const application = startChild('bench/writing-process.ts', [url, String(rows), String(perSecond)])
      try {
        await application.printed('writing')
        for (let round = 1; round <= rounds; round++) {
          await settle(pool)
          await sleep(Math.min(warmUpMs, rows))
          const { from, to, verifyingMs } = await timedRotation(keyturn, rows)
          during.push({ from, to })
          verifying.push({ from: to - verifyingMs, to })
          say(`round ${round}: rotated in ${(to - from).toFixed(0)} ms`)
          await settle(pool)
          await sleep(Math.min(warmUpMs, rows))
          const start = performance.timeOrigin + performance.now()
          await sleep(Math.max(leastMs, to - from))
          without.push({ from: start, to: performance.timeOrigin + performance.now() })
        }
        application.end()
        const { code, stdout, stderr } = await application.exit
        if (code !== 0) throw new Error(`the application failed: ${stderr}`)
        samples = JSON.parse(stdout.slice(stdout.lastIndexOf('\n[')))
      } finally {
        await application.kill()
        await keyturn.close()
      }
    } finally {
      await drop()
    }
    return outcome(samples, { without, during, verifying })
  },
}

type Windows = Readonly<Record<'without' | 'during' | 'verifying', readonly Window[]>>

function outcome(samples: readonly [number, number][], { without, during, verifying }: Windows) {
  const within = ({ from, to }: Window) => samples.filter(([at]) => at >= from && at < to).map(([, tookMs]) => tookMs)
  const [quiet, busy] = [without.flatMap(within), during.flatMap(within)]
  const p99 = (took: readonly number[]) => percentile(took, 0.99)
  return {
    ratios: [
      { name: 'p99 during / without', value: p99(busy) / p99(quiet), limit: { atMost: 2 } },
      { name: 'median during / without', value: median(busy) / median(quiet) },
    ],
    measured: {
      p99DuringMs: p99(busy),
      p99WithoutMs: p99(quiet),
      p99VerifyingMs: p99(verifying.flatMap(within)),
      medianDuringMs: median(busy),
      medianWithoutMs: median(quiet),
      mostDuringMs: percentile(busy, 1),
      mostWithoutMs: percentile(quiet, 1),
      samplesDuring: busy.length,
      samplesWithout: quiet.length,
      rotationMs: median(during.map(({ from, to }) => to - from)),
    },
  }
}
