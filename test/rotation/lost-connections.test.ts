import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'pg'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import postgres, { pgState } from '../../packages/core/src/databases/postgres.ts'
import { isKeyturnError } from '../../packages/core/src/errors.ts'
import type { RotateOptions } from '../../packages/core/src/keyturn.ts'
import type { Database } from '../../packages/core/src/rotation/database.ts'
import { resume, rotate } from '../../packages/core/src/rotation/rotate.ts'
import { migrate } from '../../packages/core/src/state/schema.ts'
import { count } from '../harness/counts.ts'
import { useDatabase } from '../harness/postgres.ts'
import { type Fault, type FaultyProxy, startProxy } from '../harness/proxy.ts'
import { withSteps } from './steps.ts'
import { census, changesOf, fieldOf, fillTable, keepHistory, namelessField, rotationOf } from './world.ts'

const server = useDatabase()
// Enough batches for all the faults: what is lost outside of them, such as a change of state, pauses a run.
const rows = count(1_200, 2_500)
const field = fieldOf('tokens.token')
const options: RotateOptions = { throttle: { targetMs: 0.001, share: 1 } }
const done = { state: 'completed', total: rows, rotated: rows, skipped: 0, failedCount: 0, rows }
let proxy: FaultyProxy
let pool: Pool
let database: Database

beforeEach(async () => {
  await server.pool.query(
    'DROP SCHEMA IF EXISTS keyturn CASCADE; DROP TABLE IF EXISTS tokens, tokens_history; DROP FUNCTION IF EXISTS tokens_note CASCADE',
  )
  await migrate(pgState(server.pool))
  await fillTable(server.pool, 'tokens', rows)
  await keepHistory(server.pool, 'tokens')
  const url = new URL(server.url)
  proxy = await startProxy({ host: url.hostname, port: Number(url.port || 5432) })
  url.port = String(proxy.port)
  pool = new Pool({ connectionString: url.href, max: 4, application_name: 'rotation' })
  pool.on('error', () => {})
  database = postgres({ pool })
})
afterEach(async () => {
  await pool.end()
  await proxy.close()
})

/** The database; `arm` is called the first time that it comes to a step. */
function onFirst(at: string, arm: () => void): Database {
  let armed = false
  return withSteps(database, (step) => {
    if (step !== at || armed) return
    armed = true
    arm()
  })
}

async function expectExact(): Promise<void> {
  expect(await changesOf(server.pool, 'tokens')).toEqual({ rows, most: 1 })
  expect(await census(server.pool, 'tokens', field)).toEqual({ current: rows, old: 0, broken: 0 })
}

const where: readonly (readonly [string, string, number])[] = [
  ['while it reads', 'ORDER BY', 2],
  ['at the beginning of a transaction', 'BEGIN', 3],
  ['in the middle of a swap', 'SKIP LOCKED', 2],
  ['at the saving of its progress', 'SET progress', 2],
  ['at a commit', 'COMMIT', 4],
  ['while it verifies', ' LIMIT $1', 1],
]
const faults: readonly Fault[] = ['drop-before', 'drop-after', 'drop-answer']
const cases = where.flatMap(([name, text, nth]) => faults.map((fault) => [name, fault, text, nth] as const))

