import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isKeyturnError } from '../../packages/core/src/errors.ts'
import type { Codec, Stored } from '../../packages/core/src/field/codec.ts'
import type { Context } from '../../packages/core/src/field/context.ts'
import { isReserved } from '../../packages/core/src/field/reserved.ts'
import { staticVersion } from '../../packages/core/src/keyring/static-keyring.ts'

/** What a suite has to know of a codec. */
export interface CodecTraits {
  /** What its values authenticate: message and context, the message alone, or nothing (plain text). */
  readonly authenticates: 'context' | 'message' | 'nothing'
  /** Plaintexts that it can write; any bytes unless given. */
  readonly plaintext?: fc.Arbitrary<Uint8Array>
  /** How many bits of damage are not seen when the codec only looks: characters or bytes that may be lost at an end. */
  readonly shortestClaimed?: number
}

const key = staticVersion('aaaqeaye', 1, 'active', randomBytes(32))
const otherKey = staticVersion('bbbqeaye', 2, 'retiring', randomBytes(32))
const context: Context = { keyring: 'app', field: 'users.token', bound: [Buffer.from('42'), Buffer.from('')] }
const stored = (): fc.Arbitrary<Stored> => fc.oneof(fc.string({ unit: 'binary' }), fc.string(), fc.uint8Array({ maxLength: 80 }))

/** What every codec promises. A driver's test is this call; its own vectors follow below it. */
export function conformsToCodec(codec: Codec, traits: CodecTraits): void {
  const plaintext = traits.plaintext ?? fc.oneof(fc.constant(new Uint8Array(0)), fc.uint8Array({ maxLength: 300 }))
  const encrypt = (bytes: Uint8Array) => codec.encrypt(bytes, key, context)
  const sample = () => encrypt(fc.sample(traits.plaintext ?? fc.uint8Array({ minLength: 20, maxLength: 20 }), 1)[0] as Uint8Array)

  describe(`${codec.name} conforms to Codec`, () => {
    test('what it encrypts it decrypts', () => {
      fc.assert(
        fc.property(plaintext, (bytes) => {
          expect(Buffer.from(codec.decrypt(encrypt(bytes), key, context))).toEqual(Buffer.from(bytes))
        }),
      )
    })

    test('what it writes it matches and claims, and names the key as it says', () => {
      fc.assert(
        fc.property(plaintext, (bytes) => {
          const value = encrypt(bytes)
          expect([codec.matches(value), codec.claims(value)]).toEqual([true, true])
          expect(codec.keyIdOf(value)).toBe(codec.namesKey ? key.id : null)
          if (!codec.namesKey) expect(isReserved(value)).toBe(false)
        }),
      )
    })

    test('the prefix of a key begins every value under it and no value under another', () => {
      const [prefix, other] = [codec.prefixOf(key), codec.prefixOf(otherKey)]
      expect(prefix !== null).toBe(codec.namesKey)
      if (prefix === null || other === null) return
      expect(beginsWith(sample(), prefix)).toBe(true)
      expect(beginsWith(sample(), other)).toBe(false)
    })

    test('looking at arbitrary values throws nothing and needs no key', () => {
      fc.assert(
        fc.property(stored(), (value) => {
          const [matches, claims, id] = [codec.matches(value), codec.claims(value), codec.keyIdOf(value)]
          expect([typeof matches, typeof claims]).toEqual(['boolean', 'boolean'])
          expect(id === null || typeof id === 'string').toBe(true)
          if (matches) expect(claims).toBe(true)
        }),
        { numRuns: 500 },
      )
    })

    test('arbitrary values do not open', () => {
      fc.assert(
        fc.property(stored(), (value) => {
          if (traits.authenticates === 'nothing' && codec.matches(value)) return
          expectRefused(codec, value)
        }),
      )
    })

    test('opened together, its values open as one by one, whatever stands between them', () => {
      fc.assert(
        fc.property(fc.array(plaintext, { maxLength: 20 }), stored(), (plaintexts, foreign) => {
          const values = plaintexts.flatMap((bytes) => [encrypt(bytes), foreign])
          const opened = codec.decryptMany?.(
            values,
            key,
            values.map(() => context),
          )
          if (opened === undefined) return
          expect(opened.map((bytes) => bytes && Buffer.from(bytes))).toEqual(plaintexts.flatMap((bytes) => [Buffer.from(bytes), null]))
        }),
      )
    })

    test('sealed together, its values open one by one, and no two are alike', () => {
      fc.assert(
        fc.property(fc.array(plaintext, { maxLength: 20 }), (plaintexts) => {
          const sealed = codec.encryptMany?.(
            plaintexts,
            key,
            plaintexts.map(() => context),
          )
          if (!sealed) return
          expect(sealed.map((value) => Buffer.from(codec.decrypt(value, key, context)))).toEqual(
            plaintexts.map((bytes) => Buffer.from(bytes)),
          )
          expect(new Set(sealed.map(show)).size).toBe(plaintexts.length)
        }),
      )
    })

    if (traits.authenticates !== 'nothing') {
      authenticatesTheMessage(codec, sample, encrypt)
      claimsDamage(codec, sample, traits.shortestClaimed ?? 1)
    }
    if (traits.authenticates === 'context') authenticatesTheContext(codec, sample)
  })
}

