import { expect, test } from 'vitest'
import { formats } from '../formats.ts'
import { parseFormat } from './format.ts'

test('a format is a codec with its options', () => {
  expect(parseFormat('hex-colon')).toEqual({ codec: 'hex-colon' })
  expect(parseFormat('hex-colon,order=iv.ct.tag,iv=16')).toEqual({ codec: 'hex-colon', order: 'iv.ct.tag', iv: 16 })
  expect(parseFormat('blob, encoding=bytes')).toEqual({ codec: 'blob', encoding: 'bytes' })
})

test.each([
  ['hexcolon', 'there is no format "hexcolon". Did you mean "hex-colon"?'],
  ['hex-colon,ordr=iv.ct.tag', 'has no option "ordr". Did you mean "order"?'],
  ['kt1,iv=12', 'the format kt1 has no option "iv"'],
  ['hex-colon,iv', 'the option "iv" of the format hex-colon needs a value'],
  ['constructor', 'there is no format "constructor"'],
])('%s is refused', (text, sentence) => {
  expect(() => parseFormat(text)).toThrow(sentence)
})

test('what the list of formats says of options is what flags and codecs take', () => {
  for (const { name, options, variants } of formats.filter(({ name }) => name !== 'plain')) {
    for (const option of Object.keys(options)) expect(parseFormat(`${name},${option}=12`)).toHaveProperty(option)
    for (const [declaration, codec] of variants()) expect(parseFormat(declaration).codec).toBe(codec.name)
  }
})
