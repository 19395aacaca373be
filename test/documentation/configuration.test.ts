import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { driverNames, loadDriver } from '../../packages/core/src/config/drivers.ts'
import { type Schema, schema } from '../../packages/core/src/config/schema.ts'
import { validateConfig } from '../../packages/core/src/config/validate.ts'
import type { Codec } from '../../packages/core/src/field/codec.ts'
import { staticVersion } from '../../packages/core/src/keyring/static-keyring.ts'
import { root } from '../harness/child.ts'
import { documentBlocks } from './example.ts'
import { tablesIn, unquoted } from './tables.ts'

const document = readFileSync(join(root, 'docs/configuration.md'), 'utf8')

interface Properties {
  readonly names: string[]
  readonly required: string[]
}

const tables = (comment: RegExp) => tablesIn(document, comment)

/** The properties of an object, or of all objects that a part may be. A root key may also be a secret, which has a table of its own. */
function propertiesOf(name: string, part: Schema): Properties {
  const secret = Object.keys(propertiesIn(schema.$defs.secret ?? {}))
  const own = Object.keys(propertiesIn(part)).filter((property) => name !== 'root' || !secret.includes(property))
  // Of a secret one of two properties is required; of a root key, that of the shape with a table of its own.
  const required = name === 'root' ? ['wrapper'] : [...(part.required ?? [])]
  return { names: own.toSorted(), required: required.toSorted() }
}

function propertiesIn(part: Schema): Readonly<Record<string, Schema>> {
  return Object.assign({}, part.properties, ...(part.anyOf ?? []).map(propertiesIn))
}

test('every property of the configuration is documented, required or not, and no other is.', () => {
  const objects = Object.entries({ config: schema as Schema, ...schema.$defs }).filter(
    ([, part]) => Object.keys(propertiesIn(part)).length > 0,
  )
  const actual = Object.fromEntries(objects.map(([name, part]) => [name, propertiesOf(name, part)]))
  const documented = Object.fromEntries(
    tables(/properties: (\w+)/).map(([name, rows]) => [
      name,
      {
        names: rows.map(([property = '']) => unquoted(property)).toSorted(),
        required: rows.flatMap(([property = '', , byDefault]) => (byDefault === 'required' ? [unquoted(property)] : [])).toSorted(),
      },
    ]),
  )
  expect(documented).toEqual(actual)
})

test('every object of the configuration that has properties is among those that the schema names.', () => {
  const nested = Object.entries(schema.$defs).flatMap(([name, part]) =>
    Object.entries(propertiesIn(part)).flatMap(([property, inner]) =>
      Object.keys(propertiesIn(inner)).length > 0 ? [`${name}.${property}`] : [],
    ),
  )
  expect(nested).toEqual([])
})

/** The rows of the table of formats: options with their defaults, by format. */
function documentedFormats(): Map<string, Map<string, string>> {
  const [[, rows = []] = []] = tables(/(formats)/)
  const formats = new Map<string, Map<string, string>>()
  let last = new Map<string, string>()
  for (const [name = '', option = '', , byDefault = ''] of rows) {
    if (name !== '') {
      last = new Map()
      formats.set(unquoted(name), last)
    }
    if (option !== '') last.set(unquoted(option), unquoted(byDefault))
  }
  return formats
}

test('every option of every format is documented, and no other is.', async () => {
  const actual: Record<string, string[]> = {}
  for (const name of await driverNames('codecs')) {
    const codec = await loadDriver('codecs', name)
    try {
      codec({ nonsense: 1 } as never)
    } catch (error) {
      const [, options = ''] = /Options: (.*)$/.exec((error as Error).message) ?? []
      actual[name] = options.split(', ').toSorted()
    }
  }
  // The encoding of kt1 follows the column; a configuration cannot set it.
  expect(() => validateConfig(writing({ codec: 'kt1', encoding: 'bytes' }))).toThrow('the codec kt1 has no options')
  actual.kt1 = []
  const documented = [...documentedFormats()].map(([name, options]) => [name, [...options.keys()].toSorted()])
  expect(Object.fromEntries(documented)).toEqual(actual)
})

test.each(['hex-colon', 'blob'])('the defaults of %s are those that are documented.', async (name) => {
  const codec = await loadDriver<Codec>('codecs', name)
  const options = Object.fromEntries(documentedFormats().get(name) ?? [])
  const declared = codec({
    order: options.order,
    iv: Number(options.iv),
    ...(options.encoding === undefined ? {} : { encoding: options.encoding.split(' ')[0] }),
  } as never)
  const version = staticVersion('aaaqeaye', 1, 'active', randomBytes(32))
  const context = { keyring: 'app', field: 'users.token', bound: [] }
  const stored = codec({} as never).encrypt(Buffer.from('secret'), version, context)
  expect(Buffer.from(declared.decrypt(stored, version, context)).toString()).toBe('secret')
})

test('every key rule is documented, and no other is.', () => {
  const [[, rows = []] = []] = tables(/(key rules)/)
  expect(rows.map(([rule = '']) => unquoted(rule))).toEqual(schema.$defs.keyRule?.enum)
})

test('every configuration in JSON is valid.', () => {
  const blocks = documentBlocks(document).filter(({ language }) => language === 'json')
  expect(blocks.length).toBeGreaterThan(0)
  for (const { code } of blocks) validateConfig(JSON.parse(code))
})

function writing(writes: object): unknown {
  return { keyrings: { app: { root: { env: 'ROOT' } } }, fields: { token: { column: 'users.token', keyring: 'app', writes } } }
}
