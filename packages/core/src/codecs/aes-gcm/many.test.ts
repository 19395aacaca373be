import { createCipheriv, createDecipheriv, createSecretKey, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { count } from '../../../../../test/harness/counts.ts'
import { type Message, openMany, sealMany } from './many.ts'

function seal(key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  cipher.setAAD(aad)
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()])
  return Buffer.concat([nonce, ciphertext, cipher.getAuthTag()])
}
const whole = (bytes: Uint8Array, aad: Uint8Array): Message => ({ bytes, start: 0, end: bytes.length, aad })
const bytes = (maxLength: number) => fc.uint8Array({ maxLength })

test('The test cases of the specification of GCM for 256-bit keys open.', () => {
  // McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B, cases 13, 14, 15 and 16.
  const zero = '00'.repeat(32)
  const key = 'feffe9928665731c6d6a8f9467308308'.repeat(2)
  const plaintext =
    'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255'
  const ciphertext =
    '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad'
  const cases = [
    [zero, '00'.repeat(12), '', '', '', '530f8afbc74536b9a963b4f1c4cb738b'],
    [zero, '00'.repeat(12), '', '00'.repeat(16), 'cea7403d4d606b6e074ec5d3baf39d18', 'd0d1c8a799996bf0265b98b5d48ab919'],
    [key, 'cafebabefacedbaddecaf888', '', plaintext, ciphertext, 'b094dac5d93471bdec1a502270e3cc6c'],
    [
      key,
      'cafebabefacedbaddecaf888',
      'feedfacedeadbeeffeedfacedeadbeefabaddad2',
      plaintext.slice(0, 120),
      ciphertext.slice(0, 120),
      '76fc6ece0f4e1768cddf8853bb2d551b',
    ],
  ] as const
  for (const [keyHex, nonce, aad, expected, sealed, tag] of cases) {
    const message = whole(Buffer.from(nonce + sealed + tag, 'hex'), Buffer.from(aad, 'hex'))
    expect(openMany(createSecretKey(keyHex, 'hex'), [message])[0]?.toString('hex')).toBe(expected)
  }
})

test('Whatever OpenSSL seals opens, in batches of any make, at any place of a buffer.', () => {
  const message = fc.record({ aad: bytes(70), plaintext: bytes(300), before: bytes(20), after: bytes(20) })
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.array(message, { maxLength: 12 }), (key, list) => {
      const messages = list.map(({ aad, plaintext, before, after }) => {
        const sealed = seal(key, randomBytes(12), aad, plaintext)
        return { bytes: Buffer.concat([before, sealed, after]), start: before.length, end: before.length + sealed.length, aad }
      })
      const opened = openMany(createSecretKey(key), messages)
      expect(opened.map((plaintext) => plaintext?.toString('hex'))).toEqual(
        list.map(({ plaintext }) => Buffer.from(plaintext).toString('hex')),
      )
    }),
    { numRuns: count(120, 20_000) },
  )
})

test('No flipped bit, truncation, other key or other associated data opens; its neighbours do.', () => {
  const [key, other, aad, nonce] = [randomBytes(32), randomBytes(32), randomBytes(21), randomBytes(12)]
  const sealed = seal(key, nonce, aad, Buffer.from('a secret of three blocks, a little more'))
  const damaged: Message[] = []
  for (let bit = 0; bit < sealed.length * 8; bit++) {
    const flipped = Buffer.from(sealed)
    flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7))
    damaged.push(whole(flipped, aad))
  }
  for (let length = 0; length < sealed.length; length++) damaged.push(whole(sealed.subarray(0, length), aad))
  damaged.push(whole(Buffer.concat([sealed, Buffer.alloc(1)]), aad), whole(sealed, aad.subarray(1)), whole(sealed, Buffer.alloc(0)))
  damaged.push(whole(seal(other, nonce, aad, Buffer.from('x')), aad))
  const opened = openMany(
    createSecretKey(key),
    damaged.flatMap((message) => [message, whole(sealed, aad)]),
  )
  for (const [index, plaintext] of opened.entries()) expect(plaintext === null).toBe(index % 2 === 0)
})

