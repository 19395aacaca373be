import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import blob from '../codecs/blob.ts'
import hexColon from '../codecs/hex-colon.ts'
import kt1 from '../codecs/kt1.ts'
import plain from '../codecs/plain.ts'
import { fail } from '../errors.ts'
import { Keyring } from '../keyring/keyring.ts'
import type { LiveKeyring } from '../keyring/live-keyring.ts'
import { staticKeyring, staticVersion } from '../keyring/static-keyring.ts'
import type { Stored } from './codec.ts'
import { Field, type FieldDefinition } from './field.ts'

const oldBytes = randomBytes(32)
const newest = staticVersion('bbbqeaye', 2, 'active', randomBytes(32))
const retiring = staticVersion('aaaqeaye', 1, 'retiring', oldBytes)
const app = staticKeyring('app', [retiring, newest])
const before = staticKeyring('app', [staticVersion('aaaqeaye', 1, 'active', oldBytes)])
const legacy = staticKeyring('legacy', [
  staticVersion('legacy-3', 3, 'active', randomBytes(32)),
  staticVersion('legacy-1', 1, 'retiring', randomBytes(32)),
  staticVersion('legacy-2', 2, 'retiring', randomBytes(32)),
])
const location = { schema: null, table: 'users', column: 'token' }
const define = (changes: Partial<FieldDefinition> = {}) =>
  new Field({ name: 'users.token', location, keyring: app, writes: kt1(), reads: [], bind: [], empty: 'refuse', ...changes })
const byId = { bind: [{ column: 'id', type: 'int' }] } as const

describe('writing and reading', () => {
  test('a value opens as it was encrypted, in both forms', async () => {
    const field = define(byId)
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'grapheme' }), fc.maxSafeInteger(), async (text, id) => {
        expect(await field.decrypt(await field.encrypt(text, { id }), { id: String(id) })).toBe(text)
        expect(field.decryptSync(field.encryptSync(text, { id }), { id: BigInt(id) })).toBe(text)
      }),
    )
  })

  test('bytes open as bytes, and not as text that they are not', async () => {
    const field = define()
    const stored = field.encryptSync(Buffer.from([0xff, 0xfe]))
    expect(Buffer.from(await field.decryptBytes(stored))).toEqual(Buffer.from([0xff, 0xfe]))
    expect(Buffer.from(field.decryptBytesSync(stored))).toEqual(Buffer.from([0xff, 0xfe]))
    await expect(field.decrypt(stored)).rejects.toThrow('field "users.token": the plaintext is not well-formed text. Use bytes instead')
    expect(() => field.encryptSync('a\ud800')).toThrow('what is to be encrypted is not well-formed text')
  })

  test('a text that begins with a byte order mark keeps it', () => {
    const field = define()
    expect(field.decryptSync(field.encryptSync('\ufeffx'))).toBe('\ufeffx')
  })

  test('current means the codec and the key that would be written today', () => {
    const field = define({ reads: [{ codec: hexColon(), keyring: app }] })
    const open = (stored: Stored) => field.open(stored, [])
    expect(open(field.encryptSync('x'))).toMatchObject({ current: true, version: newest })
    expect(open(field.seal(Buffer.from('x'), [], retiring))).toMatchObject({ current: false, version: retiring })
    expect(open(define({ writes: hexColon() }).encryptSync('x'))).toMatchObject({ current: false, version: newest })
    expect(field.currentPrefix()).toBe('kt1.bbbqeaye.')
    expect(define({ writes: hexColon() }).currentPrefix()).toBeNull()
  })

  test('values without a key id open under every key of their keyring, and keys are tried in the order that worked last', () => {
    const codec = hexColon()
    const tried: string[] = []
    const watched: typeof codec = {
      ...codec,
      decrypt(stored, version, context) {
        tried.push(version.id)
        return codec.decrypt(stored, version, context)
      },
    }
    const field = define({ reads: [{ codec: watched, keyring: legacy }] })
    const context = { keyring: 'legacy', field: 'users.token', bound: [] }
    for (const version of legacy.snapshot.versions) {
      const stored = codec.encrypt(Buffer.from('secret'), version, context)
      expect(field.open(stored, [])).toMatchObject({ current: false, codec: watched, version })
      tried.length = 0
      expect(field.decryptSync(stored)).toBe('secret')
      expect(tried).toEqual([version.id])
    }
  })

  test('a value of another keyring opens where that keyring is read', () => {
    const from = define({ keyring: before, ...byId })
    const to = define({
      keyring: staticKeyring('other', [staticVersion('cccqeaye', 1, 'active', randomBytes(32))]),
      ...byId,
      reads: [{ codec: kt1(), keyring: app }],
    })
    expect(to.decryptSync(from.encryptSync('secret', { id: 1 }), { id: 1 })).toBe('secret')
  })
})

