import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import postgres, { pgState } from '../../packages/core/src/databases/postgres.ts'
import type { Field } from '../../packages/core/src/field/field.ts'
import type { Database } from '../../packages/core/src/rotation/database.ts'
import type { RotationResult } from '../../packages/core/src/rotation/result.ts'
import { resume, rotate } from '../../packages/core/src/rotation/rotate.ts'
import { verifyFields } from '../../packages/core/src/rotation/verify.ts'
import { migrate } from '../../packages/core/src/state/schema.ts'
import { count } from '../harness/counts.ts'
import { useDatabase } from '../harness/postgres.ts'
import { changesOf, fieldOf, insertOld, keepHistory, rotationOf, writeOld } from './world.ts'
import { Writer, type Writing } from './writer.ts'

const server = useDatabase()
const rows = count(2_000, 20_000)
let database: Database

beforeAll(async () => {
  database = postgres({ pool: server.pool })
  await migrate(pgState(server.pool))
})
beforeEach(async () => {
  await server.pool.query(
    `DROP TABLE IF EXISTS invoices, accounts; CREATE TABLE accounts (id bigint PRIMARY KEY, ref bigint NOT NULL, token text)`,
  )
  await server.pool.query('CREATE INDEX ON accounts (ref)')
})

async function fill(): Promise<void> {
  await server.pool.query(`ALTER TABLE accounts ALTER ref SET DEFAULT 0`)
  await insertOld(server.pool, 'accounts', rows)
  await server.pool.query('UPDATE accounts SET ref = id; ANALYZE accounts')
}

async function untilDone(field: Field, first: Promise<RotationResult>): Promise<RotationResult> {
  let result = await first
  for (let again = 0; result.state === 'waiting' && again < 20; again++) {
    const run = await database.runs.get(result.id)
    result = await resume(rotationOf(database, [field]), run!)
  }
  return result
}

async function withWriters(writings: readonly Writing[], work: (writers: readonly Writer[]) => Promise<void>): Promise<Writer[]> {
  const writers = await Promise.all(
    writings.map((writing, index) => Writer.start(server.url, { index, of: writings.length, rows, ...writing })),
  )
  try {
    await work(writers)
  } finally {
    await Promise.all(writers.map((writer) => writer.stop()))
  }
  return writers
}

describe('A value changes once', () => {
  test('Every write of a concurrent application survives, none fails by us, and nothing stays under the old key', async () => {
    await fill()
    const field = fieldOf('accounts.token')
    let result: RotationResult | undefined
    const writers = await withWriters(
      [{ writes: 'new' }, { writes: 'new' }, { writes: 'old' }, { writes: 'old' }, { writes: 'new', bulk: 40 }],
      async (writers) => {
        const rotating = rotate(rotationOf(database, [field], { throttle: { share: 0.5, rowsPerSecond: rows } }))
        await sleep(count(2_000, 10_000))
        // The last instance that knew the old key only is restarted.
        for (const writer of writers) writer.writes = 'new'
        result = await untilDone(field, rotating)
      },
    )
    for (const writer of writers) expect(writer.errors).toEqual([])
    expect(writers.every((writer) => writer.commits > 20)).toBe(true)
    expect(result).toMatchObject({ state: 'completed', failedCount: 0 })
    const ledger = new Map(Array.from({ length: rows }, (_, index): [number, string] => [index + 1, `token ${index + 1}`]))
    for (const writer of writers) for (const [ref, text] of writer.ledger) text === null ? ledger.delete(ref) : ledger.set(ref, text)
    const found = await server.pool.query<{ ref: string; token: string }>('SELECT ref, token FROM accounts')
    const actual = new Map(found.rows.map(({ ref, token }) => [Number(ref), field.decryptSync(token)] as const))
    expect(actual.size).toBe(ledger.size)
    for (const [ref, text] of ledger) expect(`${ref}: ${actual.get(ref)}`).toBe(`${ref}: ${text}`)
    expect(await verifyFields({ database, fields: [field], known: [] })).toMatchObject({ other: 0, failedCount: 0, current: ledger.size })
  })

  test('An application that updates rows in random order is never a deadlock victim, also where the column is unique and rows are referred to', async () => {
    await server.pool.query(
      'ALTER TABLE accounts ADD UNIQUE (token); CREATE TABLE invoices (id bigserial PRIMARY KEY, account bigint REFERENCES accounts)',
    )
    await fill()
    const field = fieldOf('accounts.token')
    let result: RotationResult | undefined
    const writing = { writes: 'new', bulk: 60, refers: 'invoices', deadlockTimeoutMs: 300 } as const
    const writers = await withWriters([writing, writing, writing], async () => {
      result = await untilDone(field, rotate(rotationOf(database, [field], { throttle: { share: 1, rowsPerSecond: rows } })))
    })
    for (const writer of writers) expect(writer.errors).toEqual([])
    expect(result).toMatchObject({ state: 'completed', failedCount: 0 })
  })
})

