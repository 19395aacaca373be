import { runChild } from '../../test/harness/child.ts'
import { type Format, freshTable, makeApplication } from '../application.ts'
import type { Bench, Benchmark, Outcome } from '../benchmark.ts'
import { median } from '../numbers.ts'

const mebibyte = 2 ** 20

interface Memory {
  readonly before: number
  /** The most seen at a look every 10 ms. */
  readonly peak: number
  /** The most that the operating system saw, the start of the process included. */
  readonly system: number
}

/** A process that only rotates: its memory must not grow with the table. */
export const memory: Benchmark = {
  name: 'memory',
  about: 'the peak of resident memory at all rows, against that at a tenth of them',
  rows: 1_000_000,
  run: (bench) => measure(bench, 'kt1', 1.15),
}

/** The same for values inside documents, which are read whole. */
export const memoryDocuments: Benchmark = {
  name: 'memory-documents',
  about: 'the same for values inside jsonb documents of 2 kB',
  // A tenth of fewer is over before the heap has grown: 381 MiB at 20,000 rows, 429 at 50,000; 482 at 200,000, 489 at 500,000.
  rows: 500_000,
  run: (bench) => measure(bench, 'document', 1.15),
}

async function measure({ rows, rounds, postgres, say }: Bench, format: Format, atMost: number): Promise<Outcome> {
  const { pool, url, drop } = await (await postgres()).createDatabase()
  const few = Math.max(1, Math.round(rows / 10))
  const [atFew, atAll]: Memory[][] = [[], []]
  try {
    say(`${rows} values in ${format}`)
    await (await makeApplication(pool, format, rows)).close()
    for (let round = 1; round <= rounds; round++) {
      for (const [count, found] of [
        [few, atFew],
        [rows, atAll],
      ] as const) {
        await freshTable(pool, count, format)
        const { code, stdout, stderr } = await runChild('bench/rotating-process.ts', [url, String(count), format])
        if (code !== 0) throw new Error(`the rotation failed: ${stderr}`)
        found?.push(JSON.parse(stdout))
        say(`round ${round}: ${((found?.at(-1)?.peak ?? 0) / mebibyte).toFixed(0)} MiB at ${count} rows`)
      }
    }
  } finally {
    await drop()
  }
  const of = (found: readonly Memory[] | undefined, part: keyof Memory) => median((found ?? []).map((each) => each[part])) / mebibyte
  return {
    ratios: [
      { name: `peak at ${rows} rows / at ${few}`, value: of(atAll, 'peak') / of(atFew, 'peak'), limit: { atMost } },
      { name: 'the same, as the operating system saw it', value: of(atAll, 'system') / of(atFew, 'system') },
    ],
    measured: {
      peakMiB: of(atAll, 'peak'),
      peakOfFewMiB: of(atFew, 'peak'),
      beforeMiB: of(atAll, 'before'),
      systemPeakMiB: of(atAll, 'system'),
    },
  }
}