function authenticatesTheMessage(codec: Codec, sample: () => Stored, encrypt: (bytes: Uint8Array) => Stored): void {
  test('two encryptions of one plaintext differ', () => {
    const bytes = Buffer.from('the same')
    expect(new Set(Array.from({ length: 100 }, () => show(encrypt(bytes)))).size).toBe(100)
  })

  test('a value does not open under another key', () => {
    expectRefused(codec, sample(), otherKey)
    expectRefused(codec, sample(), staticVersion(key.id, 1, 'active', randomBytes(32)))
  })

  test('a value with any one bit flipped does not open', () => {
    for (const damaged of flips(sample())) expectRefused(codec, damaged)
  })

  test('a value that lost any number of characters or bytes at either end does not open', () => {
    for (const damaged of truncations(sample(), 0)) expectRefused(codec, damaged)
  })

  test('a value with something before or behind it does not open', () => {
    const value = sample()
    for (const more of ['A', '0', '00', 'AAAA', '=', '==', '\n', ' ', '\0', ':', '.', value]) {
      expectRefused(codec, join(value, more))
      expectRefused(codec, join(more, value))
    }
  })

  test('a destroyed key is said to be missing', () => {
    const destroyed = staticVersion(key.id, 1, 'destroyed', randomBytes(32))
    expect(() => codec.decrypt(sample(), destroyed, context)).toThrow('keyring "app" has no key version aaaqeaye')
    expect(() => codec.encrypt(Buffer.from('x'), destroyed, context)).toThrow('keyring "app" has no key version aaaqeaye')
  })
}

function claimsDamage(codec: Codec, sample: () => Stored, shortest: number): void {
  test('a value with one bit flipped is still claimed, so that it is never plain text', () => {
    for (const damaged of flips(sample())) expect(codec.claims(damaged)).toBe(true)
  })

  test('what is left of a value that lost its end is still claimed', () => {
    for (const damaged of truncations(sample(), shortest, 'end')) expect(codec.claims(damaged)).toBe(true)
  })
}

function authenticatesTheContext(codec: Codec, sample: () => Stored): void {
  const others: Record<string, Context> = {
    'another keyring': { ...context, keyring: 'App' },
    'another field': { ...context, field: 'users.token2' },
    'names that join to the same text': { ...context, keyring: 'appu', field: 'sers.token' },
    'another bound value': { ...context, bound: [Buffer.from('43'), Buffer.from('')] },
    'bound values in another order': { ...context, bound: [Buffer.from(''), Buffer.from('42')] },
    'bound values divided otherwise': { ...context, bound: [Buffer.from('4'), Buffer.from('2')] },
    'one bound value fewer': { ...context, bound: [Buffer.from('42')] },
    'no bound value': { ...context, bound: [] },
  }
  for (const [name, other] of Object.entries(others)) {
    test(`Invariant: a value does not open under ${name}`, () => {
      expectRefused(codec, sample(), key, other)
    })
  }
}

function expectRefused(codec: Codec, value: Stored, version = key, where = context): void {
  let error: unknown
  try {
    codec.decrypt(value, version, where)
  } catch (caught) {
    error = caught
  }
  if (!isKeyturnError(error, 'ERR_DECRYPT')) throw new Error(`${codec.name} should refuse with ERR_DECRYPT, and gave ${error}`)
  if (codec.decryptMany !== undefined) expect(codec.decryptMany([value], version, [where])).toEqual([null])
  expect(error.message).toBe('the value does not open')
  expect(error.cause).toBeUndefined()
}

function* flips(value: Stored): Generator<Stored> {
  for (let at = 0; at < value.length; at++) {
    for (let bit = 1; bit < (typeof value === 'string' ? 128 : 256); bit *= 2) {
      if (typeof value === 'string') {
        yield value.slice(0, at) + String.fromCharCode(value.charCodeAt(at) ^ bit) + value.slice(at + 1)
      } else {
        const bytes = Buffer.from(value)
        bytes[at] = (bytes[at] as number) ^ bit
        yield bytes
      }
    }
  }
}

function* truncations(value: Stored, shortest: number, end: 'end' | 'both' = 'both'): Generator<Stored> {
  for (let length = shortest; length < value.length; length++) {
    yield value.slice(0, length)
    if (end === 'both') yield value.slice(value.length - length)
  }
}

function join(a: Stored, b: Stored): Stored {
  if (typeof a === 'string' && typeof b === 'string') return a + b
  return Buffer.concat([Buffer.from(a as string), Buffer.from(b as string)])
}

function beginsWith(value: Stored, prefix: Stored): boolean {
  return show(value.slice(0, prefix.length)) === show(prefix)
}

function show(value: Stored): string {
  return typeof value === 'string' ? value : Buffer.from(value).toString('hex')
}
