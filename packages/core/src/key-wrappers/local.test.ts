import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { conformsToKeyWrapper } from '../../../../test/conformance/key-wrapper.ts'
import local from './local.ts'

const bytes = Buffer.from(Array.from({ length: 32 }, (_, n) => 0xa0 + n))
const data = Buffer.from('associated data')
const dataKey = Buffer.from(Array.from({ length: 32 }, (_, n) => n))
const cheap = { N: 2 ** 14, r: 8, p: 1 }
// Made once by this code: what it wrote must open for ever.
const FIXED = '014bd2e2a9442faf718c7867df274846da222dc113a47c8f930e867d8a8618cb9647281b9099a86371ac23fb12a91ac246ddad920ffc16523df974cfcd'
const passphrase = 'correct horse battery staple'

conformsToKeyWrapper('local, with a key', {
  same: () => local({ key: bytes }),
  other: () => local({ key: '4f'.repeat(32) }),
  secrets: [bytes.toString('hex'), bytes.toString('base64'), bytes.toString('latin1'), 'a0 a1 a2'],
})
conformsToKeyWrapper('local, with a passphrase', {
  same: () => local({ passphrase, id: 'ops', scrypt: cheap }),
  other: () => local({ passphrase: `${passphrase}!`, id: 'other', scrypt: cheap }),
  secrets: [passphrase],
})

test('the same key in hex, base64, base64url and bytes is the same root', async () => {
  const wrappers = [
    local({ key: bytes }),
    local({ key: bytes.toString('hex') }),
    local({ key: `${bytes.toString('hex').toUpperCase()}\n` }),
    local({ key: bytes.toString('base64') }),
    local({ key: bytes.toString('base64').replace('=', '') }),
    local({ key: bytes.toString('base64url') }),
    local({ key: bytes.toString('base64url'), encoding: 'base64url' }),
  ]
  expect(new Set(wrappers.map(({ rootId }) => rootId)).size).toBe(1)
  expect(wrappers[0]!.rootId).toMatch(/^local:[a-z2-7]{8}$/)
  const wrapped = await wrappers[0]!.wrap(dataKey, data)
  for (const wrapper of wrappers) expect(Buffer.from(await wrapper.unwrap(wrapped, data))).toEqual(dataKey)
})

test('Invariant: root id and format of a wrapping never change.', async () => {
  const wrapper = local({ key: '4f'.repeat(32) })
  expect(wrapper.rootId).toBe('local:ak7txb4b')
  const written = Buffer.from(FIXED, 'hex')
  expect(Buffer.from(await wrapper.unwrap(written, data))).toEqual(dataKey)
})

test('every flipped bit, truncation, other associated data and other root is refused with one wording', async () => {
  const wrapper = local({ key: bytes })
  const wrapped = await wrapper.wrap(dataKey, data)
  const attempts: Promise<unknown>[] = [
    wrapper.unwrap(wrapped, Buffer.from('other')),
    local({ key: '4f'.repeat(32) }).unwrap(wrapped, data),
  ]
  for (let n = 0; n < wrapped.length; n++) {
    attempts.push(wrapper.unwrap(wrapped.subarray(0, n), data))
    for (let bit = 0; bit < 8; bit++) {
      const flipped = Uint8Array.from(wrapped)
      flipped[n]! ^= 1 << bit
      attempts.push(wrapper.unwrap(flipped, data))
    }
  }
  for (const { status, ...result } of await Promise.allSettled(attempts)) {
    expect(status).toBe('rejected')
    expect(result).toMatchObject({ reason: { code: 'ERR_DECRYPT', message: 'the value does not open' } })
  }
})

test.each([
  ['short hex', 'ab'.repeat(31)],
  ['text', 'not a key at all'],
  ['an empty text', ''],
  ['spare bits that are not zero', `${'A'.repeat(42)}B`],
  ['both alphabets of base64', `${'A'.repeat(40)}+_A`],
  ['all zeros', '00'.repeat(32)],
])('%s is refused without a word of it', (_, key) => {
  expect(() => local({ key, label: 'KEYTURN_ROOT_KEY' })).toThrow(/^KEYTURN_ROOT_KEY is not a key by the rule/)
  try {
    local({ key })
  } catch (error) {
    if (key !== '') expect(inspect(error)).not.toContain(key)
  }
})

test('bytes that are not 32 are refused', () => {
  expect(() => local({ key: new Uint8Array(31) })).toThrow('it must be 32 bytes')
})