describe('A connection that is lost', () => {
  test.each(cases)('%s (%s): the rotation completes, the counts are exact, and nothing is changed twice', async (_, fault, text, nth) => {
    const verifying = text === ' LIMIT $1'
    const times = verifying ? 1 : count(2, 5)
    const arm = () => {
      for (let n = 0; n < times; n++) proxy.onText(text, nth + n * 3, fault)
    }
    expect(await rotate(rotationOf(onFirst(verifying ? 'change-to-verifying:after' : 'swap:before', arm), [field], options))).toMatchObject(
      done,
    )
    expect(proxy.faults).toBe(times)
    await expectExact()
  })

  test.each(Array.from({ length: count(2, 25) }, (_, index) => [index + 1]))(
    'at its commit number %i, answered or not: the counts are exact',
    async (nth) => {
      const arm = () => {
        proxy.onText('COMMIT', nth, 'drop-after')
        proxy.onText('COMMIT', nth + 3, 'drop-answer')
      }
      expect(await rotate(rotationOf(onFirst('swap:before', arm), [field], options))).toMatchObject(done)
      await expectExact()
    },
  )

  test('A commit that goes on in the server after its connection was lost is counted once', async () => {
    // The commit of the batch with row 300 takes longer than its connection lives, and longer than a batch waits for a lock.
    await server.pool.query(`
      CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.9); RETURN NULL; END $$;
      CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON tokens DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.id = 300) EXECUTE FUNCTION slow()`)
    const running = rotate(rotationOf(database, [field], options))
    const watching = (async () => {
      // Only that commit sleeps: one of another step, such as the run's beginning, may be slow too, but is not the one that is meant.
      while ((await server.pool.query("SELECT FROM pg_stat_activity WHERE query = 'COMMIT' AND wait_event = 'PgSleep'")).rowCount === 0)
        await sleep(5)
      proxy.drop()
    })()
    expect(await running).toMatchObject(done)
    await watching
    await expectExact()
  })

  test('Sessions that an administrator ends at random: resumed until it is done, each value is changed once and counted once', async () => {
    let over = false
    const killing = (async () => {
      for (let n = 0; !over && n < count(8, 80); n++) {
        await sleep(Math.random() * 60)
        await server.pool.query(
          "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity WHERE application_name = 'rotation' ORDER BY random() LIMIT 1) one",
        )
      }
    })()
    let rotated = 0
    for (let tries = 0; ; tries++) {
      const rotation = { ...rotationOf(database, [field], options), leaseMs: 200 }
      try {
        const run = await database.runs.unfinished('app')
        if (run === null && tries > 0 && (await database.runs.list(1)).length > 0) break
        rotated = (await (run === null ? rotate(rotation) : resume(rotation, run))).rotated
        break
      } catch (error) {
        if (!isKeyturnError(error, 'ERR_DATABASE', 'ERR_LEASE_HELD')) throw error
        await sleep(50)
      }
    }
    over = true
    await killing
    const [run] = await postgres({ pool: server.pool }).runs.list(1)
    expect(run).toMatchObject({ state: 'completed', progress: { rotated: rows } })
    expect([0, rows]).toContain(rotated)
    await expectExact()
  })
})

describe('A transaction rotation whose connection is lost', () => {
  const nameless = namelessField('tokens.token')
  const whole: RotateOptions = { mode: 'transaction' }

  test.each(['drop-after', 'drop-answer'] as const)('at its commit (%s): it says that it is done, and it is', async (fault) => {
    // Its eighth commit or so: the one that follows the hold.
    const running = rotate(rotationOf(watchHold(fault), [nameless], whole))
    expect(await running).toMatchObject(done)
    expect(proxy.faults).toBe(1)
    expect(await changesOf(server.pool, 'tokens')).toEqual({ rows, most: 1 })
    expect(await database.holds()).toHaveLength(1)
  })

  test('before its commit: it has failed, nothing is changed, and another one can begin', async () => {
    await server.pool.query('UPDATE tokens SET token = $1 WHERE id = 1', [nameless.encryptSync('current before')])
    await expect(rotate(rotationOf(watchHold('drop-before'), [nameless], whole))).rejects.toMatchObject({ code: 'ERR_DATABASE' })
    expect(await census(server.pool, 'tokens', nameless)).toEqual({ current: 1, old: rows - 1, broken: 0 })
    expect(await database.holds()).toEqual([])
    expect((await database.runs.list(1))[0]?.state).toBe('failed')
    expect(await rotate(rotationOf(database, [nameless], whole))).toMatchObject({ state: 'completed', rotated: rows - 1, skipped: 1 })
  })

  /** The database, with a fault at the commit that follows the hold. */
  function watchHold(fault: Fault): Database {
    return {
      ...database,
      exclusive: (walks, work) =>
        database.exclusive(walks, (tx) =>
          work({
            ...tx,
            hold: async (held, rotationId) => {
              await tx.hold(held, rotationId)
              proxy.onText('COMMIT', 1, fault)
            },
          }),
        ),
    }
  }
})
