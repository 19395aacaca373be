import blob from '@keyturn/core/codecs/blob'
import hexColon from '@keyturn/core/codecs/hex-colon'
import { expect, test } from 'vitest'
import { runCommand } from '../../../test/harness/command.ts'
import { formats } from './formats.ts'
import { fields } from './options.ts'

const optionsOf = (format: string) => formats.find(({ name }) => name === format)?.options

test('what a format is unless given is what the codec does', () => {
  expect(optionsOf('hex-colon')).toMatchObject({
    order: expect.stringMatching(/^iv\.tag\.ct unless given/),
    iv: expect.stringMatching(/^12 unless/),
  })
  expect(optionsOf('blob')).toMatchObject({
    encoding: expect.stringMatching(/^base64 unless given/),
    order: expect.stringMatching(/^iv\.ct\.tag unless given/),
    iv: expect.stringMatching(/^12 unless/),
  })
  const hex = `${'a1'.repeat(12)}:${'b2'.repeat(16)}:${'c3'.repeat(5)}`
  expect([hexColon().matches(hex), hexColon({ order: 'iv.tag.ct', iv: 12 }).matches(hex)]).toEqual([true, true])
  expect([hexColon({ order: 'iv.ct.tag' }).matches(hex), hexColon({ iv: 16 }).matches(hex)]).toEqual([false, false])
  const [shortest, tooShort] = [28, 27].map((length) => Buffer.alloc(length, 7).toString('base64')) as [string, string]
  expect([blob().matches(shortest), blob().matches(tooShort), blob().matches(Buffer.alloc(40))]).toEqual([true, false, false])
})

test('they stand in "keyturn formats" and in the help of --format', async () => {
  const { stdout } = await runCommand(['formats'])
  expect(stdout).toMatch(/hex-colon[^\n]*\n +order=iv\.tag\.ct unless given; .*\n +iv=12 unless given/)
  expect(fields.find(({ flags }) => flags.startsWith('--format'))?.help).toContain(
    'hex-colon (order iv.tag.ct and an IV of 12 bytes, unless given), blob (order iv.ct.tag, base64',
  )
})