describe('what does not open', () => {
  const secret = 'marked-plaintext-7c1f'

  test('Invariant: a value moved to another row, field or keyring does not open.', () => {
    const other = staticKeyring('apq', [retiring, newest])
    fc.assert(
      fc.property(fc.integer(), fc.integer(), (id, elsewhere) => {
        const stored = define(byId).encryptSync(secret, { id })
        if (id !== elsewhere) expect(() => define(byId).decryptSync(stored, { id: elsewhere })).toThrow('the value does not open')
        expect(() => define({ ...byId, name: 'users.tokem' }).decryptSync(stored, { id })).toThrow('the value does not open')
        expect(() => define({ ...byId, keyring: other }).decryptSync(stored, { id })).toThrow('the value does not open')
        expect(() => define().decryptSync(stored)).toThrow('the value does not open')
      }),
    )
  })

  test('Invariant: plain text never swallows a damaged value.', () => {
    const codecs = [
      kt1(),
      hexColon(),
      hexColon({ order: 'iv.ct.tag', iv: 16 }),
      blob(),
      kt1({ encoding: 'bytes' }),
      blob({ encoding: 'bytes' }),
    ]
    const anything = { codec: plain({ looksLike: /[\s\S]*/ }), keyring: null }
    const arbitrary = fc.record({
      which: fc.nat(codecs.length - 1),
      bytes: fc.uint8Array(),
      at: fc.nat(),
      bit: fc.nat(7),
      cut: fc.boolean(),
    })
    fc.assert(
      fc.property(arbitrary, ({ which, bytes, at, bit, cut }) => {
        const field = define({ writes: codecs[which] as FieldDefinition['writes'], reads: [anything] })
        const stored = field.encryptSync(bytes)
        expect(() =>
          field.open(cut ? stored.slice(0, 16 + (at % (stored.length - 16))) : flip(stored, at % stored.length, bit), []),
        ).toThrow()
      }),
      { numRuns: 1000 },
    )
  })

  test('plain text opens only where nothing else claims it', () => {
    const field = define({
      reads: [
        { codec: hexColon(), keyring: app },
        { codec: plain({ looksLike: /sk-.+|[0-9a-f]+|kt.*/ }), keyring: null },
      ],
    })
    expect(field.open('sk-123', [])).toMatchObject({ current: false, version: null, plaintext: Buffer.from('sk-123') })
    for (const refused of ['hunter2', 'kt1.x', 'kt2.sk-1', 'kt1', '0123456789abcdef0123456789abcdef']) {
      expect(() => field.open(refused, [])).toThrow('the value does not open')
    }
  })

  test('the empty string is refused, or kept as "not set"', async () => {
    const [refuse, keep] = [define(), define({ empty: 'keep' })]
    expect(() => refuse.decryptSync('')).toThrow('the stored value is the empty string')
    expect(() => refuse.decryptSync(Buffer.alloc(0))).toThrow('the stored value is the empty string')
    expect(await keep.decrypt('')).toBe('')
    expect([refuse.isKept(''), keep.isKept(''), keep.isKept('x')]).toEqual([false, true, false])
    expect(() => refuse.decryptSync(null as unknown as string)).toThrow('NULL holds none')
  })

  test('nothing that is printed holds a plaintext, stored value or key', () => {
    const field = define({ ...byId, reads: [{ codec: hexColon(), keyring: legacy }] })
    const stored = field.encryptSync(secret, { id: 42 }) as string
    const printed = [JSON.stringify(field), inspect(field, { depth: 9, showHidden: true })]
    for (const bad of [flip(stored, 20, 0), 'kt2.x', `${secret}.`, '0:1:2']) {
      try {
        field.decryptSync(bad, { id: 42 })
      } catch (error) {
        printed.push(inspect(error, { depth: 9, showHidden: true }), String((error as Error).stack))
      }
    }
    expect(printed).toHaveLength(10)
    for (const text of printed)
      for (const never of [secret, stored.slice(13, 40), oldBytes.toString('hex')]) expect(text).not.toContain(never)
    expect(JSON.parse(printed[0] as string)).toMatchObject({ name: 'users.token', keyring: 'app', writes: 'kt1', reads: ['hex-colon'] })
  })
})

