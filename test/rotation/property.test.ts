import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import postgres, { pgState } from '../../packages/core/src/databases/postgres.ts'
import { isKeyturnError } from '../../packages/core/src/errors.ts'
import type { Field } from '../../packages/core/src/field/field.ts'
import type { Database } from '../../packages/core/src/rotation/database.ts'
import type { RotationResult } from '../../packages/core/src/rotation/result.ts'
import { resume, rotate } from '../../packages/core/src/rotation/rotate.ts'
import { verifyFields } from '../../packages/core/src/rotation/verify.ts'
import { migrate } from '../../packages/core/src/state/schema.ts'
import { count } from '../harness/counts.ts'
import { useDatabase } from '../harness/postgres.ts'
import { withSteps } from './steps.ts'
import { damaged, fieldOf, insertOld, namelessField, rotationOf, writeOld } from './world.ts'

const server = useDatabase()
const named = fieldOf('tokens.token')
let field = named
const runs = { numRuns: count(10, 400), endOnFailure: true }
let database: Database

beforeAll(async () => {
  database = postgres({ pool: server.pool })
  await migrate(pgState(server.pool))
  await server.pool.query('CREATE TABLE tokens (id bigint PRIMARY KEY, token text)')
})

type Kind = 'old' | 'new' | 'null' | 'broken'
/** What the application does at one step of the rotation. */
interface Write {
  readonly at: number
  readonly what: 'old' | 'new' | 'null' | 'delete' | 'move' | 'insert'
  readonly row: number
  readonly to: number
}
/** What becomes of the process at one step. */
interface Stop {
  readonly at: number
  readonly how: 'abort' | 'crash'
}

const kinds = fc.array(fc.oneof({ weight: 6, arbitrary: fc.constant<Kind>('old') }, fc.constantFrom<Kind>('new', 'null', 'broken')), {
  maxLength: 40,
})
const step = fc.integer({ min: 1, max: 60 })
const writes = fc.array(
  fc.record<Write>({
    at: step,
    what: fc.constantFrom('old', 'new', 'null', 'delete', 'move', 'insert'),
    row: fc.nat(39),
    to: fc.integer({ min: -20, max: 60 }),
  }),
  { maxLength: 20 },
)
const stops = fc.array(fc.record<Stop>({ at: step, how: fc.constantFrom('abort', 'crash') }), { maxLength: 4 })
const batch = fc.integer({ min: 1, max: 12 })

/** What each row should be: its text; null for NULL; the stored value itself where it does not open. */
type Model = Map<number, { text: string | null } | { stored: string }>

async function fill(rows: readonly Kind[]): Promise<Model> {
  await server.pool.query('TRUNCATE tokens, keyturn.rotation CASCADE')
  const model: Model = new Map()
  for (const [index, kind] of rows.entries()) {
    const id = index * 2
    const text = `row ${id}`
    const stored = { old: () => writeOld(text), new: () => field.encryptSync(text), null: () => null, broken: damaged }[kind]()
    await server.pool.query('INSERT INTO tokens VALUES ($1, $2)', [id, stored])
    model.set(id, kind === 'broken' ? { stored: stored as string } : { text: kind === 'null' ? null : text })
  }
  return model
}

/** One write after the other: reading and writing steps of a rotation come at the same time, and the model must not. */
let writing: Promise<void> = Promise.resolve()
function apply(model: Model, write: Write): Promise<void> {
  writing = writing.then(() => applyOne(model, write))
  return writing
}

async function applyOne(model: Model, { at, what, row, to }: Write): Promise<void> {
  const ids = [...model.keys()]
  const id = ids[row % Math.max(1, ids.length)]
  const text = `written ${at} ${row} ${to}`
  if (what === 'insert' && !model.has(to)) {
    await server.pool.query('INSERT INTO tokens VALUES ($1, $2)', [to, writeOld(text)])
    model.set(to, { text })
  }
  const entry = id === undefined ? undefined : model.get(id)
  if (id === undefined || entry === undefined) return
  if (what === 'delete') {
    await server.pool.query('DELETE FROM tokens WHERE id = $1', [id])
    model.delete(id)
  } else if (what === 'move' && !model.has(to)) {
    await server.pool.query('UPDATE tokens SET id = $2 WHERE id = $1', [id, to])
    model.delete(id)
    model.set(to, entry)
  } else if (what === 'old' || what === 'new' || what === 'null') {
    const stored = what === 'null' ? null : what === 'old' ? writeOld(text) : field.encryptSync(text)
    await server.pool.query('UPDATE tokens SET token = $2 WHERE id = $1', [id, stored])
    model.set(id, { text: what === 'null' ? null : text })
  }
}

/** Steps at which no row is locked by the rotation: there the application writes. */
const open = new Set(['scan:before', 'scan:after', 'swap:before', 'commit:after'])

class Crash extends Error {}

/** Rotates, with writes and stops at their steps, until it is done; steps are counted through all resumes. */
async function rotateThrough(
  model: Model,
  size: number,
  plan: { writes: readonly Write[]; stops: readonly Stop[]; fields?: readonly Field[] },
): Promise<RotationResult> {
  const { fields = [field] } = plan
  let steps = 0
  let abort = new AbortController()
  const stepping = withSteps(database, async (name) => {
    steps++
    if (open.has(name)) for (const write of plan.writes) if (write.at === steps) await apply(model, write)
    const stop = plan.stops.find(({ at }) => at === steps)
    if (stop?.how === 'abort') abort.abort()
    if (stop?.how === 'crash') throw new Crash('here the process dies')
  })
  const small: Database = { ...stepping, scan: (walk, after, limit) => stepping.scan(walk, after, Math.min(limit, size)) }
  for (;;) {
    abort = new AbortController()
    const rotation = rotationOf(small, fields, { accept: true, signal: abort.signal })
    try {
      const run = await database.runs.unfinished('app')
      const [last] = await database.runs.list(1)
      if (run === null && last?.state === 'completed') return await rotate(rotationOf(database, fields, { accept: true }))
      const result = await (run === null ? rotate(rotation) : resume(rotation, run))
      if (result.state === 'completed') return result
    } catch (error) {
      if (isKeyturnError(error, 'ERR_SAMPLE')) fc.pre(somethingOpens(model))
      if (!(error instanceof Crash)) throw error
    }
    // A process that died gives no lease back; here nobody waits for its end.
    await server.pool.query('UPDATE keyturn.rotation SET lease_until = NULL')
  }
}

