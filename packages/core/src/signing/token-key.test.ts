import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import local from '../key-wrappers/local.ts'
import { isEnvelope, openEnvelope, sealEnvelope } from '../keyring/envelope.ts'
import { KeyMaterial } from '../keyring/key-version.ts'
import type { KeyWrapper } from '../keyring/key-wrapper.ts'
import { wrappingData } from '../keyring/seal.ts'
import { type Algorithm, algorithms, publicJwk, schemeOf } from './algorithm.ts'
import { parseCompact } from './compact.ts'
import { checkToken } from './token.ts'
import { storedTokenKey, tokenKeys } from './token-key.ts'

const file = new URL('../../../../spec/vectors/signing-key.json', import.meta.url)
const { root, rootId, keyring, keys } = JSON.parse(readFileSync(file, 'utf8')) as {
  root: string
  rootId: string
  keyring: string
  keys: { algorithm: Algorithm; id: string; number: number; plaintext: string; wrapped: string; jwk: object | null; token: string }[]
}
const wrapper = local({ key: root })
const hex = (text: string) => Buffer.from(text, 'hex')

test('there is a vector for every algorithm.', () => {
  expect(keys.map(({ algorithm }) => algorithm)).toEqual(algorithms)
  expect(wrapper.rootId).toBe(rootId)
})

test.each(keys)('the vector of $algorithm: its wrapping opens, the key is what it says, and its token is valid.', async (vector) => {
  const { algorithm, id, number, plaintext, wrapped, jwk, token } = vector
  const bytes = await openEnvelope(hex(wrapped), wrappingData({ rootId, keyring, id, number }), wrapper)
  expect(Buffer.from(bytes).toString('hex')).toBe(plaintext)
  const key = storedTokenKey(new KeyMaterial(bytes))
  expect(key.algorithm).toBe(algorithm)
  expect(key.signs.type === 'secret' ? null : publicJwk(key.signs, algorithm, id)).toEqual(jwk)
  const compact = parseCompact(token)
  if (compact === null) throw new Error('the vector is no token')
  expect(checkToken(compact, [{ kid: id, key }], {}, { skewMs: 0 }).claims).toEqual({ sub: 'ada', exp: 4102444800 })
  // It is bound to its keyring, its id and its number.
  for (const other of [{ keyring: 'other' }, { id: 'zzzqeaye' }, { number: number + 1 }])
    await expect(openEnvelope(hex(wrapped), wrappingData({ rootId, keyring, id, number, ...other }), wrapper)).rejects.toMatchObject({
      code: 'ERR_DECRYPT',
    })
})

test.each(algorithms)('a new key for %s is one, and no other bytes are.', async (algorithm) => {
  const { accepts, create } = tokenKeys(algorithm)
  const bytes = Buffer.from(await create())
  expect(accepts(bytes)).toBe(true)
  const changes = [
    bytes.subarray(1),
    bytes.subarray(0, -1),
    Buffer.concat([bytes, Buffer.alloc(1)]),
    Buffer.alloc(32, 7),
    Buffer.alloc(0),
    Buffer.from(bytes.toString('latin1').replace(algorithm, algorithm.toLowerCase()), 'latin1'),
  ]
  // A longer secret is a secret, too.
  const wrong = algorithm.startsWith('HS') ? changes.toSpliced(2, 1) : changes
  expect(wrong.map(accepts)).toEqual(wrong.map(() => false))
})

test('a key that does not fit its algorithm is not accepted, however it is written.', () => {
  const prefix = (algorithm: string) =>
    Buffer.concat([Buffer.from('keyturn/signing-key/1\0'), Buffer.from([algorithm.length]), Buffer.from(algorithm)])
  const pkcs8 = (key: KeyObject) => key.export({ format: 'der', type: 'pkcs8' })
  const small = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey
  const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  const { accepts } = tokenKeys('ES256')
  expect(accepts(Buffer.concat([prefix('ES256'), pkcs8(p256)]))).toBe(true)
  for (const wrong of [
    Buffer.concat([prefix('RS256'), pkcs8(small)]),
    Buffer.concat([prefix('ES384'), pkcs8(p256)]),
    Buffer.concat([prefix('HS256'), Buffer.alloc(31, 7)]),
    Buffer.concat([prefix('none'), Buffer.alloc(32, 7)]),
    Buffer.concat([prefix('constructor'), Buffer.alloc(32, 7)]),
    Buffer.concat([prefix('ES256'), Buffer.from(pkcs8(p256).toString('base64'))]),
    Buffer.concat([prefix('ES256'), p256.export({ format: 'der', type: 'sec1' })]),
  ])
    expect(accepts(wrong)).toBe(false)
})

test('a root key that takes 32 bytes and no more wraps an RSA key, and what is damaged does not open.', async () => {
  const tight: KeyWrapper = {
    ...wrapper,
    wrap: (key, data) => (key.length > 32 ? Promise.reject(new Error('too long')) : wrapper.wrap(key, data)),
  }
  const bytes = await tokenKeys('RS256').create()
  const data = Buffer.from('data')
  const envelope = await sealEnvelope(bytes, data, tight)
  expect(isEnvelope(envelope)).toBe(true)
  expect(Buffer.from(await openEnvelope(envelope, data, tight))).toEqual(Buffer.from(bytes))
  for (let at = 0; at < envelope.length; at += 7) {
    const damaged = Uint8Array.from(envelope)
    damaged[at] = (damaged[at] as number) ^ 1
    await expect(openEnvelope(damaged, data, tight)).rejects.toMatchObject({ code: 'ERR_DECRYPT' })
  }
  for (const length of [0, 5, 19, 20, 21, 60, envelope.length - 1])
    await expect(openEnvelope(envelope.subarray(0, length), data, tight)).rejects.toMatchObject({ code: 'ERR_DECRYPT' })
})

test('a key prints nothing of its private half.', async () => {
  const key = storedTokenKey(new KeyMaterial(await tokenKeys('EdDSA').create()))
  const secret = createPrivateKey(key.signs.export({ format: 'pem', type: 'pkcs8' })).export({ format: 'jwk' }).d as string
  expect(secret).toHaveLength(43)
  for (const text of [inspect(key, { depth: 9, showHidden: true }), JSON.stringify(key)]) expect(text).not.toContain(secret)
  expect(schemeOf('EdDSA').keyType).toBe('OKP')
})
