import { readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { schema } from './schema.ts'

const file = new URL('../../config.schema.json', import.meta.url)

test('config.schema.json is what schema.ts says (KEYTURN_WRITE=1 writes it)', () => {
  if (process.env.KEYTURN_WRITE === '1') writeFileSync(file, `${JSON.stringify(schema, null, 2)}\n`)
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(schema)
})

test('every reference of the schema leads somewhere', () => {
  const names = [...JSON.stringify(schema).matchAll(/"\$ref":"#\/\$defs\/(\w+)"/g)].map(([, name]) => name)
  expect(names.length).toBeGreaterThan(5)
  for (const name of names) expect(Object.keys(schema.$defs)).toContain(name)
})
