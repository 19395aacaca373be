import pino from 'pino'
import { describe, expect, test } from 'vitest'
import { secretFields, secretVariables } from './secret-fields.ts'
import type { JsonSchema } from './secret-schema.ts'

const secret = { type: 'string', secret: true } as const
const text = { type: 'string' } as const

/** What a real logger writes of a document. */
function logged(schema: JsonSchema, document: unknown): unknown {
  const lines: string[] = []
  const paths = secretFields(schema).redactionPaths('connector.config')
  const log = pino({ redact: paths }, { write: (line) => void lines.push(line) })
  log.info({ connector: { id: 7, config: document } }, 'saved')
  expect(lines).toHaveLength(1)
  return JSON.parse(lines[0] as string).connector
}

describe('pino leaves out what the schema marks', () => {
  test.each<[string, JsonSchema, unknown, unknown]>([
    ['members', { properties: { url: text, key: secret } }, { url: 'u', key: 's3cret' }, { url: 'u', key: '[Redacted]' }],
    [
      'nested members',
      { properties: { a: { properties: { b: { properties: { c: secret, d: text } } } } } },
      { a: { b: { c: 's3cret', d: 'd' } } },
      { a: { b: { c: '[Redacted]', d: 'd' } } },
    ],
    ['elements', { properties: { pins: { items: secret } } }, { pins: ['s3cret', 's3cret'] }, { pins: ['[Redacted]', '[Redacted]'] }],
    [
      'elements of elements',
      { properties: { a: { items: { properties: { n: text, b: { items: { properties: { t: secret, n: text } } } } } } } },
      {
        a: [
          { n: 'x', b: [{ t: 's3cret', n: 'y' }] },
          { n: 'z', b: [{ t: 's3cret' }, { t: 's3cret' }] },
        ],
      },
      {
        a: [
          { n: 'x', b: [{ t: '[Redacted]', n: 'y' }] },
          { n: 'z', b: [{ t: '[Redacted]' }, { t: '[Redacted]' }] },
        ],
      },
    ],
    [
      'any member',
      { properties: { env: { additionalProperties: secret } } },
      { env: { A: 's3cret', B: 's3cret' } },
      { env: { A: '[Redacted]', B: '[Redacted]' } },
    ],
    [
      'what is no text',
      { properties: { o: { type: 'object', secret: true }, n: { type: 'number', secret: true } } },
      { o: { p: 's3cret' }, n: 1 },
      { o: '[Redacted]', n: '[Redacted]' },
    ],
    [
      'names that are no identifiers',
      { properties: { 'X-Api-Key': secret, 'a.b': secret, 'a b': text } },
      { 'X-Api-Key': 's3cret', 'a.b': 's3cret', 'a b': 'x' },
      { 'X-Api-Key': '[Redacted]', 'a.b': '[Redacted]', 'a b': 'x' },
    ],
    ['a name that paths cannot hold', { properties: { 'a"]': secret } }, { 'a"]': 's3cret' }, { 'a"]': '[Redacted]' }],
    ['a document that is a secret', secret, 's3cret', '[Redacted]'],
    [
      'a schema without an end, from where it repeats',
      { properties: { token: secret, name: text, next: { $ref: '#' } } },
      { token: 's3cret', name: 'n', next: { token: 's3cret', name: 'm', next: { next: { token: 's3cret' } } } },
      { token: '[Redacted]', name: 'n', next: { token: '[Redacted]', name: 'm', next: '[Redacted]' } },
    ],
  ])('%s', (_, schema, document, shown) => {
    const line = logged(schema, document)
    expect(line).toEqual({ id: 7, config: shown })
    expect(JSON.stringify(line)).not.toContain('s3cret')
  })

  test('variables', () => {
    const secrets = secretVariables([{ name: 'region' }, { name: 'token', secret: true }])
    expect(secrets.redactionPaths('run.variables')).toEqual(['run.variables.token'])
  })

  test('a schema that marks nothing has no path, and without a place in the log there is none', () => {
    expect(secretFields({ properties: { a: text } }).redactionPaths('config')).toEqual([])
    expect(() => secretFields({ properties: { a: secret } }).redactionPaths('')).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }))
  })
})
