import { expect, test } from 'vitest'
import { jsonMembers, singleValue } from './document.ts'

const json = jsonMembers('a vault')

test('members change, and what else stands there stays, digit for digit.', () => {
  const text = '{"a":"old","port":5432,"big":12345678901234567890,"list":[1.50],"gone":"x"}'
  const written = json.written(text, { a: 'new', b: 'more', gone: null })
  expect(written).toBe('{"a":"new","port":5432,"big":12345678901234567890,"list":[1.50],"b":"more"}')
  expect(json.read(written, ['a', 'b', 'gone', 'port'])).toEqual({
    a: { value: 'new' },
    b: { value: 'more' },
    gone: null,
    port: { value: '5432' },
  })
})

test('a text that has the values already is not written anew, whatever its spaces.', () => {
  const text = '{ "a": "x",\n  "b": "y" }'
  expect(json.written(text, { a: 'x', c: null })).toBe(text)
})

test('names are not those of every object.', () => {
  expect(json.read('{}', ['constructor', '__proto__'])).toEqual({ constructor: null, ['__proto__']: null })
  const written = json.written(null, { ['__proto__']: 'x' })
  expect(written).toBe('{"__proto__":"x"}')
  expect(json.read(written, ['__proto__'])).toEqual({ ['__proto__']: { value: 'x' } })
})

test.each(['a plain password', '["a"]', '"a"', 'null'])('what is no object is not overwritten, and not repeated: %s', (text) => {
  const refusal = expect.objectContaining({ code: 'ERR_OUTSIDE_REFUSED', message: expect.not.stringContaining('password') })
  expect(() => json.written(text, { a: 'x' })).toThrow(refusal)
  expect(() => json.read(text, ['a'])).toThrow(refusal)
})

test('nothing is an empty document.', () => {
  expect(json.read(null, ['a'])).toEqual({ a: null })
  expect(json.written(null, { a: 'x', b: null })).toBe('{"a":"x"}')
  expect(json.written('', { a: 'x' })).toBe('{"a":"x"}')
})

test('a single value is the text itself, and never missing.', () => {
  const single = singleValue('a vault')
  expect(single.written('old', { a: 'new' })).toBe('new')
  expect([single.read('x', ['a']), single.read(null, ['a'])]).toEqual([{ a: { value: 'x' } }, { a: null }])
  for (const values of [{ a: null }, {}, { a: 'x', b: 'y' }])
    expect(() => single.written(null, values)).toThrow(expect.objectContaining({ code: 'ERR_OUTSIDE_REFUSED' }))
})
