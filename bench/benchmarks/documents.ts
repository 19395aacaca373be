import type { Pool } from 'pg'
import { type Format, freshTable, makeApplication, timedRotation } from '../application.ts'
import type { Bench, Benchmark } from '../benchmark.ts'
import { median, timed } from '../numbers.ts'

/** The least that rewriting costs the server: the same bytes written anew. */
const floors = {
  kt1: "UPDATE app SET token = token || ''",
  document: "UPDATE app SET token = jsonb_set(token, '{auth,token}', token #> '{auth,token}')",
} as const

/** Values inside documents of 2 kB, against the same values in a column of their own. */
export const documents: Benchmark = {
  name: 'documents',
  about: 'rotating values inside jsonb documents of 2 kB, against the same values in a column',
  rows: 200_000,
  async run(bench) {
    const column = await measure(bench, 'kt1')
    const document = await measure(bench, 'document')
    const perRow = (ms: number) => (ms * 1000) / bench.rows
    return {
      ratios: [
        { name: 'documents / column', value: document.rewritingMs / column.rewritingMs },
        { name: 'documents / their floor', value: document.rewritingMs / document.floorMs },
        { name: 'column / its floor', value: column.rewritingMs / column.floorMs },
      ],
      measured: {
        documentsPerRowUs: perRow(document.rewritingMs),
        documentsFloorPerRowUs: perRow(document.floorMs),
        columnPerRowUs: perRow(column.rewritingMs),
        columnFloorPerRowUs: perRow(column.floorMs),
        documentsVerifyingPerRowUs: perRow(document.verifyingMs),
      },
    }
  },
}

async function measure({ rows, rounds, postgres, say }: Bench, format: Format & keyof typeof floors) {
  const { pool, drop } = await (await postgres()).createDatabase()
  const [floor, rewriting, verifying]: number[][] = [[], [], []]
  try {
    say(`${rows} values, ${format}`)
    const keyturn = await makeApplication(pool, format, rows)
    try {
      for (let round = 1; round <= rounds; round++) {
        await freshTable(pool, rows, format)
        floor?.push(await floorMs(pool, format))
        await freshTable(pool, rows, format)
        const took = await timedRotation(keyturn, rows, { throttle: { share: 1 } })
        rewriting?.push(took.rewritingMs)
        verifying?.push(took.verifyingMs)
        say(`round ${round}: floor ${floor?.at(-1)?.toFixed(0)} ms, rewriting ${took.rewritingMs.toFixed(0)} ms`)
      }
    } finally {
      await keyturn.close()
    }
  } finally {
    await drop()
  }
  return { floorMs: median(floor ?? []), rewritingMs: median(rewriting ?? []), verifyingMs: median(verifying ?? []) }
}

const floorMs = (pool: Pool, format: keyof typeof floors) => timed(() => pool.query(floors[format]))
