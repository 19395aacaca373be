import { randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { storeConformance } from '../../../../test/conformance/secrets/store.ts'
import type { Call } from '../secret/call.ts'
import { jsonValue, withJsonValue } from './file/json-text.ts'
import jsonFile, { options } from './json-file.ts'

const folder = await mkdtemp(join(tmpdir(), 'keyturn-json-'))
let made = 0
const call = (): Call => ({ secret: 'dsn', attempt: randomUUID(), signal: new AbortController().signal })

afterAll(() => rm(folder, { recursive: true }))

async function fileOf(text: string | null): Promise<string> {
  const path = join(folder, `${++made}.json`)
  if (text !== null) await writeFile(path, text, { mode: 0o600 })
  return path
}
async function written(before: string | null, values: Record<string, string | null>) {
  const path = await fileOf(before)
  await jsonFile({ path }).write(call(), values)
  return readFile(path, 'utf8')
}

storeConformance('json-file', async () => {
  const path = await fileOf('{\n  // the shop\n  "port": 80,\n  "key": ""\n}\n')
  const names = ['key', '/old/key'] as const
  return {
    config: { store: 'json-file', path },
    names,
    read: async () => {
      const text = await readFile(path, 'utf8')
      return Object.fromEntries(
        names.flatMap((name) => {
          const value = jsonValue(text, name)
          return value === null || value === '' ? [] : [[name, value]]
        }),
      )
    },
    others: async () => (await readFile(path, 'utf8')).split('\n').slice(0, 3),
    close: async () => {},
  }
})

const config = `{
  // the database
  "database": { "password": "old", "port": 5432.0 }, // 12345678901234567890
  /* "token": "not this one" */
  "list": [1, { "token": "nor this } one" }],
  "token": "old", // note
  "last": true
}
`

test('values change where they stand; comments, order, numbers and white space stay', async () => {
  expect(await written(config, { '/database/password': 'n"ew\nline', token: 'new' })).toBe(
    config.replace('"password": "old"', '"password": "n\\"ew\\nline"').replace('"token": "old"', '"token": "new"'),
  )
})

test('a new member comes at the end of its object, with the objects around it', async () => {
  expect(await written('{\n    "a": 1\n}\n', { b: 'x' })).toBe('{\n    "a": 1,\n    "b": "x"\n}\n')
  expect(await written('{ "a": {} }', { '/a/b/c': 'x' })).toBe('{ "a": {\n  "b": {"c":"x"}\n} }')
  expect(await written(null, { a: 'x' })).toBe('{\n  "a": "x"\n}\n')
})

test('a member without a value goes with its line and its comma', async () => {
  expect(await written(config, { token: null })).toBe(config.replace('\n  "token": "old",', ''))
  expect(await written(config, { last: null })).toBe(config.replace('"old", // note\n  "last": true', '"old" // note'))
  expect(await written('{"a":"1"}', { a: null })).toBe('{}')
  expect(await written('{"a":"1","b":"2",}', { b: null, never: null })).toBe('{"a":"1",}')
})

test('what was written is read, and the rest is as it was, whatever stands there', () => {
  const value = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.array(fc.string(), { maxLength: 3 }),
  )
  const document = fc.dictionary(fc.string({ maxLength: 6 }), value, { maxKeys: 5, noNullPrototype: true })
  const place = fc.string({ maxLength: 6 }).filter((name) => !name.startsWith('/'))
  fc.assert(
    fc.property(document, place, fc.option(fc.string()), fc.constantFrom(undefined, 2, '\t'), (before, name, secret, indent) => {
      if (typeof before[name] === 'object' && before[name] !== null && secret !== null) return
      const after = withJsonValue(JSON.stringify(before, null, indent), name, secret)
      const { [name]: _, ...rest } = before
      expect(JSON.parse(after)).toEqual(secret === null ? rest : { ...rest, [name]: secret })
      expect(jsonValue(after, name)).toBe(secret)
    }),
    { numRuns: 200 },
  )
})

test.each([
  ['no JSON', '{"a" "b"}', 'a'],
  ['half of it', '{"a": "s3cret-value', 'a'],
  ['a list', '["s3cret-value"]', 'a'],
  ['an object where the value should be', '{"a": {"s3cret-value": 1}}', 'a'],
  ['a value where an object should be', '{"a": "s3cret-value"}', '/a/b'],
])('%s is refused, not quoted and not changed', async (_, text, name) => {
  const path = await fileOf(text)
  const refusal = await jsonFile({ path })
    .write(call(), { [name]: 'new' })
    .catch((error: unknown) => error)
  expect(refusal).toMatchObject({ code: 'ERR_OUTSIDE_REFUSED' })
  expect(String(refusal)).not.toContain('s3cret-value')
  expect(await readFile(path, 'utf8')).toBe(text)
})

test('of two places one of which is inside the other, neither is written', async () => {
  const path = await fileOf('{"b":"1"}')
  const refusal = jsonFile({ path }).write(call(), { '/a': null, '/a/b': 'x' })
  await expect(refusal).rejects.toMatchObject({ code: 'ERR_OUTSIDE_REFUSED' })
  expect(await readFile(path, 'utf8')).toBe('{"b":"1"}')
})

test('a check reads the file, and finds what is none; a new file is for its owner only', async () => {
  expect(await jsonFile({ path: await fileOf('{"a":"1"}') }).check(call(), ['a'])).toEqual([])
  expect(await jsonFile({ path: await fileOf('{"a":') }).check(call(), ['a'])).toMatchObject([{ severity: 'fault' }])
  const path = await fileOf(null)
  await jsonFile({ path }).write(call(), { a: 'x' })
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  expect(options.safeParse({ path: 'https://x.test' }).success).toBe(false)
})
