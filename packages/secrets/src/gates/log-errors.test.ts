import { appendFile, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { gateConformance } from '../../../../test/conformance/secrets/gate.ts'
import { callOf, worldOf } from '../../../../test/harness/parts.ts'
import logErrors, { options } from './log-errors.ts'

const minute = 60_000
let folder: string
let file: string
let now = Date.now()

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keyturn-log-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))
beforeEach(async () => {
  now = Date.now()
  file = join(folder, `${Math.random()}.log`)
  await writeFile(file, '')
})

const line = (ago: number, text: string) => `${new Date(now - ago).toISOString()} ${text}\n`
const bad = 'FATAL: password authentication failed for user "app" hunter2'
const open = (more: object = { file }) =>
  logErrors(
    options.parse(more),
    worldOf({ PATH: process.env.PATH ?? '' }, () => now),
  )
const look = (gate = open(), matches = 0, since = now - 5 * minute) =>
  gate.look(callOf(), { before: { matches }, since, current: { id: null, parts: {} }, previous: null })

test('what was written in the minutes before is what is compared with.', async () => {
  await appendFile(file, line(20 * minute, bad) + line(4 * minute, bad) + line(minute, 'all is well') + line(minute, 'WRONGPASS invalid'))
  expect(await open().before!(callOf())).toEqual({ matches: 2, windowMs: 5 * minute })
  expect(await open({ file, pattern: 'ALL IS' }).before!(callOf())).toMatchObject({ matches: 1 })
})

test('no more of them than are allowed are good when the time is over, and not before.', async () => {
  await appendFile(file, line(10 * minute, bad) + line(minute, 'all is well'))
  expect(await look(open(), 0, now - minute)).toMatchObject({ works: false, later: true })
  expect(await look()).toEqual({ works: true, sentence: expect.stringMatching(/has 0 such lines in 300 s; 0 are allowed in 300 s$/) })
})

test('more of them fail at once, and nothing of a line is repeated.', async () => {
  await appendFile(file, line(30_000, bad))
  const found = await look(open(), 0, now - minute)
  expect(found).toMatchObject({ works: false, later: false, sentence: expect.stringContaining('has 1 such lines in 60 s; 0 are allowed') })
  expect(found.sentence).not.toContain('hunter2')
  expect(await look(open(), 1)).toMatchObject({ works: true })
  expect(await look(open({ file, allow: 1 }))).toMatchObject({ works: true })
  await appendFile(file, line(20_000, bad) + line(10_000, bad))
  expect(await look(open(), 1)).toMatchObject({ works: false, later: false })
  expect(await look(open({ file, tolerance: 3 }), 1)).toMatchObject({ works: true })
})

test('lines without a time are of the time before them, and the file that was rotated is read.', async () => {
  await appendFile(file, `${line(10 * minute, 'old')}${bad}\n${line(2 * minute, 'new')}  ${bad}\n`)
  await rename(file, `${file}.1`)
  await writeFile(file, line(minute, 'newer'))
  expect(await look()).toMatchObject({ works: false, sentence: expect.stringContaining('has 1 such lines') })
})

test('a program can print the log, from the time it is told.', async () => {
  const script = `console.log(process.argv[1]); console.log(process.argv[2]); console.log('NOAUTH no time'); console.log(new Date(0).toISOString() + ' NOAUTH old')`
  const gate = (pattern?: string) =>
    open({ command: [process.execPath, '-e', script, '{since}', '-{seconds}s'], ...(pattern && { pattern }) })
  const since = now - 5 * minute
  // Its first line is a time, which the lines after it are of.
  expect(await look(gate(), 0, since)).toMatchObject({ works: false, later: false, sentence: expect.stringContaining('has 1 such') })
  expect(await look(gate(`^${new Date(since).toISOString()}$|^-300s$`), 1, since)).toMatchObject({
    works: true,
    sentence: expect.stringContaining('has 2 such'),
  })
  const failing = open({ command: [process.execPath, '-e', 'process.exit(3)'] })
  await expect(look(failing)).rejects.toThrow(/ended with code 3/)
  expect(await failing.check(callOf())).toMatchObject([{ severity: 'fault' }])
})

test('a look beforehand finds a log that is not there, or that says no times.', async () => {
  expect(await open().check(callOf())).toEqual([])
  expect(await open({ file: `${file}.none` }).check(callOf())).toMatchObject([
    { severity: 'fault', sentence: expect.stringContaining('cannot be read') },
  ])
  expect(await open({ file: folder }).check(callOf())).toMatchObject([{ severity: 'fault' }])
  await appendFile(file, 'no time here\n')
  expect(await open().check(callOf())).toMatchObject([{ severity: 'fault', sentence: expect.stringContaining('no time') }])
  await appendFile(file, line(minute, 'a time'))
  expect(await open().check(callOf())).toEqual([])
})

test('how most services say it is known.', async () => {
  const known = [
    'SASL authentication failed',
    '-NOAUTH Authentication required.',
    'code: 28P01',
    '{"error":"invalid_client"}',
    'AADSTS7000215: Invalid',
    'HTTP 401 Unauthorized',
    'Incorrect API key provided',
    'invalid x-api-key',
  ]
  await appendFile(
    file,
    known.map((text) => line(minute, text)).join('') + line(minute, 'GET /v1/401 200') + line(minute, 'user logged in'),
  )
  expect(await open().before!(callOf())).toMatchObject({ matches: known.length })
})

test('options that cannot work are refused.', () => {
  for (const wrong of [{}, { file: 'a', command: ['b'] }, { file: 'a', pattern: '(' }, { command: [] }, { file: 'a', windowMs: 1 }])
    expect(options.safeParse(wrong).success, JSON.stringify(wrong)).toBe(false)
})

test.each([
  [-120, 1, true],
  [60, 0, true],
  [330, 0, true],
  // The newest line is some time old, and of this zone.
  [-47, 0, false],
  [-2, 0, false],
])(
  'times without a zone that are %i minutes off are found before: no line after the deployment would ever count.',
  async (minutes, seconds, wrong) => {
    const local = (ms: number) => {
      const date = new Date(ms)
      const two = (number: number) => String(number).padStart(2, '0')
      const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-')
      return `${day} ${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':')}`
    }
    await writeFile(file, `${local(now + minutes * minute - seconds * 1_000)} all is well\n`)
    const found = await open().check(callOf())
    expect(found.map(({ severity, sentence }) => [severity, /zone/.test(sentence)])).toEqual(wrong ? [['fault', true]] : [])
    // One that says its zone is believed.
    await writeFile(file, line(-minutes * minute, 'all is well'))
    expect(await open().check(callOf())).toEqual([])
  },
)

gateConformance('log-errors', async () => {
  const own = join(folder, 'conforming.log')
  const well = line(10 * minute, bad) + line(minute, 'all is well')
  return {
    part: () => open({ file: own }),
    asked: { before: { matches: 0 }, since: now - 6 * minute, current: { id: null, parts: {} }, previous: null },
    secrets: ['hunter2', 'all is well'],
    state: async () => [await readdir(folder), await readFile(own, 'utf8'), (await stat(own)).mtimeMs],
    make: {
      well: () => writeFile(own, well),
      ill: () => writeFile(own, well + line(minute, bad)),
      down: () => rm(own),
    },
    isGone: true,
    close: async () => {},
  }
})
