import { expect, test } from 'vitest'
import { at, jsonPath, shown } from './json-path.ts'

const document = { components: { postgres: 'ok', 'ai provider': { status: 'down' } }, checks: [{ status: 'up' }], none: null }

test('a path leads to what stands there, and to nothing where there is no such place.', () => {
  expect(at(document, '.components.postgres')).toBe('ok')
  expect(at(document, '.components["ai provider"].status')).toBe('down')
  expect(at(document, '.checks[0].status')).toBe('up')
  expect(at(document, '.none')).toBeNull()
  for (const path of ['.components.redis', '.checks[1].status', '.none.more', '.constructor', '.components.postgres.length'])
    expect(at(document, path), path).toBeUndefined()
  for (const other of ['text', null, undefined, 7]) expect(at(other, '.a')).toBeUndefined()
})

test('only paths are taken.', () => {
  for (const good of ['.a', '.a-b.c_d', '.a[0]', '.["a b"]', '["a"].b']) expect(jsonPath.safeParse(good).success, good).toBe(true)
  for (const bad of ['', '.', 'a', '.a.', '.a[x]', '.a["]', '$.a', '..a']) expect(jsonPath.safeParse(bad).success, bad).toBe(false)
})

test('of a value only a plain word is shown: an error may have an address in it.', () => {
  expect([true, null, 7, 'degraded', undefined].map(shown)).toEqual(['true', 'null', '7', '"degraded"', 'nothing'])
  expect(['postgres://u:p@h', { error: 'x' }, 'a1b2c3d4', 1e9].map(shown)).toEqual(Array(4).fill('something else'))
})
