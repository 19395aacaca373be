import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import hexColon from '../codecs/hex-colon.ts'
import kt1 from '../codecs/kt1.ts'
import plain from '../codecs/plain.ts'
import { staticKeyring, staticVersion } from '../keyring/static-keyring.ts'
import type { FieldDefinition } from './definition.ts'
import { Field } from './field.ts'
import { keptPattern } from './kept.ts'

const app = staticKeyring('app', [staticVersion('aaaqeaye', 1, 'active', randomBytes(32))])
const location = { schema: null, table: 'users', column: 'token' }
const define = (changes: Partial<FieldDefinition> = {}) =>
  new Field({ name: 'users.token', location, keyring: app, writes: hexColon(), reads: [], bind: [], empty: 'refuse', ...changes })

test('Invariant: what a field keeps is left as it is and never opened, whatever codec it fits.', () => {
  const everything = { codec: plain({ looksLike: /[\s\S]*/ }), keyring: null }
  const field = define({ reads: [everything], keep: /%[A-Z_]+%|[0-9a-f]{24}:[0-9a-f]{32}:/ })
  // A whole value of the codec, of an empty plaintext, that would open.
  const empty = define().encryptSync('')
  expect(define().decryptSync(empty)).toBe('')
  for (const kept of ['%TOKEN%', empty]) {
    expect(field.isKept(kept)).toBe(true)
    expect(() => field.decryptSync(kept)).toThrow('the value does not open')
    expect(() => field.open(kept, [])).toThrow('the value does not open')
  }
})

test('a pattern describes the whole value, and text only', () => {
  const field = define({ keep: /none|n\/a/gi })
  fc.assert(
    fc.property(fc.string(), fc.string(), (before, after) => {
      for (const line of ['\n', '\u2028', '']) {
        const text = `${before}${line}none${line}${after}`
        expect(field.isKept(text)).toBe(text === 'none')
      }
    }),
  )
  expect(['N/A', 'N/A', 'none'].map((text) => field.isKept(text))).toEqual([true, true, true])
  expect(field.isKept(Buffer.from('none'))).toBe(false)
  expect([field.isKept(''), define({ empty: 'keep' }).isKept('')]).toEqual([false, true])
})

test('Invariant: what a field writes is never what it keeps.', async () => {
  const field = define({ keep: /[0-9a-f]{24}:[0-9a-f]{32}:/ })
  await expect(field.encrypt('')).rejects.toThrow('matches the pattern of what it keeps')
  expect(() => field.encryptSync('')).toThrow('matches the pattern of what it keeps')
  expect(field.decryptSync(field.encryptSync('x'))).toBe('x')
})

test('a pattern that is none, fits everything, or fits our own values is refused', () => {
  const refused = (pattern: unknown, why: string) => expect(() => keptPattern(pattern, 'fields.x.keep')).toThrow(`at fields.x.keep: ${why}`)
  for (const broken of ['(', '[', 'a)(b']) refused(broken, 'it is not a valid regular expression')
  for (const none of ['', null, 7, {}]) refused(none, 'it is needed')
  for (const half of ['^a', 'a$']) refused(half, 'it describes the whole value')
  for (const all of ['.*', '.+', '^.*$', '[^]*', '(a|.)*', /[\s\S]{1,}/, '(?!no).+']) refused(all, 'it matches everything')
  for (const ours of ['kt1.*', '\\S+', 'kt[0-9]\\..*', '(?!hex).*\\..{20,}', '[a-z0-9.A-Z]+'])
    refused(ours, 'it matches values that Keyturn writes')
  for (const fine of ['none', '\\$\\{.*\\}', 'https?://.*', '(?!kt[0-9]+\\.).{1,20}', /^n\/a$/i])
    expect(keptPattern(fine, 'x')).toBeInstanceOf(RegExp)
  expect(() => define({ keep: /.*/ })).toThrow('field "users.token", keep: it matches everything')
  const values = define({ writes: kt1() })
  for (let i = 0; i < 20; i++) expect(keptPattern('none', 'x').test(values.encryptSync('none') as string)).toBe(false)
})
