import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { count } from '../../../../test/harness/counts.ts'
import { fieldOf, rotationOf, writeOld } from '../../../../test/rotation/world.ts'
import memory, { type MemoryDatabase } from '../databases/memory.ts'
import type { RotateOptions } from '../keyturn.ts'
import type { Database } from './database.ts'
import { DatabaseError } from './database-error.ts'
import type { RotationResult } from './result.ts'
import { resume, rotate } from './rotate.ts'

const field = fieldOf('tokens.token')
const runs = { numRuns: count(15, 1_000) }

function filled(rows: number, now?: () => Date): MemoryDatabase {
  const values = Array.from({ length: rows }, (_, index) => ({ id: index + 1, token: writeOld(`token ${index + 1}`) }))
  const tables = [{ name: 'tokens', key: [{ name: 'id', type: 'int' }], columns: [{ name: 'token', type: 'text' }], rows: values }] as const
  return memory(now === undefined ? { tables } : { tables, now })
}

/** The database with pages of a few rows, so that small tables have many batches. */
function small(database: Database): Database {
  return { ...database, scan: (walk, after, limit) => database.scan(walk, after, Math.min(limit, 3)) }
}

async function plaintexts(database: MemoryDatabase): Promise<Record<string, string | null>> {
  const rows = await database.application.rows('tokens')
  const opened = rows.map(async ({ id, token }) => [String(id), token === null ? null : await field.decrypt(token as string)] as const)
  return Object.fromEntries(await Promise.all(opened))
}

async function finish(database: Database, result: RotationResult, options: RotateOptions = {}): Promise<RotationResult> {
  for (let last = result; ; ) {
    if (last.state === 'completed') return last
    const run = await database.runs.get(last.id)
    last = await resume(rotationOf(database, [field], options), run!)
  }
}

const write = fc.record({
  scan: fc.nat(12),
  id: fc.integer({ min: 1, max: 12 }),
  what: fc.constantFrom('old', 'new', 'null', 'delete', 'insert'),
})

describe('Writes of the application between scan and swap', () => {
  test('none is lost, whatever they are and wherever they come', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(write, { maxLength: 25 }), async (writes) => {
        const database = filled(8)
        const ledger: Record<string, string | null> = await plaintexts(database)
        let scans = 0
        database.hooks.afterScan = async () => {
          const now = scans++
          for (const [index, { id, what }] of writes.filter(({ scan }) => scan === now).entries()) {
            const text = `written ${now}.${index}`
            const token = what === 'null' ? null : what === 'old' ? writeOld(text) : await field.encrypt(text)
            const there = ledger[id] !== undefined
            if (what === 'delete') {
              delete ledger[id]
              await database.application.delete('tokens', { id })
            } else if (there !== (what === 'insert')) {
              ledger[id] = token === null ? null : text
              if (there) await database.application.update('tokens', { id }, { token })
              else await database.application.insert('tokens', { id, token })
            }
          }
        }
        const result = await finish(small(database), await rotate(rotationOf(small(database), [field])))
        database.hooks.afterScan = undefined
        expect(await plaintexts(database)).toEqual(ledger)
        expect(result.failedCount).toBe(0)
        expect(result.total).toBe(result.rotated + result.skipped + result.failedCount)
      }),
      runs,
    )
  })

  test('a value that changed in between is one conflict, and the next pass rewrites it', async () => {
    const database = filled(7)
    let scans = 0
    database.hooks.afterScan = async () => {
      if (++scans === 1) await database.application.update('tokens', { id: 2 }, { token: writeOld('later') as string })
    }
    const result = await rotate(rotationOf(small(database), [field]))
    expect(result).toMatchObject({ state: 'completed', conflicts: 1, rotated: 7, rows: 7, total: 7, skipped: 0 })
    expect((await database.runs.get(result.id))?.progress).toMatchObject({ pass: 3, passRotated: 0, previousFound: 1 })
    expect((await plaintexts(database))[2]).toBe('later')
  })

  test('a rotation after a rotation changes nothing', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(10), async (rows) => {
        const database = filled(rows)
        expect(await rotate(rotationOf(small(database), [field]))).toMatchObject({ rotated: rows, skipped: 0, total: rows })
        const before = await database.application.rows('tokens')
        expect(await rotate(rotationOf(small(database), [field]))).toMatchObject({
          rotated: 0,
          skipped: rows,
          total: rows,
          rows: 0,
          tables: 0,
        })
        expect(await database.application.rows('tokens')).toEqual(before)
      }),
      runs,
    )
  })
})

