import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { conformsToCodec } from '../../../../test/conformance/codec.ts'
import { errorCodes } from '../errors.ts'
import { type BoundType, canonicalBytes } from '../field/bound.ts'
import { ownMark } from '../field/reserved.ts'
import { staticVersion } from '../keyring/static-keyring.ts'
import kt1 from './kt1.ts'

interface Vector {
  readonly name: string
  readonly dataKey: string
  readonly keyring: string
  readonly field: string
  readonly bound: readonly { readonly type: BoundType; readonly value: unknown; readonly canonical: string }[]
  readonly kid8: string
  readonly plaintext: string
  readonly fieldKey: string
  readonly aad: string
  readonly text: string
  readonly bytes: string
}
interface InvalidVector extends Partial<Omit<Vector, 'bound'>> {
  readonly name: string
  readonly bound?: readonly string[]
}
const vectors = JSON.parse(readFileSync(new URL('../../../../spec/vectors/kt1.json', import.meta.url), 'utf8')) as {
  readonly valid: readonly [Vector, ...Vector[]]
  readonly invalid: readonly InvalidVector[]
}
const hex = (text: string) => Buffer.from(text, 'hex')
const text = kt1()
const bytes = kt1({ encoding: 'bytes' })

conformsToCodec(text, { authenticates: 'context' })
conformsToCodec(bytes, { authenticates: 'context' })

for (const vector of vectors.valid) {
  const version = staticVersion(vector.kid8, 1, 'active', hex(vector.dataKey))
  const context = { keyring: vector.keyring, field: vector.field, bound: vector.bound.map(({ canonical }) => hex(canonical)) }

  test(`the vector "${vector.name}" opens, as text and as bytes`, () => {
    expect(Buffer.from(text.decrypt(vector.text, version, context)).toString('hex')).toBe(vector.plaintext)
    expect(Buffer.from(bytes.decrypt(hex(vector.bytes), version, context)).toString('hex')).toBe(vector.plaintext)
    expect([text.keyIdOf(vector.text), bytes.keyIdOf(hex(vector.bytes))]).toEqual([vector.kid8, vector.kid8])
    expect(vector.text.startsWith(text.prefixOf(version) as string)).toBe(true)
    expect(hex(vector.bytes).subarray(0, 8)).toEqual(bytes.prefixOf(version))
  })

  test(`the field key and the bound values of the vector "${vector.name}" come out bit by bit`, () => {
    const names = [vector.keyring, vector.field].map((name) => String.fromCharCode(name.length >> 8, name.length & 255) + name)
    expect(
      version.material
        ?.derive(`keyturn/kt1\0${names.join('')}`)
        .export()
        .toString('hex'),
    ).toBe(vector.fieldKey)
    for (const { type, value, canonical } of vector.bound) {
      expect(canonicalBytes(type, type === 'bytes' ? hex(value as string) : value)).toEqual(hex(canonical))
    }
  })
}

test('the vector of the design is the first one', () => {
  const [first] = vectors.valid
  expect(first.fieldKey).toBe('63b9f1812f3ec5833c64926269773f09f6f54a1f1a1e907f3977f02b13172417')
  expect(first.aad).toBe('6b74010001020304000101000000023432')
  expect(first.text).toBe('kt1.aaaqeaye.EBESExQVFhcYGRobce0hAD8KQxjlrYlYkn-kOLVYVDS29Q')
})

test.each(vectors.invalid)('the invalid vector "$name" does not open', (vector) => {
  const [first] = vectors.valid
  const version = staticVersion(first.kid8, 1, 'active', hex(vector.dataKey ?? first.dataKey))
  const bound = (vector.bound ?? first.bound.map(({ canonical }) => canonical)).map(hex)
  const context = { keyring: vector.keyring ?? first.keyring, field: vector.field ?? first.field, bound }
  const stored = vector.text ?? hex(vector.bytes as string)
  for (const codec of [text, bytes]) expect(() => codec.decrypt(stored, version, context)).toThrow(errorCodes.ERR_DECRYPT[1])
})

test('text and bytes are two writings of one value', () => {
  for (const vector of vectors.valid) {
    expect(Buffer.from(vector.text.slice(13), 'base64url')).toEqual(hex(vector.bytes).subarray(8))
  }
})

test('what newer versions write is claimed and not matched', () => {
  for (const newer of ['kt2.aaaqeaye.x', 'kt10.', 'kt0.a']) expect([text.matches(newer), text.claims(newer)]).toEqual([false, true])
  for (const version of [0, 2, 15]) {
    const newer = Buffer.concat([Buffer.from([0x6b, 0x74, version]), Buffer.alloc(60, 7)])
    expect([bytes.matches(newer), bytes.claims(newer)]).toEqual([false, true])
  }
})

test('ordinary secrets are not claimed', () => {
  for (const secret of [
    'ghp_16C7e42F292c6912E7710c838347Ae178B4a',
    'sk-proj-4f9Tz1Qe0aBcD',
    'hunter2',
    'kitten',
    '{"token":"x"}',
    'ключ',
  ]) {
    expect([text.claims(secret), bytes.claims(Buffer.from(secret))]).toEqual([false, false])
  }
})

test('a key id that is not of Keyturn is refused when something is encrypted', () => {
  const version = staticVersion('2024-01', 1, 'active', Buffer.alloc(32, 1))
  expect(() => text.encrypt(Buffer.from('x'), version, { keyring: 'app', field: 'f', bound: [] })).toThrow(
    'kt1 needs key ids of eight characters',
  )
  expect(text.prefixOf(version)).toBeNull()
})

test('options that it does not have are refused', () => {
  expect(() => kt1({ encoding: 'base64' as 'text' })).toThrow('codec "kt1", option "encoding": it must be one of text, bytes')
  expect(() => kt1({ encodng: 'bytes' } as object)).toThrow('there is no option "encodng". Options: encoding')
})

test('what every value of a key begins with is known without the codec', () => {
  const version = staticVersion('aaaqeaye', 1, 'active', Buffer.alloc(32, 1))
  expect(ownMark(version.id, 'text')).toBe(kt1().prefixOf(version))
  expect(Buffer.from(ownMark(version.id, 'bytes') ?? '')).toEqual(Buffer.from(kt1({ encoding: 'bytes' }).prefixOf(version) ?? ''))
  expect(ownMark('primary', 'text')).toBeNull()
})
