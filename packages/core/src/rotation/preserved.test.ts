import { createHmac } from 'node:crypto'
import { expect, test } from 'vitest'
import { fieldOf, newKey, rotationOf, writeOld } from '../../../../test/rotation/world.ts'
import memory, { type MemoryDatabase } from '../databases/memory.ts'
import type { Field } from '../field/field.ts'
import { KeyMaterial } from '../keyring/key-version.ts'
import type { Change, Database } from './database.ts'
import { preservedKey, testify, withPreserved } from './preserved.ts'
import { resume, rotate } from './rotate.ts'
import type { Progress, Run } from './run.ts'

const fields = [fieldOf('tokens.token', { name: 'token' }), fieldOf('tokens.doc:/*/v', { name: 'doc' })]
const document = (id: number) => JSON.stringify({ b: { v: writeOld(`b ${id}`) }, 'a/c': { v: writeOld(`a ${id}`) }, n: 1 })

function filled(rows: number): MemoryDatabase {
  const values = Array.from({ length: rows }, (_, index) => ({
    id: index + 1,
    token: writeOld(`token ${index + 1}`),
    doc: document(index + 1),
  }))
  const columns = [
    { name: 'token', type: 'text' },
    { name: 'doc', type: 'json' },
  ] as const
  return memory({ tables: [{ name: 'tokens', key: [{ name: 'id', type: 'int' }], columns, rows: values as never }] })
}

/** Notes what each commit has changed, as one who looks over the shoulder. */
function watched(database: MemoryDatabase): { database: Database; commits: Change[][] } {
  const commits: Change[][] = []
  const transaction: Database['transaction'] = async (work) => {
    const swapped: Change[] = []
    const result = await database.transaction((tx) =>
      work({
        ...tx,
        swap: async (walk, changes) => {
          const missed = await tx.swap(walk, changes)
          swapped.push(...changes.filter((_, index) => !missed.includes(index)))
          return missed
        },
      }),
    )
    if (swapped.length > 0) commits.push(swapped)
    return result
  }
  return { database: { ...database, transaction, scan: (walk, after, limit) => database.scan(walk, after, Math.min(limit, 3)) }, commits }
}

const prefixed = (part: string | Uint8Array) => {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(Buffer.byteLength(part))
  return Buffer.concat([length, Buffer.from(part as string)])
}

/** One side of the sum, counted by hand from what was committed. */
function sumOf(commits: readonly (readonly Change[])[], side: 'from' | 'to', rotationId: string): string {
  const key = new KeyMaterial(newKey).derive(`keyturn/preserved/${rotationId}`)
  const open = (field: Field, stored: string) => field.open(stored, []).plaintext
  let sum = 0n
  for (const changes of commits) {
    const hmac = createHmac('sha256', key)
    for (const change of changes) {
      const [token, text] = change[side] as [string, string]
      const doc = JSON.parse(text)
      const values = [
        ['token', '', open(fields[0]!, token)],
        ['doc', '/b/v', open(fields[1]!, doc.b.v)],
        ['doc', '/a~1c/v', open(fields[1]!, doc['a/c'].v)],
      ] as const
      for (const [name, path, plaintext] of values)
        for (const part of [name, JSON.stringify(change.key), path, plaintext]) hmac.update(prefixed(part))
    }
    sum += BigInt(`0x${hmac.digest('hex')}`)
  }
  return (sum % 2n ** 256n).toString(16).padStart(64, '0')
}

const progressOf = async (database: Database, id: string): Promise<Progress> => ((await database.runs.get(id)) as Run).progress

test('each side is the sum over exactly the values whose swap committed: what was missed is not in it, nor counted twice', async () => {
  const memory = filled(10)
  let scans = 0
  memory.hooks.afterScan = async () => {
    if (++scans === 2) await memory.application.update('tokens', { id: 4 }, { token: writeOld('written meanwhile') as string })
    if (scans === 3) await memory.application.delete('tokens', { id: 8 })
  }
  const { database, commits } = watched(memory)
  const result = await rotate(rotationOf(database, fields))
  expect(result).toMatchObject({ state: 'completed', conflicts: 2, rotated: 27 })
  expect(commits.flat().length).toBe(9)
  const { preserved } = await progressOf(database, result.id)
  expect(preserved).toEqual({ old: sumOf(commits, 'from', result.id), new: sumOf(commits, 'to', result.id) })
  expect(preserved.old).toBe(preserved.new)
})

