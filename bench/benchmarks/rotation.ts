import type { Pool } from 'pg'
import { type Format, freshTable, makeApplication, type TimedRotation, timedRotation } from '../application.ts'
import type { Bench, Benchmark, Outcome } from '../benchmark.ts'
import { median, timed } from '../numbers.ts'

const about = 'one UPDATE of the server that rewrites the same column (the floor)'

/** Every value decrypted, encrypted, decrypted again and swapped, against the least that any rewriting costs the server. */
export const rotation: Benchmark = {
  name: 'rotation',
  about: `an online rotation to a new key version, against ${about}`,
  rows: 1_000_000,
  run: (bench) => measure(bench, 'kt1', 3.5),
}

/** The same from a foreign format: both keys are used directly there, and the values change their length. */
export const rotationFormat: Benchmark = {
  name: 'rotation-format',
  about: `an online rotation from hex-colon to kt1, against ${about}`,
  rows: 1_000_000,
  run: (bench) => measure(bench, 'hex-colon'),
}

async function measure(bench: Bench, format: Format, atMost?: number): Promise<Outcome> {
  const { rows, rounds, say } = bench
  const { pool, drop } = await (await bench.postgres()).createDatabase()
  const floors: number[] = []
  const rotations: TimedRotation[] = []
  try {
    say(`${rows} values in ${format}`)
    const keyturn = await makeApplication(pool, format, rows)
    try {
      for (let round = 1; round <= rounds; round++) {
        floors.push(await floorMs(pool, rows))
        await freshTable(pool, rows)
        globalThis.gc?.()
        // From a foreign format no new version is needed, and so no wait until nobody uses the one before.
        rotations.push(await timedRotation(keyturn, rows, { newVersion: format === 'kt1', throttle: { share: 1 } }))
        say(`round ${round}: floor ${floors.at(-1)?.toFixed(0)} ms, rewriting ${rotations.at(-1)?.rewritingMs.toFixed(0)} ms`)
      }
    } finally {
      await keyturn.close()
    }
  } finally {
    await drop()
  }
  return outcome(rows, floors, rotations, atMost)
}

async function floorMs(pool: Pool, rows: number): Promise<number> {
  await freshTable(pool, rows)
  return await timed(() => pool.query("UPDATE app SET token = token || ''"))
}

function outcome(rows: number, floors: readonly number[], rotations: readonly TimedRotation[], atMost: number | undefined): Outcome {
  const of = (part: 'wholeMs' | 'rewritingMs' | 'verifyingMs' | 'rewritingCpuMs') => median(rotations.map((rotation) => rotation[part]))
  const [floor, rewriting] = [median(floors), of('rewritingMs')]
  return {
    ratios: [
      { name: 'rewriting / floor', value: rewriting / floor, ...(atMost === undefined ? {} : { limit: { atMost } }) },
      { name: '(rewriting + verification) / floor', value: (rewriting + of('verifyingMs')) / floor },
    ],
    measured: {
      floorMs: floor,
      rewritingMs: rewriting,
      verifyingMs: of('verifyingMs'),
      wholeMs: of('wholeMs'),
      rewritingCpuOfNodeMs: of('rewritingCpuMs'),
      floorPerRowUs: (floor * 1000) / rows,
      rewritingPerRowUs: (rewriting * 1000) / rows,
    },
  }
}
