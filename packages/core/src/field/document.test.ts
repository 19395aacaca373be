import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { count } from '../../../../test/harness/counts.ts'
import { findValues, isDocument, parsePointer, printPointer, splice } from './document.ts'
import type { PathStep } from './location.ts'

const valuesAt = (text: string, pointer: string, where = {}) =>
  findValues(text, parsePointer(pointer), where).map(({ path, value }) => [printPointer(path), value])

describe('Pointers', () => {
  test.each([
    ['', []],
    ['/a', ['a']],
    ['/', ['']],
    ['/headers/*/value', ['headers', null, 'value']],
    ['/a~1b/~0/~2/~01/~02', ['a/b', '~', '*', '~1', '~2']],
    ['/a*b/~2~2', ['a*b', '**']],
    ['/a/**', ['a', true]],
    ['/**', [true]],
  ])('%j is read and written as it is', (text, path) => {
    expect(parsePointer(text)).toEqual(path)
    expect(printPointer(path as PathStep[])).toBe(text)
  })

  test.each(['a', '*', 'a/b', '/~', '/~3', '/a~x', '/**/a', '/**/**'])('%j is none', (text) => {
    expect(() => parsePointer(text)).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }))
  })

  test('Invariant: every path comes back.', () => {
    const step = fc.oneof(
      fc.constant(null),
      fc.string({ unit: fc.constantFrom('a', '/', '~', '*', '0', '1', '2') }),
      fc.string({ unit: 'binary' }),
    )
    fc.assert(
      fc.property(fc.array(step), fc.boolean(), (steps, below) => {
        const path = below ? [...steps, true as const] : steps
        expect(parsePointer(printPointer(path))).toEqual(path)
      }),
    )
  })
})

describe('Values are found where they stand', () => {
  const headers =
    '{ "headers" : [ {"name":"a","value":"1","secret":true}, {"name":"b","value":"2","secret":false} ] , "n" : 12345678901234567890.00 }'
  test.each([
    ['a member', '{"a":"x"}', '/a', [['/a', 'x']]],
    ['the document itself', ' "x" ', '', [['', 'x']]],
    [
      'every element',
      headers,
      '/headers/*/value',
      [
        ['/headers/0/value', '1'],
        ['/headers/1/value', '2'],
      ],
    ],
    ['one element', headers, '/headers/1/value', [['/headers/1/value', '2']]],
    [
      'every member',
      '{"a":{"k":"1"},"b":{"k":"2"},"c":"3","d":[{"k":"4"}]}',
      '/*/k',
      [
        ['/a/k', '1'],
        ['/b/k', '2'],
      ],
    ],
    [
      'every member and every element',
      '{"a":["1"],"b":{"c":"2"}}',
      '/*/*',
      [
        ['/a/0', '1'],
        ['/b/c', '2'],
      ],
    ],
    ['a member whose name is an index', '{"0":"x"}', '/0', [['/0', 'x']]],
    ['names as they are read, not as they are written', '{"\\u0061\\/":"\\u0062\\n"}', '/a~1', [['/a~1', 'b\n']]],
    [
      'each of members that stand twice',
      '{"a":"1","a":"2"}',
      '/a',
      [
        ['/a', '1'],
        ['/a', '2'],
      ],
    ],
    ['an empty string', '{"a":"","":""}', '/a', [['/a', '']]],
    ['strings that look like structure', '{"x":"\\"a\\":\\"}]","a":"{[\\\\"}', '/a', [['/a', '{[\\']]],
    [
      'what is no string, as what does not open',
      '{"a":1,"b":{},"c":[],"d":true}',
      '/*',
      [
        ['/a', null],
        ['/b', null],
        ['/c', null],
        ['/d', null],
      ],
    ],
    ['no null', '{"a":null}', '/a', []],
    ['nothing where the path leads nowhere', '{"a":"x","b":["y"]}', '/b/1', []],
    ['nothing below a string', '{"a":"x"}', '/a/b', []],
    ['nothing by an index that is not spelled as one', '["x"]', '/00', []],
    ['nothing in empty ones', '[{},[]]', '/*/*', []],
  ])('%s', (_, text, pointer, values) => {
    expect(valuesAt(text, pointer)).toEqual(values)
  })

  test('members beside a value decide whether it is one', () => {
    expect(valuesAt(headers, '/headers/*/value', { secret: true })).toEqual([['/headers/0/value', '1']])
    expect(valuesAt(headers, '/headers/*/value', { secret: true, name: 'b' })).toEqual([])
    expect(valuesAt('{"v":"x","n":1.0}', '/v', { n: 1 })).toEqual([['/v', 'x']])
    expect(valuesAt('{"v":"x","n":"1"}', '/v', { n: 1 })).toEqual([])
    expect(valuesAt('{"v":"x"}', '/v', { n: null })).toEqual([])
    expect(valuesAt('{"n":null,"v":"x"}', '/v', { n: null })).toEqual([['/v', 'x']])
    expect(valuesAt('{"n":{},"v":"x"}', '/v', { n: null })).toEqual([])
    expect(valuesAt('["x"]', '/0', { n: 1 })).toEqual([])
    expect(valuesAt('"x"', '', { n: 1 })).toEqual([])
    expect(valuesAt('{"s":true,"o":{"v":"x"}}', '/o/v', { s: true })).toEqual([])
    expect(valuesAt('{"__proto__":true,"v":"x"}', '/v', { toString: true })).toEqual([])
  })

  test('of conditions that stand twice the last counts, wherever the value stands', () => {
    expect(valuesAt('{"s":true,"v":"x","s":false}', '/v', { s: true })).toEqual([])
    expect(valuesAt('{"s":false,"v":"x","s":true}', '/v', { s: true })).toEqual([['/v', 'x']])
  })

  test('a document of any depth is no danger, before the value and behind it', () => {
    const depth = 200_000
    const deep = `${'[{"k":'.repeat(depth)}1${'}]'.repeat(depth)}`
    const text = `{"before":${deep},"a":"x","behind":${deep}}`
    expect(isDocument(text)).toBe(true)
    expect(valuesAt(text, '/a')).toEqual([['/a', 'x']])
  })

  test.each(['', ' ', 'x', '{', '{"a":1', "{'a':1}", '{"a":1,}', '[1] 2', 'NaN', '"a', '\uFEFF{}', '"\n"'])('%j is no document', (text) => {
    expect(isDocument(text)).toBe(false)
  })
})