test('a run that pauses and goes on goes on summing', async () => {
  const { database, commits } = watched(filled(12))
  const abort = new AbortController()
  const options = { signal: abort.signal, onProgress: () => abort.abort() }
  const paused = await rotate(rotationOf(database, fields, options))
  expect(paused.state).toBe('paused')
  const halfway = commits.length
  const result = await resume(rotationOf(database, fields), (await database.runs.get(paused.id))!)
  expect(result).toMatchObject({ state: 'completed', rotated: 36 })
  expect(commits.length).toBeGreaterThan(halfway)
  expect(halfway).toBeGreaterThan(0)
  expect((await progressOf(database, result.id)).preserved).toEqual({
    old: sumOf(commits, 'from', result.id),
    new: sumOf(commits, 'to', result.id),
  })
})

test('a transaction rotation sums as well', async () => {
  const database = filled(5)
  const result = await rotate(rotationOf(database, fields, { mode: 'transaction', appStopped: true }))
  const { preserved } = await progressOf(database, result.id)
  expect(preserved.old).toBe(preserved.new)
  expect(preserved.old).not.toMatch(/^0+$/)
})

test.each(['online', 'transaction'] as const)(
  '%s: sums that differ at the end are a defect, and the run does not end as completed',
  async (mode) => {
    const { database } = watched(filled(5))
    const forged: Database = {
      ...database,
      runs: {
        ...database.runs,
        create: (run, event) =>
          database.runs.create(
            { ...run, progress: { ...run.progress, preserved: { ...run.progress.preserved, old: '1'.repeat(64) } } },
            event,
          ),
      },
    }
    const first = await rotate(rotationOf(forged, fields, { mode, appStopped: true, signal: AbortSignal.abort() })).catch((error) => error)
    const run = (await database.runs.unfinished('app'))!
    expect(first.state).toBe('paused')
    expect(run.progress.preserved.old).not.toBe(run.progress.preserved.new)
    await expect(resume(rotationOf(database, fields, { mode, appStopped: true }), run)).rejects.toMatchObject({ code: 'ERR_ROUND_TRIP' })
    expect((await database.runs.get(run.id))?.state).not.toBe('completed')
  },
)

test('the two sides differ where a plaintext does, a field, a row or a path, and rows that follow each other are one message', () => {
  const named = { fields: [fieldOf('t.f', { name: 'f' }), fieldOf('t.g', { name: 'g' })] }
  const value = { field: 0, row: '1', path: '', old: Buffer.from('a'), new: Buffer.from('a') }
  const testified = (rows: readonly (readonly (typeof value)[])[]) =>
    testify(
      named,
      rows.map((values) => ({
        row: { key: [values[0]!.row] },
        stale: values.map(({ field, path, old, new: again }) => ({
          cell: { field, spot: path === '' ? null : { start: 0, end: 0, value: '', path: [path.slice(1)] } },
          plaintext: old,
          again,
        })),
      })),
    )
  const key = preservedKey(fields[0]!, 'run')
  const zero = { old: '0'.repeat(64), new: '0'.repeat(64) }
  const sum = (...rows: (readonly (typeof value)[])[]) => withPreserved(zero, key, testified(rows))
  expect(sum([value]).old).toBe(sum([value]).new)
  const changed = sum([{ ...value, new: Buffer.from('b') }])
  expect(changed.old).not.toBe(changed.new)
  const sums = [
    sum([value]),
    sum([{ ...value, field: 1 }]),
    sum([{ ...value, row: '2' }]),
    sum([{ ...value, path: '/1' }]),
    sum([value, value]),
  ]
  expect(new Set(sums.map(({ old }) => old)).size).toBe(5)
  expect(sum([value], [value])).toEqual(sum([value, value]))
  expect(withPreserved(zero, key, [])).toBe(zero)
  const [first, , third] = testified([[value], [{ ...value, row: '2' }], [{ ...value, row: '3' }]])
  expect(withPreserved(zero, key, [first!, third!])).toEqual(sum([value], [{ ...value, row: '3' }]))
  const full = { old: 'f'.repeat(64), new: 'f'.repeat(64) }
  expect(BigInt(`0x${withPreserved(full, key, testified([[value]])).old}`)).toBe(BigInt(`0x${sum([value]).old}`) - 1n)
})
