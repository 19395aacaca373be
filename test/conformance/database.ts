import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { verifyChain } from '../../packages/core/src/audit/chain.ts'
import type { MemoryRow, MemoryTable } from '../../packages/core/src/databases/memory/table.ts'
import { canonicalBytes } from '../../packages/core/src/field/bound.ts'
import type { Stored } from '../../packages/core/src/field/codec.ts'
import type { Change, Database, Row, Walk } from '../../packages/core/src/rotation/database.ts'
import type { Progress } from '../../packages/core/src/rotation/run.ts'
import { start } from '../../packages/core/src/rotation/run.ts'
import { conformsWithDocuments } from './database-documents.ts'
import { type ApplicationUnderTest, type DatabaseUnderTest, oddTexts, tables } from './database-under-test.ts'
import { aside, conformsToRunStore, event, newRun } from './run-store.ts'

const location = (table: string, column: string, schema: string | null = null) => ({ schema, table, column })
const must = <T>(value: T | null | undefined): T => {
  if (value === null || value === undefined) throw new Error('the test expected something here')
  return value
}
/** The duties of every Database. One call in the test of each driver. */
export function conformsToDatabase(name: string, open: (tables: readonly MemoryTable[]) => Promise<DatabaseUnderTest>): void {
  describe(`${name} is a Database`, () => {
    let under: DatabaseUnderTest
    let database: Database
    let application: ApplicationUnderTest
    beforeAll(async () => {
      under = await open(tables)
      ;({ database, application } = under)
    })
    beforeEach(async () => {
      for (const { id } of await application.rows('tokens')) await application.delete('tokens', { id: must(id) })
    })

    const tokensWalk = async (more: Partial<Walk['columns'][number]> = {}) => {
      const [shape] = await database.inspect([location('tokens', 'token')])
      return await database.walk(must(shape), [{ field: 't', column: 'token', holds: 'text', currentPrefix: null, ...more }], [])
    }
    const bothWalk = async (prefixes: readonly [Stored | null, Stored | null] = [null, null]) => {
      const [shape] = await database.inspect([location('tokens', 'token')])
      const columns = [
        { field: 't', column: 'token', holds: 'text' as const, currentPrefix: prefixes[0] },
        { field: 's', column: 'Secret "2"', holds: 'bytes' as const, currentPrefix: prefixes[1] },
      ]
      return await database.walk(must(shape), columns, [])
    }
    const pages = async (walk: Walk, limit: number) => {
      const all: Row[] = []
      for (let after: readonly string[] | null = null; ; ) {
        const rows = await database.scan(walk, after, limit)
        expect(rows.length).toBeLessThanOrEqual(limit)
        if (rows.length === 0) return all
        all.push(...rows)
        after = must(rows.at(-1)).key
      }
    }
    const fill = async (values: readonly (string | null)[]) => {
      for (const [index, value] of values.entries())
        await application.insert('tokens', { id: index + 1, token: value, 'Secret "2"': null, note: 'n' })
    }
    const tokenOf = async (id: number) => (await application.rows('tokens')).find((row) => Number(row.id) === id)?.token
    const change = (id: number, from: Stored | null, to: Stored | null): Change => ({ key: [String(id)], from: [from], to: [to] })
    const leasedRun = async () => {
      const run = newRun()
      await database.runs.create(run, event('rotation.plan'))
      return { run, lease: await database.runs.acquire(run.id, 3_600_000) }
    }
    const step = (sequence: number, more: Partial<Progress> = {}): Progress => ({ ...start, sequence, ...more })

    describe('inspect', () => {
      test('tells the facts of a table, in the order of the locations, and null where there is none', async () => {
        const [pairs, none, tokens] = await database.inspect([
          location('Pairs', 'token', 'Odd Schema.x'),
          location('nowhere', 'x'),
          location('tokens', 'token'),
        ])
        expect(none).toBeNull()
        expect(must(tokens)).toMatchObject({
          schema: 'public',
          table: 'tokens',
          kind: 'table',
          key: ['id'],
          missingPrivileges: [],
          owned: true,
        })
        expect(must(pairs)).toMatchObject({ schema: 'Odd Schema.x', table: 'Pairs', kind: 'table', key: ['Nr', 'part'] })
        const columns = Object.fromEntries(must(pairs).columns.map((column) => [column.name, column]))
        expect(columns.token).toMatchObject({ holds: 'text', maxLength: 90, nullable: true, boundType: 'text', assigned: false })
        expect(columns.tenant).toMatchObject({ holds: null, maxLength: null, nullable: false, boundType: 'uuid' })
        expect(columns.on).toMatchObject({ holds: null, boundType: 'bool' })
        expect(columns.bytes).toMatchObject({ holds: 'bytes', boundType: 'bytes' })
        expect(columns.Nr).toMatchObject({ holds: null, nullable: false, boundType: 'int' })
      })

      test('a key that holds a field is no key to walk by', async () => {
        const [shape] = await database.inspect([location('Pairs', 'part', 'Odd Schema.x')])
        expect(must(shape).key).toEqual([])
      })

      test('the case of a name is exact', async () => {
        expect(await database.inspect([location('Tokens', 'token'), location('pairs', 'token', 'Odd Schema.x')])).toEqual([null, null])
      })

      test('tables are named with their schema where they need it', async () => {
        expect(await database.tables()).toEqual(expect.arrayContaining(['tokens', 'Odd Schema.x.Pairs']))
      })
    })

    describe('scan', () => {
      test('goes through all rows once, in key order, whatever the size of the page', async () => {
        await fill(Array.from({ length: 12 }, (_, index) => `v${index}`))
        const walk = await tokensWalk()
        const ids = Array.from({ length: 12 }, (_, index) => String(index + 1))
        for (const limit of [1, 5, 12, 100]) expect((await pages(walk, limit)).map(({ key }) => key[0])).toEqual(ids)
        expect(must((await database.scan(walk, ['9'], 1))[0]).values).toEqual(['v9'])
      })

      test('a key that is not there any more is a place to go on from', async () => {
        await fill(['a', 'b', 'c'])
        await application.delete('tokens', { id: 2 })
        expect((await database.scan(await tokensWalk(), ['2'], 9)).map(({ key }) => key)).toEqual([['3']])
      })

      test('walks by several key columns of any text, and reads what values are bound to', async () => {
        for (const row of await application.rows('Odd Schema.x.Pairs'))
          await application.delete('Odd Schema.x.Pairs', { Nr: must(row.Nr), part: must(row.part) })
        const rows = [2, 10, -1].flatMap((nr) =>
          oddTexts.map((part) => ({ Nr: nr, part, token: `${nr} ${part}`, tenant: randomUUID(), on: nr > 0, bytes: Buffer.from(part) })),
        )
        for (const row of rows) await application.insert('Odd Schema.x.Pairs', row)
        const [shape] = await database.inspect([location('Pairs', 'token', 'Odd Schema.x')])
        const types = { Nr: 'int', part: 'text', tenant: 'uuid', on: 'bool', bytes: 'bytes' } as const
        const bound = Object.entries(types).map(([column, type]) => ({ column, type }))
        const walk = await database.walk(must(shape), [{ field: 'f', column: 'token', holds: 'text', currentPrefix: null }], bound)
        const all = await pages(walk, 4)
        expect(all).toEqual(await database.scan(walk, null, 1000))
        expect(all.map(({ key }) => Number(key[0]))).toEqual([-1, 2, 10].flatMap((nr) => oddTexts.map(() => nr)))
        expect(new Set(all.map(({ key }) => JSON.stringify(key)))).toEqual(
          new Set(rows.map(({ Nr, part }) => JSON.stringify([String(Nr), part]))),
        )
        for (const { key, values, bound: read } of all) {
          const row: MemoryRow = must(rows.find(({ Nr, part }) => String(Nr) === key[0] && part === key[1]))
          expect(values).toEqual([row.token])
          expect(bound.map(({ type }, index) => canonicalBytes(type, read[index]))).toEqual(
            bound.map(({ column, type }) => canonicalBytes(type, row[column])),
          )
        }
      })

      test('rows without any value are left out, and NULL beside a value is null', async () => {
        await fill(['a', null, 'c'])
        await application.update('tokens', { id: 2 }, { 'Secret "2"': Buffer.from([1, 0, 255]) })
        expect((await pages(await tokensWalk(), 9)).map(({ key }) => key[0])).toEqual(['1', '3'])
        const both = await pages(await bothWalk(), 9)
        expect(both.map(({ key }) => key[0])).toEqual(['1', '2', '3'])
        expect(must(both[1]).values[0]).toBeNull()
        expect([...must(must(both[1]).values[1])]).toEqual([1, 0, 255])
      })

      test('an empty string is a value', async () => {
        await fill([''])
        expect((await pages(await tokensWalk({ currentPrefix: 'kt1.x' }), 9)).map(({ values }) => values)).toEqual([['']])
      })

      test('of rows that begin as current ones none is lost that has another value, in text and in bytes', async () => {
        await fill(['kt1.new.1', 'old', 'KT1.NEW.x', null, 'kt1.new', 'kt1.new.2'])
        const current = Buffer.from([107, 116, 1, 9])
        await application.update('tokens', { id: 1 }, { 'Secret "2"': Buffer.concat([current, Buffer.from('x')]) })
        await application.update('tokens', { id: 6 }, { 'Secret "2"': Buffer.from([107, 116, 1, 8]) })
        expect((await pages(await tokensWalk({ currentPrefix: 'kt1.new.' }), 2)).map(({ key }) => key[0])).toEqual(['2', '3', '5'])
        expect((await pages(await bothWalk(['kt1.new.', current]), 2)).map(({ key }) => key[0])).toEqual(['2', '3', '5', '6'])
      })
    })

    test('a sample has both ends of the key, the longest value, and only rows with a value', async () => {
      await fill(Array.from({ length: 30 }, (_, index) => (index === 0 ? null : index === 14 ? 'x'.repeat(500) : `v${index}`)))
      const keys = (await database.sample(await tokensWalk(), 0, 6)).map(({ key }) => Number(key[0])).sort((a, b) => a - b)
      expect(keys).toEqual([2, 3, 4, 15, 28, 29, 30])
      expect(await database.sample(await bothWalk(), 1, 6)).toEqual([])
    })

    describe('swap', () => {
      test('replaces what still stands as it was read, and names what it missed', async () => {
        await fill(['a', 'b', 'c', null, 'e', 'f'])
        const walk = await tokensWalk()
        await application.update('tokens', { id: 2 }, { token: 'changed' })
        await application.delete('tokens', { id: 3 })
        await application.update('tokens', { id: 4 }, { token: 'appeared' })
        await application.update('tokens', { id: 5 }, { token: null })
        const changes = [
          change(1, 'a', 'A'),
          change(2, 'b', 'B'),
          change(3, 'c', 'C'),
          change(4, null, 'D'),
          change(5, 'e', 'E'),
          change(6, 'f', 'F'),
        ]
        expect([...(await database.transaction((tx) => tx.swap(walk, changes)))].sort()).toEqual([1, 2, 3, 4])
        const rows = new Map((await application.rows('tokens')).map((row) => [Number(row.id), row]))
        expect([1, 2, 3, 4, 5, 6].map((id) => rows.get(id)?.token)).toEqual(['A', 'changed', undefined, 'appeared', null, 'F'])
        expect(rows.get(1)?.note).toBe('n')
      })

      test('compares bytes, not what looks alike', async () => {
        await fill(['é', 'A', 'a '])
        const walk = await tokensWalk()
        const changes = [change(1, 'e\u0301', 'x'), change(2, 'a', 'x'), change(3, 'a', 'x')]
        expect([...(await database.transaction((tx) => tx.swap(walk, changes)))].sort()).toEqual([0, 1, 2])
      })

      test('all values of a row change together or not at all', async () => {
        await fill(['a', 'b', 'c'])
        const [old, other, next] = [Buffer.from([1]), Buffer.from([2]), Buffer.from([3, 0])]
        for (const id of [1, 2]) await application.update('tokens', { id }, { 'Secret "2"': old })
        const walk = await bothWalk()
        await application.update('tokens', { id: 2 }, { 'Secret "2"': other })
        const both = (id: number, from: string, bytes: Buffer | null) => ({
          key: [String(id)],
          from: [from, bytes],
          to: [from.toUpperCase(), bytes && next],
        })
        const missed = await database.transaction((tx) => tx.swap(walk, [both(1, 'a', old), both(2, 'b', old), both(3, 'c', null)]))
        expect(missed).toEqual([1])
        const rows = await application.rows('tokens')
        const found = Object.fromEntries(
          rows.map((row) => [String(row.id), [row.token, row['Secret "2"'] && [...(row['Secret "2"'] as Uint8Array)]]]),
        )
        expect(found).toEqual({ 1: ['A', [3, 0]], 2: ['b', [2]], 3: ['C', null] })
      })

      test('values and keys of every text arrive as they are', async () => {
        await fill(oddTexts)
        const walk = await tokensWalk()
        const changes = (await pages(walk, 100)).map(({ key, values }) => ({ key, from: values, to: [`${values[0]}${values[0]}`] }))
        expect(await database.transaction((tx) => tx.swap(walk, changes))).toEqual([])
        for (const [index, text] of oddTexts.entries()) expect(await tokenOf(index + 1)).toBe(`${text}${text}`)
      })

      test('a batch may run twice, and none is no work', async () => {
        await fill(['a'])
        const walk = await tokensWalk()
        const swap = (changes: readonly Change[]) => database.transaction((tx) => tx.swap(walk, changes))
        expect([await swap([change(1, 'a', 'A')]), await swap([change(1, 'a', 'A')]), await swap([])]).toEqual([[], [0], []])
        expect(await tokenOf(1)).toBe('A')
      })
    })

    describe('a transaction', () => {
      test('is rolled back when its work throws, the very error comes out, and the next one works', async () => {
        await fill(['a'])
        const walk = await tokensWalk()
        const { run, lease } = await leasedRun()
        const own = new Error('own')
        const work = database.transaction(async (tx) => {
          await tx.swap(walk, [change(1, 'a', 'A')])
          await tx.advance(lease, step(1), [aside('1')])
          throw own
        })
        await expect(work).rejects.toBe(own)
        expect(await tokenOf(1)).toBe('a')
        expect((await database.runs.get(run.id))?.progress).toEqual(start)
        expect((await database.runs.setAside(run.id, 9)).total).toBe(0)
        expect(await database.transaction((tx) => tx.swap(walk, [change(1, 'a', 'A')]))).toEqual([])
      })

      test('commits rows, progress and values set aside together', async () => {
        await fill(['a'])
        const walk = await tokensWalk()
        const { run, lease } = await leasedRun()
        const progress = step(1, { after: ['1'], rotated: 1, rows: { 'public.tokens': 1 } })
        const missed = await database.transaction(async (tx) => {
          const missed = await tx.swap(walk, [change(1, 'a', 'A')])
          expect(await tx.advance(lease, progress, [aside('7')])).toBeNull()
          return missed
        })
        expect([missed, await tokenOf(1), (await database.runs.get(run.id))?.progress]).toEqual([[], 'A', progress])
        expect((await database.runs.setAside(run.id, 9)).values).toEqual([aside('7')])
      })

      test('of a lease that has passed on is refused, with its rows', async () => {
        await fill(['a'])
        const walk = await tokensWalk()
        const { run, lease } = await leasedRun()
        await database.runs.renew({ ...lease, ttlMs: -1 })
        const next = await database.runs.acquire(run.id, 3_600_000)
        const advance = (with_: typeof lease) =>
          database.transaction(async (tx) => {
            await tx.swap(walk, [change(1, 'a', 'A')])
            await tx.advance(with_, step(1), [aside('1')])
          })
        await expect(advance(lease)).rejects.toMatchObject({ code: 'ERR_LEASE_LOST' })
        expect([
          await tokenOf(1),
          (await database.runs.get(run.id))?.progress.sequence,
          (await database.runs.setAside(run.id, 9)).total,
        ]).toEqual(['a', 0, 0])
        await advance(next)
        expect(await tokenOf(1)).toBe('A')
      })
    })

    describe('exclusive', () => {
      test('lets no writer write until its commit, and readers see the old state', async () => {
        await fill(['a', 'b'])
        const walk = await tokensWalk()
        let writing: Promise<void> | undefined
        const missed = await database.exclusive([walk], async (tx) => {
          writing = application.update('tokens', { id: 1 }, { token: 'of the application' })
          // Time in which a writer that is not kept out would write: then the swap would miss the row.
          await sleep(100)
          const rows = await tx.scan(walk, null, 9)
          const missed = await tx.swap(
            walk,
            rows.map(({ key, values }) => ({ key, from: values, to: ['rotated'] })),
          )
          if (under.readersGoOn) expect((await application.rows('tokens')).map((row) => row.token).sort()).toEqual(['a', 'b'])
          expect((await tx.scan(walk, null, 9)).map(({ values }) => values)).toEqual([['rotated'], ['rotated']])
          return missed
        })
        await writing
        expect([missed, await tokenOf(1), await tokenOf(2)]).toEqual([[], 'of the application', 'rotated'])
      })

      test('is rolled back whole when its work throws, also its hold', async () => {
        await fill(['a'])
        const walk = await tokensWalk()
        const work = database.exclusive([walk], async (tx) => {
          await tx.swap(walk, [change(1, 'a', 'A')])
          await tx.hold([walk], 'run-1')
          throw new Error('no')
        })
        await expect(work).rejects.toThrow('no')
        expect([await tokenOf(1), await database.holds()]).toEqual(['a', []])
        await application.update('tokens', { id: 1 }, { token: 'free' })
      })
    })

    test('a hold refuses inserts and writes of its columns until it is released, and nothing else', async () => {
      await fill(['a', 'b'])
      const walk = await tokensWalk()
      await database.exclusive([walk], (tx) => tx.hold([walk], 'run-1'))
      expect(await database.holds()).toEqual([{ rotationId: 'run-1', tables: ['public.tokens'] }])
      await expect(application.update('tokens', { id: 1 }, { token: 'x' })).rejects.toThrow()
      await expect(application.update('tokens', { id: 999 }, { token: 'x' })).rejects.toThrow()
      await expect(application.insert('tokens', { id: 9, token: null })).rejects.toThrow()
      await application.update('tokens', { id: 1 }, { note: 'another column' })
      await application.delete('tokens', { id: 2 })
      expect((await pages(walk, 9)).map(({ values }) => values)).toEqual([['a']])
      const before = (await under.events()).length
      expect(await database.releaseHold('another', event('rotation.release'))).toEqual([])
      expect((await under.events()).length).toBe(before)
      expect(await database.releaseHold('run-1', event('rotation.release'))).toEqual(['public.tokens'])
      expect((await under.events()).slice(before).map(({ action }) => action)).toEqual(['rotation.release'])
      expect(await database.holds()).toEqual([])
      await application.update('tokens', { id: 1 }, { token: 'x' })
      await application.insert('tokens', { id: 9, token: 'y' })
      expect(await database.releaseHold('run-1', event('rotation.release'))).toEqual([])
    })

    test('our own state exists, and its audit chain is intact', async () => {
      expect(await database.hasState()).toBe(true)
      await leasedRun()
      const events = await under.events()
      expect(events.length).toBeGreaterThan(0)
      expect(verifyChain(events)).toMatchObject({ intact: true })
    })

    conformsWithDocuments(() => under)
    conformsToRunStore(() => ({ database, events: under.events }))
  })
}
