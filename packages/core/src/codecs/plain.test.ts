import fc from 'fast-check'
import { expect, test } from 'vitest'
import { conformsToCodec } from '../../../../test/conformance/codec.ts'
import plain from './plain.ts'

const plaintext = fc
  .string({ minLength: 1, unit: 'grapheme' })
  .filter((text) => !/^kt[0-9]+\./.test(text))
  .map((text) => Buffer.from(text))

conformsToCodec(plain({ looksLike: /.+/s }), { authenticates: 'nothing', plaintext })
conformsToCodec(plain({ looksLike: '[^]+', encoding: 'bytes' }), { authenticates: 'nothing', plaintext })

test('a pattern with the flags g and y answers the same each time', () => {
  const codec = plain({ looksLike: /sk-[a-z]+/gy })
  expect([1, 2, 3].map(() => codec.matches('sk-abc'))).toEqual([true, true, true])
})

test('the pattern describes the whole value', () => {
  for (const looksLike of [/sk-[a-z]+/, /^sk-[a-z]+$/, /^sk-[a-z]+$/m, 'sk-[a-z]+', /zz|sk-[a-z]+/]) {
    const codec = plain({ looksLike })
    expect(codec.matches('sk-abc')).toBe(true)
    for (const more of ['sk-abc\n', ' sk-abc', 'sk-abc\nkt1.x', 'x\nsk-abc', 'sk-abc.']) expect(codec.matches(more)).toBe(false)
  }
})

test('what begins as a value of Keyturn is never plain', () => {
  const codec = plain({ looksLike: /[\s\S]*/ })
  for (const text of ['kt1.', 'kt2.x', 'kt10.abc', '']) {
    expect(codec.matches(text)).toBe(false)
    expect(codec.matches(Buffer.from(text))).toBe(false)
  }
  for (const version of [0, 1, 15]) expect(codec.matches(Buffer.from([0x6b, 0x74, version]))).toBe(false)
  expect(codec.matches('kt')).toBe(true)
})

test('bytes that are not UTF-8 and text with lone surrogates are never plain', () => {
  const codec = plain({ looksLike: /[\s\S]*/ })
  expect([codec.matches(Buffer.from([0xff, 0xfe])), codec.matches('a\ud800')]).toEqual([false, false])
})

test('it does not write what it would not read', () => {
  expect(() => plain({ looksLike: /sk-.+/ }).encrypt(Buffer.from('hunter2'), undefined as never, undefined as never)).toThrow(
    'does not look like the plain text that was declared',
  )
})

test('a pattern that is missing, broken or anchored at one end is refused', () => {
  const looks = (looksLike: unknown) => () => plain({ looksLike } as { looksLike: string })
  for (const missing of [undefined, '', 7, {}]) expect(looks(missing)).toThrow('it is needed')
  expect(() => plain(undefined as never)).toThrow('it is needed')
  for (const broken of ['(', 'a)(b', '[']) expect(looks(broken)).toThrow('it is not a valid regular expression')
  for (const half of [/^sk-/, /-end$/, '^sk-', /^a\$/]) expect(looks(half)).toThrow('anchor both ends or none')
})