test('Of a large batch exactly what was damaged does not open, also where two messages have the same fault.', () => {
  const key = randomBytes(32)
  const aads = Array.from({ length: 130 }, (_, at) => randomBytes(at % 33))
  const sealed = aads.map((aad, at) => seal(key, randomBytes(12), aad, randomBytes(at)))
  const places = [[0], [129], [63, 64], [1, 2, 128], [0, 8, 16, 24, 65], [...sealed.keys()]]
  for (const damaged of places) {
    for (const byte of [0, 11, -1, -16]) {
      const messages = sealed.map((bytes, at) => {
        const copy = Buffer.from(bytes)
        if (damaged.includes(at)) copy[byte < 0 ? copy.length + byte : byte]! ^= 0x80
        return whole(copy, aads[at]!)
      })
      const opened = openMany(createSecretKey(key), messages)
      expect([...opened.keys()].filter((at) => opened[at] === null)).toEqual(damaged)
    }
  }
})

test('Tags that are exchanged between messages open neither, and nothing is left of a batch for the next one.', () => {
  const key = createSecretKey(randomBytes(32))
  const drafts = Array.from({ length: 20 }, (_, at) => ({ plaintext: randomBytes(40 + at), aad: randomBytes(5) }))
  const messages = (sealMany(key, drafts) as Message[]).map((message) => whole(slice(message), message.aad))
  const [first, second] = [Buffer.from(messages[3]!.bytes), Buffer.from(messages[11]!.bytes)]
  const tag = Buffer.from(first.subarray(-16))
  second.copy(first, first.length - 16, second.length - 16)
  tag.copy(second, second.length - 16)
  const exchanged = messages.map((message, at) => (at === 3 ? whole(first, message.aad) : at === 11 ? whole(second, message.aad) : message))
  const opened = openMany(key, exchanged)
  expect([...opened.keys()].filter((at) => opened[at] === null)).toEqual([3, 11])
  expect(openMany(key, messages)).toEqual(drafts.map(({ plaintext }) => plaintext))
  expect(openMany(key, messages.slice(0, 1))).toEqual([drafts[0]!.plaintext])
  expect(opened[4]).toEqual(drafts[4]!.plaintext)
})

const slice = ({ bytes, start, end }: Message) => Buffer.from(bytes.subarray(start, end))

function openedByOpenSSL(key: Uint8Array, message: Message): Buffer {
  const bytes = slice(message)
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12)).setAuthTag(bytes.subarray(-16)).setAAD(message.aad)
  return Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()])
}

test('Whatever is sealed here OpenSSL opens, in batches of any make, each under a nonce of its own.', () => {
  const draft = fc.record({ aad: bytes(70), plaintext: bytes(300) })
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.array(draft, { minLength: 1, maxLength: 12 }), (key, drafts) => {
      const sealed = sealMany(createSecretKey(key), drafts) as Message[]
      expect(sealed.map((message) => openedByOpenSSL(key, message).toString('hex'))).toEqual(
        drafts.map(({ plaintext }) => Buffer.from(plaintext).toString('hex')),
      )
      expect(new Set(sealed.map((message) => slice(message).toString('hex', 0, 12))).size).toBe(drafts.length)
    }),
    { numRuns: count(120, 20_000) },
  )
})

test('Every length up to the longest is sealed and opened; longer ones, other keys and no messages are left to OpenSSL.', () => {
  const key = randomBytes(32)
  const drafts = Array.from({ length: 1025 }, (_, length) => ({ plaintext: randomBytes(length), aad: randomBytes(length % 40) }))
  const sealed = sealMany(createSecretKey(key), drafts) as Message[]
  for (const [at, message] of sealed.entries()) expect(openedByOpenSSL(key, message)).toEqual(drafts[at]!.plaintext)
  expect(openMany(createSecretKey(key), sealed).map((opened) => opened?.length)).toEqual(drafts.map(({ plaintext }) => plaintext.length))
  const long = { plaintext: randomBytes(1025), aad: randomBytes(3) }
  expect(sealMany(createSecretKey(key), [drafts[0]!, long])).toBeNull()
  expect(openMany(createSecretKey(key), [whole(seal(key, randomBytes(12), long.aad, long.plaintext), long.aad)])).toEqual([null])
  expect(sealMany(createSecretKey(randomBytes(16)), [drafts[0]!])).toBeNull()
  expect(sealMany(createSecretKey(key), [])).toBeNull()
})