describe('a passphrase', () => {
  const ops = () => local({ passphrase, id: 'ops', scrypt: cheap })

  test('opens in another process what it wrapped in this one, whatever cost that one would use', async () => {
    const wrapped = await ops().wrap(dataKey, data)
    const other = local({ passphrase, id: 'ops', scrypt: { N: 2 ** 15, r: 8, p: 1 } })
    expect(Buffer.from(await other.unwrap(wrapped, data))).toEqual(dataKey)
    expect(other.rootId).toBe('local:ops')
  })

  test('another one does not open it', async () => {
    const wrapped = await ops().wrap(dataKey, data)
    await expect(local({ passphrase: `${passphrase}!`, id: 'ops', scrypt: cheap }).unwrap(wrapped, data)).rejects.toMatchObject({
      code: 'ERR_DECRYPT',
    })
  })

  test('has one salt for all keys of a keyring, that of the wrappings that opened', async () => {
    const first = await ops().wrap(dataKey, data)
    const later = ops()
    await later.unwrap(first, data)
    expect((await later.wrap(dataKey, data)).slice(0, 20)).toEqual(first.slice(0, 20))
  })

  test('does not take its salt from a wrapping that did not open', async () => {
    const planted = await local({ passphrase: 'what an attacker knows', id: 'ops', scrypt: cheap }).wrap(dataKey, data)
    const wrapper = ops()
    await expect(wrapper.unwrap(planted, data)).rejects.toMatchObject({ code: 'ERR_DECRYPT' })
    expect((await wrapper.wrap(dataKey, data)).slice(4, 20)).not.toEqual(planted.slice(4, 20))
  })

  test('is authenticated with its cost', async () => {
    const wrapped = await ops().wrap(dataKey, data)
    const cheaper = Uint8Array.from(wrapped)
    cheaper[2] = 4
    await expect(ops().unwrap(cheaper, data)).rejects.toMatchObject({ code: 'ERR_DECRYPT' })
  })

  test.each([
    ['N below the bounds', 1, 13],
    ['N above the bounds', 1, 21],
    ['N beyond every memory', 1, 255],
    ['r of zero', 2, 0],
    ['r above the bounds', 2, 17],
    ['p of zero', 3, 0],
    ['p above the bounds', 3, 5],
  ])('%s in a wrapping is refused before anything is computed', async (_, index, value) => {
    const wrapped = Uint8Array.from(await ops().wrap(dataKey, data))
    wrapped[index] = value
    const fresh = ops()
    let turns = 0
    const timer = setInterval(() => turns++, 0)
    await expect(fresh.unwrap(wrapped, data)).rejects.toMatchObject({ code: 'ERR_DECRYPT' })
    clearInterval(timer)
    // scrypt runs in the thread pool, so that its result takes at least one turn of the event loop.
    expect(turns).toBe(0)
  })

  test('more memory than allowed is refused although N and r are each within their bounds', async () => {
    const wrapped = Uint8Array.from(await ops().wrap(dataKey, data))
    wrapped[1] = 20
    wrapped[2] = 16
    await expect(ops().unwrap(wrapped, data)).rejects.toMatchObject({ code: 'ERR_DECRYPT' })
  })

  test('that is short, unnamed or costs too little is refused', () => {
    expect(() => local({ passphrase: 'fifteen letters', id: 'ops' })).toThrow(/at least 16 characters/)
    expect(() => local({ passphrase, id: 'Ops!' })).toThrow(/the id of a root passphrase/)
    expect(() => local({ passphrase, id: 'ops', scrypt: { N: 1000, r: 8, p: 1 } })).toThrow(/out of bounds/)
  })
})

test.each<[string, object]>([
  ['nothing', {}],
  ['a passphrase without a name for it', { passphrase: 'correct horse battery staple' }],
  ['a passphrase that is no text', { passphrase: 12345678901234567890n, id: 'ops' }],
  ['a cost that is none', { passphrase: 'correct horse battery staple', id: 'ops', scrypt: null }],
  ['a number as a key', { key: 42 }],
  ['an encoding that every object has', { key: '4f'.repeat(32), encoding: 'constructor' }],
])('Options that no type checked are refused with a sentence: %s', (_, options) => {
  expect(() => local(options as never)).toThrow(expect.objectContaining({ code: expect.stringMatching(/^ERR_(USAGE|KEY_FORMAT)$/) }))
})