async function contents(): Promise<Map<number, string | null>> {
  const { rows } = await server.pool.query<{ id: string; token: string | null }>('SELECT id, token FROM tokens ORDER BY id')
  return new Map(rows.map(({ id, token }) => [Number(id), token]))
}

function expectModel(found: ReadonlyMap<number, string | null>, model: Model): void {
  expect([...found.keys()]).toEqual([...model.keys()].sort((a, b) => a - b))
  for (const [id, expected] of model) {
    const stored = found.get(id) ?? null
    if ('stored' in expected) expect(stored).toBe(expected.stored)
    else if (expected.text === null || stored === null) expect(stored).toBe(expected.text)
    else {
      const { plaintext, current } = field.open(stored, [])
      expect({ id, text: Buffer.from(plaintext).toString(), current }).toEqual({ id, text: expected.text, current: true })
    }
  }
}

/** Writes may leave nothing but values that do not open; then a plan is refused, and rightly. */
function somethingOpens(model: Model): boolean {
  const values = [...model.values()]
  return values.some((entry) => 'text' in entry && entry.text !== null) || !values.some((entry) => 'stored' in entry)
}

/** A plan is refused where nothing of a sample opens; such tables are not rotated at all. */
function someOpen(rows: readonly Kind[]): boolean {
  return rows.includes('old') || rows.includes('new') || !rows.includes('broken')
}

test('A rotation of a rotated table changes nothing: twice equals once', async () => {
  await fc.assert(
    fc.asyncProperty(kinds.filter(someOpen), batch, async (rows, size) => {
      const model = await fill(rows)
      const first = await rotateThrough(model, size, { writes: [], stops: [] })
      const once = await contents()
      expectModel(once, model)
      const second = await rotate(rotationOf(database, [field], { accept: true }))
      expect(await contents()).toEqual(once)
      expect(second).toMatchObject({
        total: first.total,
        rotated: 0,
        rows: 0,
        failedCount: first.failedCount,
        skipped: first.total - first.failedCount,
      })
    }),
    runs,
  )
})

test('Stopped or killed anywhere and resumed equals not stopped, to the count', async () => {
  await fc.assert(
    fc.asyncProperty(kinds.filter(someOpen), batch, stops, async (rows, size, stops) => {
      const model = await fill(rows)
      const result = await rotateThrough(model, size, { writes: [], stops })
      const [of] = [(kind: Kind) => rows.filter((each) => each === kind).length]
      expectModel(await contents(), model)
      const whole = { total: rows.length - of('null'), failedCount: of('broken') }
      expect(result).toMatchObject(whole)
      // Of a run that died after its last state was saved, the second result says that nothing was left to do.
      const [latest] = (await database.runs.list(10)).reverse()
      expect(latest?.progress).toMatchObject({ rotated: of('old'), conflicts: 0 })
    }),
    runs,
  )
})

test.each([
  ['a format that names its key', named],
  ['a format that names none', namelessField('tokens.token')],
] as const)(
  'Whatever the application writes meanwhile, and wherever the process dies: no write is lost, and every value is current (%s)',
  async (_, of) => {
    field = of
    await fc.assert(
      fc.asyncProperty(kinds.filter(someOpen), batch, writes, stops, async (rows, size, writes, stops) => {
        const model = await fill(rows)
        await rotateThrough(model, size, { writes, stops })
        fc.pre(somethingOpens(model))
        // Writes of the old key may have come after the last look: without further writes one more rotation ends it.
        const last = await rotate(rotationOf(database, [field], { accept: true }))
        expect(last.state).toBe('completed')
        expectModel(await contents(), model)
      }),
      runs,
    )
  },
)

test('Several tables, stopped anywhere and resumed: every row of each is rewritten and counted once', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(15), { minLength: 3, maxLength: 3 }), batch, stops, async (sizes, size, stops) => {
      await server.pool.query('TRUNCATE keyturn.rotation CASCADE')
      for (const [index, rows] of sizes.entries()) {
        await server.pool.query(`DROP TABLE IF EXISTS t${index}; CREATE TABLE t${index} (id bigint PRIMARY KEY, token text)`)
        await insertOld(server.pool, `t${index}`, rows)
      }
      const fields = sizes.map((_, index) => fieldOf(`t${index}.token`))
      await rotateThrough(new Map(), size, { writes: [], stops, fields })
      const [first] = (await database.runs.list(10)).reverse()
      const total = sizes.reduce((sum, rows) => sum + rows, 0)
      const rows = Object.fromEntries(sizes.flatMap((rows, index) => (rows === 0 ? [] : [[`public.t${index}`, rows]])))
      expect(first?.progress).toMatchObject({ rotated: total, conflicts: 0 })
      expect(first?.progress.rows).toEqual(rows)
      expect(await verifyFields({ database, fields, known: [] })).toMatchObject({ total, current: total })
    }),
    runs,
  )
})
