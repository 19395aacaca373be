import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import blob from '../codecs/blob.ts'
import kt1 from '../codecs/kt1.ts'
import { staticKeyring, staticVersion } from '../keyring/static-keyring.ts'
import type { FieldDefinition } from './definition.ts'
import { Field } from './field.ts'

const active = staticVersion('bbbqeaye', 2, 'active', randomBytes(32))
const retiring = staticVersion('aaaqeaye', 1, 'retiring', randomBytes(32))
const app = staticKeyring('app', [retiring, active])
const location = { schema: null, table: 'users', column: 'token' }
const define = (changes: Partial<FieldDefinition> = {}) =>
  new Field({
    name: 'new',
    location,
    keyring: app,
    writes: kt1(),
    reads: [],
    bind: [{ column: 'id', type: 'int' }],
    empty: 'refuse',
    ...changes,
  })

test.each([
  ['text', kt1()],
  ['bytes', kt1({ encoding: 'bytes' })],
])('a value under an older name opens and is not current, as %s', async (_, writes) => {
  const [older, oldest, field] = [
    define({ name: 'old', writes }),
    define({ name: 'oldest', writes }),
    define({ writes, was: ['old', 'oldest'] }),
  ]
  for (const from of [older, oldest]) {
    const stored = from.encryptSync('secret', { id: 1 })
    expect(await field.decrypt(stored, { id: 1 })).toBe('secret')
    const bound = field.canonicalBound([1])
    expect(field.open(stored, bound)).toMatchObject({ current: false, version: active })
    // What is under the older name is left to `open`, which says that it is not current.
    expect(field.openMany([stored], [bound])).toEqual([null])
    await expect(field.decrypt(stored, { id: 2 })).rejects.toMatchObject({ code: 'ERR_DECRYPT' })
  }
  const now = field.encryptSync('secret', { id: 1 })
  expect(field.open(now, field.canonicalBound([1]))).toMatchObject({ current: true })
  expect(() => older.decryptSync(now, { id: 1 })).toThrow('the value does not open')
})

test('a value of another field does not open, whatever the older names are', () => {
  const name = fc.stringMatching(/^[a-z.]{1,6}$/)
  fc.assert(
    fc.property(name, name, fc.uniqueArray(name, { maxLength: 3 }), fc.constantFrom(active, retiring), (own, other, was, version) => {
      fc.pre(!was.includes(own) && other !== own)
      const stored = define({ name: other }).seal(Buffer.from('secret'), [Buffer.from('1')], version)
      const open = () => define({ name: own, was }).open(stored, [Buffer.from('1')])
      if (was.includes(other)) expect(open()).toMatchObject({ current: false })
      else expect(open).toThrow('the value does not open')
    }),
  )
})

test('the database may not pass over values under an older name, which begin as current ones do', () => {
  expect(define().currentPrefix()).toBe('kt1.bbbqeaye.')
  expect(define({ was: ['old'] }).currentPrefix()).toBeNull()
})

test('formats that name no field open as before, and stay current', () => {
  const field = define({ writes: blob(), was: ['old'], bind: [] })
  expect(field.open(define({ name: 'old', writes: blob(), bind: [] }).encryptSync('x'), [])).toMatchObject({ current: true })
})

test('an older name is a permanent name, and another one than the field has', () => {
  expect(() => define({ was: ['new'] })).toThrow('its older names include the one that it has')
  expect(() => define({ was: ['a b'] })).toThrow('a name has 1 to 128 characters')
})
