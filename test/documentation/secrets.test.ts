import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { z } from 'zod'
import { alertSchema, secretSchema } from '../../packages/secrets/src/secret/secret-config.ts'
import { root } from '../harness/child.ts'
import { tablesIn, unquoted } from './tables.ts'

const document = readFileSync(join(root, 'docs/secrets.md'), 'utf8')
const shapes: Record<string, z.ZodObject> = { secret: secretSchema, alert: alertSchema }

test('every property of a secret and of an alert is documented, required or not, and no other is.', () => {
  const actual = Object.entries(shapes).map(([name, { shape }]) => [
    name,
    Object.entries(shape)
      .map(([property, type]) => [property, !type.safeParse(undefined).success])
      .toSorted(),
  ])
  const documented = tablesIn(document, /properties: (\w+)/).map(([name, rows]) => [
    name,
    rows.map(([property = '', , byDefault]) => [unquoted(property), byDefault === 'required']).toSorted(),
  ])
  expect(documented.toSorted()).toEqual(actual.toSorted())
})

test('every condition of an alert is documented, and no other is.', () => {
  const [[, rows = []] = []] = tablesIn(document, /(conditions)/)
  const documented = rows.map(([condition = '']) => unquoted(condition))
  expect(documented.filter((condition) => !alertSchema.safeParse({ alert: 'x', on: [condition] }).success)).toEqual([])
  expect(documented.toSorted()).toEqual(alertSchema.shape.on.unwrap().element.options.toSorted())
})