// Documents with everything that a parser and printer would change: spaces, escapes, long numbers, members that stand twice.
const space = fc.string({ unit: fc.constantFrom(' ', '\n', '\t', '\r'), maxLength: 2 })
const name = fc.constantFrom('a', 'b', 'c', '0', '1', '')
const spelled = (text: string) =>
  fc.constantFrom(
    JSON.stringify(text),
    `"${[...text].map((char) => (char.length === 1 ? `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}` : char)).join('')}"`,
  )
const string = fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: fc.constantFrom('"', '\\', '{', '}', '[', ']', ',', ':', '/') }))
const scalar = fc.oneof(
  string.chain(spelled),
  fc.constantFrom('null', 'true', 'false', '0', '-0.0', '1e400', '12345678901234567890123', '1.10'),
)
const { document } = fc.letrec<{ document: string }>((tie) => {
  const padded = fc.tuple(space, tie('document'), space).map((parts) => parts.join(''))
  const member = fc
    .tuple(space, name.chain(spelled), space, padded)
    .map(([before, key, after, value]) => `${before}${key}${after}:${value}`)
  return {
    document: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      scalar,
      fc.array(padded, { maxLength: 4 }).map((all) => `[${all.join(',') || ' '}]`),
      fc.array(member, { maxLength: 4 }).map((all) => `{${all.join(',') || ' '}}`),
    ),
  }
})
const pattern = fc.array(fc.oneof(fc.constant(null), name), { maxLength: 3 })
const runs = { numRuns: count(200, 20_000) }

