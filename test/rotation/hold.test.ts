import { type Client, Pool } from 'pg'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { AuditEvent } from '../../packages/core/src/audit/event.ts'
import postgres, { pgState } from '../../packages/core/src/databases/postgres.ts'
import type { RotateOptions } from '../../packages/core/src/keyturn.ts'
import type { Database } from '../../packages/core/src/rotation/database.ts'
import { rotate } from '../../packages/core/src/rotation/rotate.ts'
import { migrate } from '../../packages/core/src/state/schema.ts'
import { useDatabase } from '../harness/postgres.ts'
import { withSteps } from './steps.ts'
import { census, connected, fillTable, keyturnObjects, namelessField, rotationOf, writeOld } from './world.ts'

const server = useDatabase()
const rows = 300
const field = namelessField('tokens.token')
const options: RotateOptions = { mode: 'transaction' }
const released: AuditEvent = { actor: 'test', action: 'rotation.release', subject: 'rotation/test', data: {} }
/** Keyturn's own connections: of an application that was stopped none is left, also not the tests'. */
let own: Pool
let database: Database

beforeEach(async () => {
  own = new Pool({ connectionString: server.url, max: 3 })
  database = postgres({ pool: own })
  await server.pool.query('DROP SCHEMA IF EXISTS keyturn CASCADE; DROP TABLE IF EXISTS tokens CASCADE')
  await fillTable(server.pool, 'tokens', rows)
})
afterEach(() => own.end())

const withApplication = <T>(work: (client: Client) => Promise<T>) => connected(server.url, work)

/** The state of a statement that fails; `written` where it does not. */
async function outcome(statement: Promise<unknown>): Promise<string> {
  try {
    await statement
    return 'written'
  } catch (error) {
    return String((error as { code?: string }).code)
  }
}

