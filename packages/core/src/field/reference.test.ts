import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseReference, printReference } from './reference.ts'

test('a reference names a column exactly, with and without a schema and quotes', () => {
  const read: Record<string, [string | null, string, string]> = {
    'users.token': [null, 'users', 'token'],
    'public.users.token': ['public', 'users', 'token'],
    'User.twoFactorSecret': [null, 'User', 'twoFactorSecret'],
    '"My.Table"."Col"': [null, 'My.Table', 'Col'],
    'a."say ""hi"""."x y"': ['a', 'say "hi"', 'x y'],
    'ключи.значение-1': [null, 'ключи', 'значение-1'],
    '"a:/b".c': [null, 'a:/b', 'c'],
  }
  for (const [text, [schema, table, column]] of Object.entries(read)) expect(parseReference(text)).toEqual({ schema, table, column })
})

test('what names no column is refused with the way to write it', () => {
  for (const text of [
    '',
    'users',
    'a.b.c.d',
    '.b',
    'a.',
    'a..b',
    'a.b ',
    ' a.b',
    'a b.c',
    '"a.b',
    'a".b',
    '"".b',
    'a."b"c',
    ':b.c',
    'a:/b.c',
    'a.b\0',
  ]) {
    expect(() => parseReference(text)).toThrow('write [schema.]table.column')
  }
})

test('what follows a colon is a path into the document, and nothing behind it the document itself', () => {
  const read: Record<string, (string | null)[]> = {
    'users.config:/token': ['token'],
    'public."Users".config:/a/*/b': ['a', null, 'b'],
    'users.config:/~2/~1/~0/a:b.c "d"': ['*', '/', '~', 'a:b.c "d"'],
    'users.config:/': [''],
    'users.config:': [],
  }
  for (const [text, path] of Object.entries(read)) expect(parseReference(text).path).toEqual(path)
  expect('path' in parseReference('users.config')).toBe(false)
  for (const text of ['users.config:token', 'users.config:/a~', 'users.config:/~3', 'users.config: /a'])
    expect(() => parseReference(text)).toThrow('is not a JSON pointer')
})

test('every location that is printed is read again as it was', () => {
  const part = fc.oneof(fc.string({ minLength: 1 }), fc.string({ minLength: 1, unit: 'binary' })).filter((text) => !text.includes('\0'))
  const step = fc.oneof(fc.constant(null), fc.constantFrom('', '*', '~', '/', '~2', '~1*'), fc.string())
  fc.assert(
    fc.property(fc.option(part), part, part, fc.option(fc.array(step)), (schema, table, column, path) => {
      const location = path === null ? { schema, table, column } : { schema, table, column, path }
      expect(parseReference(printReference(location))).toEqual(location)
    }),
  )
})