describe('Below a place, at any depth', () => {
  test.each([
    ['the document itself', '"x"', '/**', [['', 'x']]],
    ['nothing', ' { } ', '/**', []],
    ['no string', '{"a":1,"b":[true,null,[]],"c":{}}', '/**', []],
    ['a member and what is below it', '{"a":"1","b":{"a":"2"}}', '/a/**', [['/a', '1']]],
    [
      'every string, and no name of a member',
      ' { "a" : [ "1" , { "b" : "2" } , [ ] , [ [ "3" ] ] , 4 ] , "" : { } , "c/d" : "5" , "c/d" : "6" } ',
      '/**',
      [
        ['/a/0', '1'],
        ['/a/1/b', '2'],
        ['/a/3/0/0', '3'],
        ['/c~1d', '5'],
        ['/c~1d', '6'],
      ],
    ],
    [
      'below any member',
      '{"a":{"s":{"x":["1"]},"t":"2"},"b":{"s":"3"}}',
      '/*/s/**',
      [
        ['/a/s/x/0', '1'],
        ['/b/s', '3'],
      ],
    ],
  ])('%s', (_, text, pointer, found) => {
    expect(valuesAt(text, pointer)).toEqual(found)
  })

  test('Invariant: what is found is what a parser finds, and each token is replaced where it stands.', () => {
    const strings = (json: unknown, path: string[] = []): [string, string][] => {
      if (typeof json === 'string') return [[printPointer(path), json]]
      if (typeof json !== 'object' || json === null) return []
      return Object.entries(json).flatMap(([name, value]) => strings(value, [...path, name]))
    }
    fc.assert(
      fc.property(fc.json({ maxDepth: 5 }), fc.constantFrom(undefined, 1, '\t'), (json, space) => {
        const parsed: unknown = JSON.parse(json)
        const text = JSON.stringify(parsed, null, space)
        const found = findValues(text, [true])
        expect(found.map(({ path, value }) => [printPointer(path), value])).toEqual(strings(parsed))
        for (const { start, end, value } of found) expect(JSON.parse(text.slice(start, end))).toBe(value)
        const sealed = splice(
          text,
          found.map(({ start, end, value }) => ({ start, end, value: `<${value}>` })),
        )
        expect(strings(JSON.parse(sealed))).toEqual(strings(parsed).map(([path, value]) => [path, `<${value}>`]))
      }),
      { numRuns: count(120, 20_000) },
    )
  })

  test('a document is searched at every depth up to 1,000 levels, and is none beyond', () => {
    const nested = (depth: number) => `${'[{"a":'.repeat(depth / 2)}"x"${'}]'.repeat(depth / 2)}`
    expect(isDocument(nested(1_000), [true])).toBe(true)
    expect(findValues(nested(1_000), [true])).toHaveLength(1)
    expect(isDocument(nested(1_002), [true])).toBe(false)
    expect(isDocument(nested(100_000), ['a', true])).toBe(false)
    expect(isDocument(nested(100_000), ['a'])).toBe(true)
    expect(isDocument(`["${'['.repeat(5_000)}"]`, [true])).toBe(true)
  })
})

describe('Only tokens of values change', () => {
  test('Invariant: what is found is what a parser finds there, or stands before a member of the same name.', () => {
    fc.assert(
      fc.property(document, pattern, (text, path) => {
        const found = findValues(text, path)
        const last = new Map(found.map((each) => [JSON.stringify(each.path), each.value]))
        expect(new Map([...last].filter(([key]) => parsed(text, path).has(key)))).toEqual(parsed(text, path))
        for (const { start, end, value } of found)
          expect(value).toBe(typeof JSON.parse(text.slice(start, end)) === 'string' ? JSON.parse(text.slice(start, end)) : null)
      }),
      runs,
    )
  })

  test('Invariant: everything outside the tokens stays byte for byte, and the values are replaced.', () => {
    fc.assert(
      fc.property(document, pattern, string, (text, path, value) => {
        const found = findValues(text, path)
        const result = splice(text, found.map((each) => ({ ...each, value })).reverse())
        const tokens = (ends: readonly { start: number; end: number }[], from: string) => {
          let at = 0
          const rest = ends.map(({ start, end }) => {
            const before = from.slice(at, start)
            at = end
            return before
          })
          return [...rest, from.slice(at)]
        }
        const again = findValues(result, path)
        expect(tokens(again, result)).toEqual(tokens(found, text))
        expect(again.map((each) => [each.path, each.value])).toEqual(found.map((each) => [each.path, value]))
        expect(JSON.parse(result)).toEqual(replaced(JSON.parse(text), path, value))
      }),
      runs,
    )
  })
})

/** The values at a path of a parsed document, by their paths. */
function parsed(text: string, path: readonly PathStep[]): Map<string, string | null> {
  const found = new Map<string, string | null>()
  const visit = (node: unknown, trail: readonly string[]) => {
    if (trail.length === path.length) {
      if (node !== null) found.set(JSON.stringify(trail), typeof node === 'string' ? node : null)
    } else if (typeof node === 'object' && node !== null) {
      const step = path[trail.length]
      for (const [key, value] of Object.entries(node)) if (step === null || step === key) visit(value, [...trail, key])
    }
  }
  visit(JSON.parse(text), [])
  return found
}

/** A parsed document with its values replaced: all that are not null. */
function replaced(node: unknown, path: readonly PathStep[], value: string): unknown {
  const [step, ...rest] = path
  if (path.length === 0) return node === null ? null : value
  const change = (key: string, child: unknown) => (step === null || step === key ? replaced(child, rest, value) : child)
  if (Array.isArray(node)) return node.map((child, index) => change(String(index), child))
  if (typeof node !== 'object' || node === null) return node
  return Object.fromEntries(Object.entries(node).map(([key, child]) => [key, change(key, child)]))
}
