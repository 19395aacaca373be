import { setTimeout as sleep } from 'node:timers/promises'
import { pgState } from '../../packages/core/src/databases/postgres.ts'
import { open } from '../../packages/core/src/index.ts'
import local from '../../packages/core/src/key-wrappers/local.ts'
import { openStoredKeyring } from '../../packages/core/src/keyring/stored-keyring.ts'
import postgresKeyrings from '../../packages/core/src/keyring-stores/postgres.ts'
import { configOf, environment, freshTable, makeApplication } from '../application.ts'
import type { Bench, Benchmark } from '../benchmark.ts'
import { median, timed } from '../numbers.ts'
import type { BenchDatabase } from '../postgres.ts'

const mostKeys = 1_000
const roots = ['BENCH_ROOT', 'BENCH_OTHER_ROOT'] as const

/** Moving the root key touches the data keys and no value. */
export const rewrap: Benchmark = {
  name: 'rewrap',
  about: 'moving the root key of 1,000 data keys beside all values, against the same beside a hundredth of them',
  rows: 1_000_000,
  async run(bench) {
    const { rows, rounds } = bench
    const few = Math.max(1, Math.round(rows / 100))
    const databases: { readonly database: BenchDatabase; readonly took: number[] }[] = []
    try {
      for (const count of [few, rows]) databases.push({ database: await prepare(bench, count), took: [] })
      for (let round = 1; round <= rounds; round++) {
        for (const { database, took } of databases) took.push(await move(database, round))
        bench.say(`round ${round}: ${databases.map(({ took }) => took.at(-1)?.toFixed(0)).join(' and ')} ms`)
      }
    } finally {
      for (const { database } of databases) await database.drop()
    }
    const [beside, besideAll] = databases.map(({ took }) => median(took)) as [number, number]
    return {
      ratios: [{ name: `beside ${rows} values / beside ${few}`, value: besideAll / beside, limit: { atMost: 1.2 } }],
      measured: { rewrapMs: besideAll, rewrapOfFewMs: beside, keys: keysFor(rows) },
    }
  },
}

const keysFor = (rows: number) => Math.max(2, Math.min(mostKeys, Math.round(rows / 10)))

async function prepare({ rows, postgres, say }: Bench, count: number): Promise<BenchDatabase> {
  const database = await (await postgres()).createDatabase()
  say(`${count} values and ${keysFor(rows)} data keys`)
  const { pool } = database
  await (await makeApplication(pool, 'kt1', count)).close()
  await freshTable(pool, count)
  const store = postgresKeyrings(pgState(pool))
  const keyring = await openStoredKeyring({ store, name: 'app', wrappers: [local({ key: environment.BENCH_ROOT })] })
  for (let keys = 1; keys < keysFor(rows); keys++) await keyring.addPendingVersion()
  keyring.close()
  return database
}

/** Moves all keys to the other root. The wait of the readers is the same for all and is left out. @returns milliseconds */
async function move({ pool }: BenchDatabase, round: number): Promise<number> {
  const config = configOf('kt1', roots[round % 2])
  const before = local({ key: environment[roots[(round + 1) % 2] ?? 'BENCH_ROOT'] }).rootId
  const keyturn = await open(config, { pool, env: environment })
  const counts = { added: 0, dropped: 0 }
  try {
    const adding = await timed(async () => {
      counts.added = (await keyturn.rewrap('app')).added
    })
    await sleep(3 * (config.refreshMs ?? 0))
    const dropping = await timed(async () => {
      counts.dropped = (await keyturn.rewrap('app', { drop: before })).dropped
    })
    if (counts.added < 2 || counts.added !== counts.dropped) throw new Error(`${counts.added} wrappings added, ${counts.dropped} dropped`)
    return adding + dropping
  } finally {
    await keyturn.close()
  }
}
