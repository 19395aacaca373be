import type { Pool } from 'pg'
import { freshTable, makeApplication, timedRotation } from '../application.ts'
import type { Benchmark } from '../benchmark.ts'
import { median, timed } from '../numbers.ts'

const pageRows = 1_000

/** What proof costs: counting every value by its key, opening every value, and retiring a key. */
export const looking: Benchmark = {
  name: 'looking',
  about: 'census, verify and retire, each against reading every row in pages, in key order, without opening a value',
  rows: 1_000_000,
  async run({ rows, rounds, postgres, say }) {
    const { pool, drop } = await (await postgres()).createDatabase()
    const took: Record<'read' | 'census' | 'verify' | 'retire' | 'check', number[]> = {
      read: [],
      census: [],
      verify: [],
      retire: [],
      check: [],
    }
    try {
      say(`${rows} values in kt1`)
      const keyturn = await makeApplication(pool, 'kt1', rows)
      try {
        await freshTable(pool, rows)
        for (let round = 1; round <= rounds; round++) {
          await timedRotation(keyturn, rows, { throttle: { share: 1 } })
          took.read.push(await timed(() => readAll(pool)))
          took.census.push(await timed(() => keyturn.census({ throttle: { share: 1 } })))
          took.verify.push(await timed(() => keyturn.verify({ throttle: { share: 1 } })))
          took.retire.push(await timed(() => keyturn.retire('app', { throttle: { share: 1 } })))
          took.check.push(await timed(() => checkRows(pool)))
          say(
            `round ${round}: ${Object.entries(took)
              .map(([name, times]) => `${name} ${times.at(-1)?.toFixed(0)}`)
              .join(', ')} ms`,
          )
        }
      } finally {
        await keyturn.close()
      }
    } finally {
      await drop()
    }
    const of = (name: keyof typeof took) => median(took[name])
    return {
      ratios: (['census', 'verify', 'retire'] as const).map((name) => ({ name: `${name} / reading`, value: of(name) / of('read') })),
      measured: {
        readMs: of('read'),
        censusMs: of('census'),
        verifyMs: of('verify'),
        retireMs: of('retire'),
        checkOfOneConstraintMs: of('check'),
        retirePerRowUs: (of('retire') * 1000) / rows,
      },
    }
  },
}

async function readAll(pool: Pool): Promise<void> {
  let after = '0'
  for (;;) {
    const { rows } = await pool.query({
      text: 'SELECT id, token FROM app WHERE id > $1 ORDER BY id LIMIT $2',
      values: [after, pageRows],
      rowMode: 'array',
    })
    if (rows.length === 0) return
    after = (rows.at(-1) as unknown as string[])[0] as string
  }
}

/** What the database alone needs to check every row against one constraint of this kind. */
async function checkRows(pool: Pool): Promise<void> {
  await pool.query("ALTER TABLE app ADD CONSTRAINT bench_check CHECK (substr(token, 1, 13) <> 'kt1.22222222.') NOT VALID")
  await pool.query('ALTER TABLE app VALIDATE CONSTRAINT bench_check; ALTER TABLE app DROP CONSTRAINT bench_check')
}