describe('Rows that others keep locked', () => {
  const locked = async (client: Client, work: () => Promise<void>) => {
    await client.connect()
    try {
      await client.query('BEGIN; SELECT FROM accounts WHERE id BETWEEN 10 AND 29 FOR UPDATE')
      await work()
    } finally {
      await client.end()
    }
  }

  test('Rows locked by an idle transaction are passed over and come again, each changed once', async () => {
    await fill()
    await keepHistory(server.pool, 'accounts')
    const field = fieldOf('accounts.token')
    const client = new Client({ connectionString: server.url })
    await locked(client, async () => {
      const rotating = rotate(rotationOf(database, [field]))
      await expect.poll(async () => (await changesOf(server.pool, 'accounts')).rows).toBe(rows - 20)
      await client.query('ROLLBACK')
      const result = await untilDone(field, rotating)
      expect(result).toMatchObject({ state: 'completed', rotated: rows, rows, failedCount: 0 })
      expect(result.conflicts).toBeGreaterThanOrEqual(20)
    })
    expect(await changesOf(server.pool, 'accounts')).toEqual({ rows, most: 1 })
    await server.pool.query('DROP TABLE accounts_history CASCADE; DROP FUNCTION accounts_note CASCADE')
  })

  test('Rows that an idle transaction refers to are passed over as well, where a value is unique and changing it takes the stronger lock', async () => {
    await server.pool.query(
      'ALTER TABLE accounts ADD UNIQUE (token); CREATE TABLE invoices (id bigserial PRIMARY KEY, account bigint REFERENCES accounts)',
    )
    await fill()
    const field = fieldOf('accounts.token')
    const client = new Client({ connectionString: server.url })
    await client.connect()
    try {
      await client.query('BEGIN; INSERT INTO invoices (account) VALUES (10), (11), (12)')
      expect(await rotate(rotationOf(database, [field]))).toMatchObject({ state: 'waiting', rotated: rows - 3 })
      await client.query('ROLLBACK')
    } finally {
      await client.end()
    }
    const run = await database.runs.unfinished('app')
    expect(await resume(rotationOf(database, [field]), run!)).toMatchObject({ state: 'completed', rotated: rows })
  })

  test('A run that waits for a lock that stays ends as waiting, and a resume finishes it once the lock is gone', async () => {
    await fill()
    const field = fieldOf('accounts.token')
    const client = new Client({ connectionString: server.url })
    let waiting: RotationResult | undefined
    await locked(client, async () => {
      waiting = await rotate(rotationOf(database, [field]))
    })
    expect(waiting).toMatchObject({ state: 'waiting', rotated: rows - 20 })
    // Meanwhile an instance that was not restarted yet has written more than the last pass had found.
    for (let id = 100; id < 200; id++) await server.pool.query('UPDATE accounts SET token = $2 WHERE id = $1', [id, writeOld('late')])
    const run = await database.runs.get(waiting!.id)
    expect(await resume(rotationOf(database, [field]), run!)).toMatchObject({ state: 'completed', rotated: rows + 100 })
  })
})