describe('The hold', () => {
  const old = () => writeOld('late') as string

  test('A writer that waited for the lock is refused when it gets it', async () => {
    await withApplication(async (client) => {
      await withApplication(async (second) => {
        await client.query('PREPARE save AS UPDATE tokens SET token = $1 WHERE id = 1')
        const waiting: Promise<string>[] = []
        const slow = withSteps(database, async (step) => {
          if (step !== 'hold:before' || waiting.length > 0) return
          waiting.push(
            outcome(client.query(`EXECUTE save('${old()}')`)),
            outcome(second.query('INSERT INTO tokens VALUES (9000, $1)', [old()])),
          )
          await expect
            .poll(
              async () =>
                (
                  await server.pool.query(
                    "SELECT FROM pg_stat_activity WHERE application_name = 'application' AND wait_event_type = 'Lock'",
                  )
                ).rowCount,
            )
            .toBe(2)
        })
        expect(await rotate(rotationOf(slow, [field], options))).toMatchObject({ state: 'completed', rotated: rows })
        expect(await Promise.all(waiting)).toEqual(['KT001', 'KT001'])
      })
    })
    expect(await census(server.pool, 'tokens', field)).toEqual({ current: rows, old: 0, broken: 0 })
  })

  test('No way of writing passes it, until it is released', async () => {
    await rotate(rotationOf(database, [field], options))
    const copy = (client: Client) => client.query(`COPY tokens FROM PROGRAM 'printf "9100\\tx\\n"'`)
    const ways: Record<string, (client: Client) => Promise<unknown>> = {
      update: (client) => client.query('UPDATE tokens SET token = $1 WHERE id = 1', [old()]),
      'update of no row': (client) => client.query('UPDATE tokens SET token = $1 WHERE id = -1', [old()]),
      insert: (client) => client.query('INSERT INTO tokens VALUES (9001, $1)', [old()]),
      'insert without the column': (client) => client.query('INSERT INTO tokens (id) VALUES (9002)'),
      upsert: (client) => client.query('INSERT INTO tokens VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET token = excluded.token', [old()]),
      merge: (client) =>
        client.query('MERGE INTO tokens t USING (SELECT 1 AS id) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET token = $1', [old()]),
      'merge that inserts': (client) =>
        client.query('MERGE INTO tokens t USING (SELECT 9003 AS id) s ON t.id = s.id WHEN NOT MATCHED THEN INSERT VALUES (9003, $1)', [
          old(),
        ]),
      copy,
      'a session that is a replica': async (client) => {
        await client.query('SET session_replication_role = replica')
        await client.query('UPDATE tokens SET token = $1 WHERE id = 1', [old()])
      },
      'a named statement prepared before': async (client) =>
        client.query({ name: 'save', text: 'UPDATE tokens SET token = $1 WHERE id = 1', values: [old()] }),
      view: async (client) => {
        await client.query('CREATE OR REPLACE VIEW seen AS SELECT * FROM tokens')
        await client.query('UPDATE seen SET token = $1', [old()])
      },
    }
    for (const [way, write] of Object.entries(ways)) {
      const result = await withApplication((client) => outcome(write(client)))
      expect(`${way}: ${result}`).toBe(`${way}: KT001`)
    }
    await withApplication(async (client) => {
      expect(await outcome(client.query('DELETE FROM tokens WHERE id = 1'))).toBe('written')
      expect(await outcome(client.query('SELECT FROM tokens'))).toBe('written')
    })
    expect(await census(server.pool, 'tokens', field)).toEqual({ current: rows - 1, old: 0, broken: 0 })
    const [held] = await database.holds()
    expect(await database.releaseHold(held!.rotationId, released)).toEqual(['public.tokens'])
    expect(await database.releaseHold(held!.rotationId, released)).toEqual([])
    for (const [way, write] of Object.entries(ways)) {
      const result = await withApplication((client) => outcome(write(client)))
      expect(`${way}: ${result}`).toBe(`${way}: written`)
    }
  })

  test('It stands on each partition, also for writes that name the partition', async () => {
    await server.pool.query(`
      DROP TABLE tokens; CREATE TABLE tokens (id bigint PRIMARY KEY, token text) PARTITION BY RANGE (id);
      CREATE TABLE tokens_low PARTITION OF tokens FOR VALUES FROM (MINVALUE) TO (100) PARTITION BY RANGE (id);
      CREATE TABLE tokens_lowest PARTITION OF tokens_low FOR VALUES FROM (MINVALUE) TO (100);
      CREATE TABLE "Tokens High" PARTITION OF tokens FOR VALUES FROM (100) TO (MAXVALUE)`)
    for (const id of [1, 50, 200]) await server.pool.query('INSERT INTO tokens VALUES ($1, $2)', [id, old()])
    const result = await rotate(rotationOf(database, [field], options))
    expect(result).toMatchObject({ state: 'completed', rotated: 3 })
    await withApplication(async (client) => {
      for (const table of ['tokens', 'tokens_low', 'tokens_lowest', '"Tokens High"']) {
        expect(await outcome(client.query(`UPDATE ${table} SET token = $1`, [old()]))).toBe('KT001')
        expect(await outcome(client.query(`INSERT INTO ${table} VALUES (2, $1)`, [old()]))).toBe('KT001')
      }
    })
    expect(await census(server.pool, 'tokens', field)).toEqual({ current: 3, old: 0, broken: 0 })
    expect(await database.releaseHold(result.id, released)).toHaveLength(4)
    expect(await keyturnObjects(server.pool)).not.toContain('trigger keyturn_hold on tokens')
  })

  test('A release that meets a long query does not make the application queue behind it', async () => {
    const { id } = await rotate(rotationOf(database, [field], options))
    await withApplication(async (report) => {
      await report.query('BEGIN; SELECT FROM tokens LIMIT 1')
      const releasing = database.releaseHold(id, released)
      await withApplication(async (client) => {
        const waits = "SELECT FROM pg_locks WHERE NOT granted AND relation = 'tokens'::regclass"
        await expect.poll(async () => (await server.pool.query(waits)).rowCount).toBe(1)
        await client.query("SET lock_timeout = '10s'")
        for (let n = 0; n < 5; n++) expect(await outcome(client.query('SELECT FROM tokens LIMIT 1'))).toBe('written')
      })
      await report.query('ROLLBACK')
      expect(await releasing).toEqual(['public.tokens'])
    })
  })

  test('While it stands, a second rotation is refused; after the release it finds nothing to do', async () => {
    const first = await rotate(rotationOf(database, [field], options))
    await expect(rotate(rotationOf(database, [field], options))).rejects.toMatchObject({ code: 'ERR_HELD' })
    await expect(rotate(rotationOf(database, [field]))).rejects.toMatchObject({ code: 'ERR_HELD' })
    await database.releaseHold(first.id, released)
    expect(await rotate(rotationOf(database, [field], options))).toMatchObject({ rotated: 0, skipped: rows })
  })

  test('It is not made where every value was under the new key before: the application has it, or the keys were exchanged', async () => {
    const first = await rotate(rotationOf(database, [field], options))
    await database.releaseHold(first.id, released)
    await rotate(rotationOf(database, [field], options))
    expect(await database.holds()).toEqual([])
    // One value under the old key is enough, and so is a table in which nothing tells which key the application has.
    await server.pool.query('UPDATE tokens SET token = $1 WHERE id = 1', [old()])
    const second = await rotate(rotationOf(database, [field], options))
    expect(await database.holds()).toMatchObject([{ rotationId: second.id }])
    await database.releaseHold(second.id, released)
    await server.pool.query('DELETE FROM tokens')
    const third = await rotate(rotationOf(database, [field], options))
    expect(await database.holds()).toMatchObject([{ rotationId: third.id }])
  })

  test('An application that goes on with the old key through lock, commit and hold leaves no value under it', async () => {
    let stopped = false
    const outcomes = new Map<string, number>()
    const writing = Array.from({ length: 3 }, (_, index) =>
      withApplication(async (client) => {
        for (let n = 0; !stopped; n++) {
          const statement = n % 2 === 0 ? 'UPDATE tokens SET token = $2 WHERE id = $1' : 'INSERT INTO tokens VALUES ($1 + 10000, $2)'
          const what = await outcome(client.query(statement, [1 + ((n * 7 + index * 1000) % 50_000), old()]))
          outcomes.set(what, (outcomes.get(what) ?? 0) + 1)
        }
      }),
    )
    const met = (what: string) => expect.poll(() => outcomes.get(what) ?? 0).toBeGreaterThan(10)
    await met('written')
    const rotating = rotate(rotationOf(database, [field], options))
    await rotating
      .then(() => met('KT001'))
      .finally(() => {
        stopped = true
      })
    await Promise.all(writing)
    const result = await rotating
    expect(result.state).toBe('completed')
    expect(outcomes.get('KT001')).toBeGreaterThan(10)
    expect(outcomes.get('written')).toBeGreaterThan(10)
    expect(await census(server.pool, 'tokens', field)).toMatchObject({ old: 0, broken: 0 })
  })

  test("Without Keyturn's schema, only the hold's function, trigger and record are made, and nothing is recorded", async () => {
    expect(await rotate(rotationOf(database, [field], options))).toMatchObject({ state: 'completed', rotated: rows })
    expect(await keyturnObjects(server.pool)).toEqual([
      'hold',
      'hold_pkey',
      'refuse_write()',
      'schema keyturn',
      'trigger keyturn_hold on tokens',
    ])
  })

  test("Keyturn's schema can be made after a hold that was there first, and knows the hold", async () => {
    const { id } = await rotate(rotationOf(database, [field], options))
    await migrate(pgState(server.pool))
    expect(await database.holds()).toEqual([{ rotationId: id, tables: ['public.tokens'] }])
    expect(await database.releaseHold(id, released)).toEqual(['public.tokens'])
    const { rows } = await server.pool.query('SELECT FROM keyturn.audit_head WHERE true')
    expect(rows).toHaveLength(1)
  })
})