/** Counts calls of a database, and dies at one of them: before it has an effect or after it. */
function mortal(database: MemoryDatabase, at: number, after: boolean): { database: Database; calls: () => number } {
  let calls = 0
  const killed = () => new Error('killed')
  const counted =
    <A extends unknown[], T>(work: (...args: A) => Promise<T>) =>
    async (...args: A): Promise<T> => {
      calls++
      if (calls > at || (calls === at && !after)) throw killed()
      const mine = calls
      const result = await work(...args)
      if (mine === at || calls > at) throw killed()
      return result
    }
  const all = <T extends object>(object: T): T =>
    Object.fromEntries(
      Object.entries(object).map(([name, member]) => [name, typeof member === 'function' ? counted(member as never) : member]),
    ) as T
  const transaction: Database['transaction'] = (work) => database.transaction((tx) => work(all(tx)))
  const exclusive: Database['exclusive'] = (walks, work) => database.exclusive(walks, (tx) => work(all(tx)))
  return { database: all({ ...small({ ...database, transaction, exclusive }), runs: all(database.runs) }), calls: () => calls }
}

describe('A rotation that stops', () => {
  test('aborted at any batch and resumed, it comes to what it would have come to', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 4 }), async (rows, stop) => {
        const database = filled(rows)
        const before = await plaintexts(database)
        let commits = 0
        const controller = new AbortController()
        database.hooks.afterCommit = () => {
          if (++commits === stop) controller.abort()
        }
        const first = await rotate(rotationOf(small(database), [field], { signal: controller.signal }))
        const result = await finish(small(database), first)
        expect(result).toMatchObject({ state: 'completed', rotated: rows, skipped: 0, total: rows, rows, failedCount: 0, conflicts: 0 })
        expect(await plaintexts(database)).toEqual(before)
      }),
      runs,
    )
  })

  test.each(['online', 'transaction'] as const)(
    'killed before or after any call of the database and resumed, it changes each value once: %s',
    async (mode) => {
      const rows = 7
      const options: RotateOptions = { mode }
      const alive = mortal(filled(rows), Number.POSITIVE_INFINITY, false)
      await rotate(rotationOf(alive.database, [field], options))
      expect(alive.calls()).toBeGreaterThan(15)
      // The last call gives the lease back: then everything is done, and nobody has to know that it failed.
      for (let at = 1; at < alive.calls(); at++) {
        for (const after of [false, true]) {
          let now = Date.now()
          const database = filled(rows, () => new Date(now))
          const before = await plaintexts(database)
          await expect(rotate(rotationOf(mortal(database, at, after).database, [field], options))).rejects.toThrow('killed')
          expect(await plaintexts(database)).toEqual(before)
          const between = new Map((await database.application.rows('tokens')).map((row) => [row.id, row.token]))
          now += 60_000
          const [run] = await database.runs.list(1)
          if (run === undefined || run.endedAt !== null) continue
          const result = await resume(rotationOf(small(database), [field], options), run)
          expect(result).toMatchObject({ state: 'completed', rotated: rows, total: rows, rows, failedCount: 0 })
          expect(await plaintexts(database)).toEqual(before)
          for (const { id, token } of await database.application.rows('tokens')) {
            if (String(between.get(id)).startsWith('kt1.')) expect(token).toBe(between.get(id))
          }
        }
      }
    },
  )

  test('a commit whose answer is lost counts once', async () => {
    const database = filled(7)
    let commits = 0
    database.hooks.afterCommit = () => {
      if (++commits === 2) throw new DatabaseError('unknown-commit', 'connection lost', 'committing')
    }
    expect(await rotate(rotationOf(small(database), [field]))).toMatchObject({
      state: 'completed',
      rotated: 7,
      rows: 7,
      conflicts: 0,
      total: 7,
    })
  })

  test('a commit that was lost itself is made again', async () => {
    const database = filled(7)
    let commits = 0
    database.hooks.beforeCommit = () => {
      if (++commits === 2) throw new DatabaseError('connection', 'connection lost', 'committing')
    }
    expect(await rotate(rotationOf(small(database), [field]))).toMatchObject({
      state: 'completed',
      rotated: 7,
      rows: 7,
      conflicts: 0,
      total: 7,
    })
  })
})

test("a row that the application's constraint refuses is set aside alone, and the others are rewritten", async () => {
  const rows = [1, 2, 3, 4, 5].map((id) => ({ id, token: writeOld(`token ${id}`) }))
  const database = memory({
    tables: [
      {
        name: 'tokens',
        key: [{ name: 'id', type: 'int' }],
        columns: [{ name: 'token', type: 'text' }],
        rows,
        check: ({ id, token }) => id !== 4 || !String(token).startsWith('kt1.'),
      },
    ],
  })
  const result = await rotate(rotationOf(database, [field]))
  expect(result).toMatchObject({
    state: 'completed',
    rotated: 4,
    failedCount: 1,
    failed: [{ row: { id: '4' }, reason: 'ERR_ROW_REFUSED' }],
    total: 5,
  })
  expect((await database.application.rows('tokens')).find(({ id }) => id === 4)).toEqual(rows[3])
})
