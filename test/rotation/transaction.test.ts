import { setTimeout as sleep } from 'node:timers/promises'
import { Client, Pool } from 'pg'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import postgres, { pgState } from '../../packages/core/src/databases/postgres.ts'
import type { RotateOptions } from '../../packages/core/src/keyturn.ts'
import type { Database } from '../../packages/core/src/rotation/database.ts'
import type { RotationResult } from '../../packages/core/src/rotation/result.ts'
import { resume, rotate } from '../../packages/core/src/rotation/rotate.ts'
import { migrate } from '../../packages/core/src/state/schema.ts'
import { useDatabase } from '../harness/postgres.ts'
import { withSteps } from './steps.ts'
import { census, connected, damaged, fillTable, keyturnObjects, namelessField, rotationOf, writeOld } from './world.ts'

const server = useDatabase()
const rows = 300
const field = namelessField('tokens.token')
const options: RotateOptions = { mode: 'transaction' }
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

describe('With the application stopped', () => {
  const stopped: RotateOptions = { ...options, appStopped: true }

  // The idle connections of the tests' own pool are sessions of somebody else too.
  async function rotateAlone(database: Database): Promise<RotationResult> {
    await withApplication((client) =>
      client.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'keyturn-test'",
      ),
    )
    return await rotate(rotationOf(database, [field], stopped))
  }

  test('Nothing at all is created, and all values are rewritten', async () => {
    expect(await rotateAlone(database)).toMatchObject({ state: 'completed', rotated: rows })
    expect(await keyturnObjects(server.pool)).toEqual([])
    expect(await census(server.pool, 'tokens', field)).toEqual({ current: rows, old: 0, broken: 0 })
  })

  test('It is refused while another session is connected, and nothing is changed', async () => {
    await withApplication(async () => {
      await expect(rotate(rotationOf(database, [field], stopped))).rejects.toMatchObject({ code: 'ERR_APP_RUNNING' })
    })
    expect(await census(server.pool, 'tokens', field)).toEqual({ current: 0, old: rows, broken: 0 })
  })

  test('It is rolled back when a session connects during the run, before the commit', async () => {
    const application = new Client({ connectionString: server.url })
    const slow = withSteps(database, async (step) => {
      if (step === 'swap:after') await application.connect()
    })
    await expect(rotateAlone(slow)).rejects.toMatchObject({ code: 'ERR_APP_RUNNING' })
    await application.end()
    expect(await census(server.pool, 'tokens', field)).toEqual({ current: 0, old: rows, broken: 0 })
  })
})