describe('keys that are not there', () => {
  const unknown = define().encryptSync('secret')

  test('an unknown key id is told apart, and loaded once by the asynchronous form', async () => {
    let snapshot = before.snapshot
    const asked: (string | undefined)[] = []
    const live: LiveKeyring = {
      ...before,
      get snapshot() {
        return snapshot
      },
      reload: async (id) => {
        asked.push(id)
        snapshot = app.snapshot
        return snapshot
      },
    }
    const field = define({ keyring: live })
    expect(field.keyIdOf(unknown)).toBe('bbbqeaye')
    expect(() => field.decryptSync(unknown)).toThrow('keyring "app": key version bbbqeaye is not loaded in this process')
    expect(await field.decrypt(unknown)).toBe('secret')
    expect(asked).toEqual(['bbbqeaye'])
  })

  test('values with made-up ids make no keyring load that their id says nothing to', async () => {
    const asked: (string | undefined)[] = []
    const counting = (keyring: LiveKeyring): LiveKeyring => ({
      ...keyring,
      reload: async (id) => {
        asked.push(id)
        return keyring.snapshot
      },
    })
    const bytes = kt1({ encoding: 'bytes' })
    const field = define({
      keyring: counting(before),
      writes: bytes,
      reads: [{ codec: blob({ encoding: 'bytes' }), keyring: counting(legacy) }],
    })
    const planted = define({ writes: bytes }).encryptSync('secret')
    await expect(field.decrypt(planted)).rejects.toMatchObject({ code: 'ERR_KEY_NOT_FOUND' })
    expect(asked).toEqual(['bbbqeaye'])
  })

  test('a key id that stays unknown, and a destroyed key, are named', async () => {
    await expect(define({ keyring: before }).decrypt(unknown)).rejects.toMatchObject({ code: 'ERR_KEY_NOT_FOUND' })
    const gone = staticKeyring('app', [
      retiring,
      staticVersion('cccqeaye', 3, 'active', randomBytes(32)),
      staticVersion('bbbqeaye', 2, 'destroyed', randomBytes(32)),
    ])
    expect(() => define({ keyring: gone }).decryptSync(unknown)).toThrow('keyring "app" has no key version bbbqeaye')
  })

  test('under a development key the refusal says what it was derived from', () => {
    const development = staticKeyring('app', [staticVersion('aaaqeaye', 1, 'active', randomBytes(32))], ['SESSION_SECRET', 'DATABASE_URL'])
    const field = define({ keyring: development, writes: hexColon() })
    expect(() => field.decryptSync(define({ writes: hexColon() }).encryptSync('x'))).toThrow('derived from SESSION_SECRET, DATABASE_URL')
  })

  test('many encryptions at once reserve what they spend', async () => {
    let reserved = 0
    const live: LiveKeyring = {
      ...app,
      reserve: async (messages) => {
        await null
        if (reserved < messages) reserved += 3
      },
      spend: (messages) => {
        if (reserved < messages) throw fail('ERR_KEY_NOT_LOADED', 'app', 'a block of messages')
        reserved -= messages
        return app.snapshot.active
      },
    }
    const field = define({ keyring: live })
    expect(() => field.encryptSync('x')).toThrow('a block of messages is not loaded')
    const stored = await Promise.all(Array.from({ length: 40 }, () => field.encrypt('x')))
    expect(new Set(stored).size).toBe(40)
  })
})

describe('what is declared', () => {
  test('bound columns are all given, of their types, and no others', () => {
    const field = define({
      bind: [
        { column: 'id', type: 'int' },
        { column: 'tenant', type: 'uuid' },
      ],
    })
    const tenant = '5a2f0e7c-9b1d-4e3f-8a6b-0c1d2e3f4a5b'
    const refused = (bound: Record<string, unknown> | undefined, words: string) =>
      expect(() => field.encryptSync('x', bound)).toThrow(words)
    refused(undefined, 'the bound column "id" needs a value of type int')
    refused({ id: 1 }, 'the bound column "tenant" needs a value of type uuid')
    refused({ id: 1, tenant: 'x' }, 'the bound column "tenant" needs a value of type uuid')
    refused({ id: 1, tenant, name: 'x' }, 'the bound column "name" needs a value of type none: it is not bound to that column')
    refused(Object.create({ id: 1, tenant }), 'the bound column "id" needs a value of type int')
    expect(() => define().encryptSync('x', { id: 1 })).toThrow('the bound column "id"')
    expect(field.canonicalBound([7n, tenant.toUpperCase()])).toEqual([Buffer.from('7'), Buffer.from(tenant)])
  })

  test('what cannot be permanent, or cannot work, is refused', () => {
    for (const name of ['', 'a b', 'a/b', 'ключ', 'a'.repeat(129)]) expect(() => define({ name })).toThrow('a name has 1 to 128 characters')
    expect(() => define({ keyring: staticKeyring('a b', [newest]) })).toThrow('a name has 1 to 128 characters')
    expect(() => define({ writes: plain({ looksLike: 'x' }) })).toThrow('a field cannot write "plain"')
    expect(() => define({ reads: [{ codec: blob(), keyring: null }] })).toThrow('codec "blob" needs a keyring')
    expect(() =>
      define({
        bind: [
          { column: 'id', type: 'int' },
          { column: 'id', type: 'text' },
        ],
      }),
    ).toThrow('column "id" is bound twice')
    expect(() => new Keyring('app', 0, [retiring])).toThrow('in state active')
  })
})

function flip(stored: Stored, at: number, bit: number): Stored {
  if (typeof stored === 'string') {
    return stored.slice(0, at) + String.fromCharCode(stored.charCodeAt(at) ^ (1 << (bit % 7))) + stored.slice(at + 1)
  }
  const bytes = Buffer.from(stored)
  bytes[at] = (bytes[at] as number) ^ (1 << bit)
  return bytes
}
