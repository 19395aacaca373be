import { describe, expect, test } from 'vitest'
import { MASK } from './masking.ts'
import { secretFields } from './secret-fields.ts'
import type { JsonSchema } from './secret-schema.ts'

const refused = (code: string, message = '') => expect.objectContaining({ code, message: expect.stringContaining(message) })
const text = { type: 'string' } as const
const secret = { type: 'string', secret: true } as const

describe('Schemas', () => {
  const find = (schema: JsonSchema, document: unknown) => secretFields(schema).mask(document)

  test.each<[string, JsonSchema, unknown, unknown]>([
    ['$ref and $defs', { $defs: { s: secret }, properties: { a: { $ref: '#/$defs/s' } } }, { a: 'x' }, { a: MASK }],
    [
      'a schema that refers to itself',
      { properties: { token: secret, next: { $ref: '#' } } },
      { next: { next: { token: 'x' } } },
      { next: { next: { token: MASK } } },
    ],
    ['allOf', { allOf: [{ properties: { a: text } }, { properties: { a: { secret: true } } }] }, { a: 'x' }, { a: MASK }],
    [
      'any branch',
      { oneOf: [{ properties: { a: text } }, { properties: { a: secret, b: text } }] },
      { a: 'x', b: 'y' },
      { a: MASK, b: 'y' },
    ],
    [
      'then and else',
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
      { if: {}, then: { properties: { a: secret } }, else: { properties: { b: secret } } },
      { a: 'x', b: 'y' },
      { a: MASK, b: MASK },
    ],
    [
      'dependencies, which may be lists of names',
      { dependencies: { a: ['b'], kind: { properties: { a: secret } }, other: { oneOf: [{ properties: { c: secret } }] } } },
      { kind: 'x', a: 'x', c: 'x' },
      { kind: 'x', a: MASK, c: MASK },
    ],
    ['patternProperties', { patternProperties: { _TOKEN$: secret } }, { A_TOKEN: 'x', A: 'y' }, { A_TOKEN: MASK, A: 'y' }],
    [
      'additionalProperties but what is named',
      { properties: { a: text }, additionalProperties: secret },
      { a: 'x', b: 'y' },
      { a: 'x', b: MASK },
    ],
    ['tuples', { prefixItems: [text, secret], items: { properties: { t: secret } } }, ['x', 'y', { t: 'z' }], ['x', MASK, { t: MASK }]],
    ['tuples of old drafts', { items: [text, secret], additionalItems: secret }, ['x', 'y', 'z'], ['x', MASK, MASK]],
    ['the document itself', secret, 'x', MASK],
    [
      'names that mean something to JavaScript',
      { properties: { constructor: secret, toString: text } },
      { constructor: 'x', toString: 'y' },
      { constructor: MASK, toString: 'y' },
    ],
    ['no schema at all', true, { a: 'x' }, { a: 'x' }],
  ])('%s', (_, schema, document, shown) => {
    expect(find(schema, document)).toEqual(shown)
  })

  test('What says when a document does not fit is of no interest, unless something there is marked.', () => {
    const schema = { properties: { a: secret }, not: { properties: { secret: { type: 'string' }, b: { const: true } } } }
    expect(find(schema, { a: 'x', b: true })).toEqual({ a: MASK, b: true })
  })

  test.each<[string, unknown, string]>([
    ['a mark that is no boolean', { properties: { a: { secret: 'yes' } } }, 'at /properties/a/secret: it is true or false'],
    ['a reference to elsewhere', { properties: { a: { $ref: 'https://x.example/s.json' } } }, 'at /properties/a/$ref'],
    ['a reference to nothing', { $ref: '#/$defs/none' }, 'it leads to no place'],
    ['a reference to a prototype', { $ref: '#/constructor' }, 'it leads to no place'],
    ['an anchor', { $ref: '#name' }, 'at /$ref'],
    ['a dynamic reference', { $dynamicRef: '#x' }, 'at /$dynamicRef'],
    ['a mark where nothing is read', { properties: { a: { not: { properties: { b: secret } } } } }, 'at /properties/a/not: a mark there'],
    ['a list for an object', { properties: [] }, 'at /properties: it is an object of schemas'],
    ['a text for a schema', { items: 'string' }, 'at /items: a schema is an object'],
    ['a pattern that is none', { patternProperties: { '(': secret } }, 'at /patternProperties'],
    ['null', null, 'at the top: a schema is an object'],
  ])('%s is refused', (_, schema, why) => {
    expect(() => secretFields(schema as JsonSchema)).toThrow(refused('ERR_SECRET_SCHEMA', why))
  })
})