describe('All or nothing', () => {
  const broken = [3, 120, 299]
  const spoil = async () => {
    for (const id of broken) await server.pool.query('UPDATE tokens SET token = $2 WHERE id = $1', [id, damaged()])
  }
  const list = broken.map((id) => ({ field: 'tokens.token', row: { id: String(id) }, reason: 'ERR_DECRYPT' }))

  test.each([true, false])(
    'A value that does not open rolls everything back, and all of them are listed (with the schema: %s)',
    async (recorded) => {
      if (recorded) await migrate(pgState(server.pool))
      await spoil()
      const result = await rotate(rotationOf(database, [field], { ...options, accept: true }))
      expect(result).toMatchObject({ state: 'failed', rotated: 0, rows: 0, failedCount: 3 })
      expect(result.failed).toEqual(list)
      expect(await census(server.pool, 'tokens', field)).toEqual({ current: 0, old: rows - 3, broken: 3 })
      expect(await database.holds()).toEqual([])
      if (recorded) expect((await database.runs.get(result.id))?.state).toBe('failed')
    },
  )

  test('With setAside the rest is committed and the list stays', async () => {
    await migrate(pgState(server.pool))
    await spoil()
    const result = await rotate(rotationOf(database, [field], { ...options, accept: true, setAside: true }))
    expect(result).toMatchObject({ state: 'completed', total: rows, rotated: rows - 3, failedCount: 3, failed: list })
    expect(await census(server.pool, 'tokens', field)).toEqual({ current: rows - 3, old: 0, broken: 3 })
    expect((await database.runs.setAside(result.id, 10)).total).toBe(3)
  })

  test('Rows that the database refuses are listed and roll everything back; with setAside the others are written', async () => {
    await migrate(pgState(server.pool))
    await server.pool.query(`CREATE OR REPLACE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN IF NEW.id IN (3, 120) THEN RAISE EXCEPTION 'no' USING ERRCODE = '23514'; END IF; RETURN NEW; END $$`)
    await server.pool.query('CREATE TRIGGER guard BEFORE UPDATE ON tokens FOR EACH ROW EXECUTE FUNCTION guard()')
    try {
      const refused = [3, 120].map((id) => ({ field: 'tokens.token', row: { id: String(id) }, reason: 'ERR_ROW_REFUSED' }))
      const failed = await rotate(rotationOf(database, [field], options))
      expect(failed).toMatchObject({ state: 'failed', rotated: 0, failed: refused })
      expect(await census(server.pool, 'tokens', field)).toEqual({ current: 0, old: rows, broken: 0 })
      const result = await rotate(rotationOf(database, [field], { ...options, setAside: true }))
      expect(result).toMatchObject({ state: 'completed', total: rows, rotated: rows - 2, failedCount: 2, failed: refused })
      expect(await census(server.pool, 'tokens', field)).toEqual({ current: rows - 2, old: 2, broken: 0 })
    } finally {
      await server.pool.query('DROP TRIGGER guard ON tokens')
    }
  })

  test('A value that somebody plants past the hold is found by the verification, and rewritten under the same hold', async () => {
    await migrate(pgState(server.pool))
    let planted = false
    const past = withSteps(database, async (step) => {
      if (step !== 'change-to-verifying:before' || planted) return
      planted = true
      // An owner of the table can switch a trigger off; an application cannot.
      await server.pool.query('ALTER TABLE tokens DISABLE TRIGGER keyturn_hold')
      await server.pool.query('UPDATE tokens SET token = $1 WHERE id = 7', [writeOld('planted')])
      await server.pool.query('ALTER TABLE tokens ENABLE ALWAYS TRIGGER keyturn_hold')
    })
    const result = await rotate(rotationOf(past, [field], options))
    expect(planted).toBe(true)
    expect(result).toMatchObject({ state: 'completed', rotated: rows + 1, failedCount: 0 })
    expect(await census(server.pool, 'tokens', field)).toEqual({ current: rows, old: 0, broken: 0 })
    await expect(server.pool.query('UPDATE tokens SET token = token')).rejects.toMatchObject({ code: 'KT001' })
  })

  test('Stopped by its signal it is rolled back and paused, without a hold; a resume does all of it', async () => {
    await migrate(pgState(server.pool))
    const abort = new AbortController()
    const stopping = withSteps(database, (step) => void (step === 'swap:after' && abort.abort()))
    const small: Database = {
      ...stopping,
      exclusive: (walks, work) => stopping.exclusive(walks, (tx) => work({ ...tx, scan: (walk, after) => tx.scan(walk, after, 50) })),
    }
    const paused = await rotate(rotationOf(small, [field], { ...options, signal: abort.signal }))
    expect(paused).toMatchObject({ state: 'paused', rotated: 0 })
    expect(await database.holds()).toEqual([])
    expect(await census(server.pool, 'tokens', field)).toEqual({ current: 0, old: rows, broken: 0 })
    const run = await database.runs.get(paused.id)
    expect(await resume(rotationOf(database, [field], options), run!)).toMatchObject({ state: 'completed', rotated: rows, total: rows })
    expect(await database.holds()).toHaveLength(1)
  })

  test('Timeouts that the role or the database sets do not end it', async () => {
    const name = new URL(server.url).pathname.slice(1)
    const { rows: found } = await server.pool.query(
      "SELECT name FROM pg_settings WHERE name IN ('statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout')",
    )
    for (const { name: timeout } of found) await server.pool.query(`ALTER DATABASE ${name} SET ${timeout} = '3s'`)
    try {
      const slow = withSteps(database, async (step) => {
        if (step === 'swap:before') await sleep(3_500)
      })
      expect(await rotate(rotationOf(slow, [field], options))).toMatchObject({ state: 'completed', rotated: rows })
    } finally {
      await server.pool.query(`ALTER DATABASE ${name} RESET ALL`)
    }
  })
})
