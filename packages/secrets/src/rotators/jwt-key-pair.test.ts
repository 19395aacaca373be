import { createPrivateKey } from 'node:crypto'
import { calculateJwkThumbprint, createLocalJWKSet, importPKCS8, jwtVerify, SignJWT } from 'jose'
import { expect, test } from 'vitest'
import { callOf } from '../../../../test/harness/parts.ts'
import { render } from '../secret/template.ts'
import jwtKeyPair, { options } from './jwt-key-pair.ts'

const open = (given: object = {}) => jwtKeyPair(options.parse(given))

test.each(['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA'])(
  'a pair of %s signs what its public half verifies, and nothing of the private one is public.',
  async (algorithm) => {
    const rotator = open({ algorithm })
    const { id, parts } = await rotator.propose!(callOf(), null)
    const jwk = JSON.parse(parts.publicJwk ?? '')
    expect(jwk).toMatchObject({ kid: id, use: 'sig', alg: algorithm })
    expect(await calculateJwkThumbprint(jwk)).toBe(id)
    expect(Object.keys(jwk).filter((name) => ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k'].includes(name))).toEqual([])
    const key = await importPKCS8(parts.privateKey ?? '', algorithm)
    const token = await new SignJWT({}).setProtectedHeader({ alg: algorithm, kid: id ?? '' }).sign(key)
    await expect(jwtVerify(token, createLocalJWKSet({ keys: [jwk] }), { algorithms: [algorithm] })).resolves.toBeDefined()
    const line = createPrivateKey({ key: Buffer.from(parts.privateLine ?? '', 'base64'), format: 'der', type: 'pkcs8' })
    expect(line.export({ type: 'pkcs8', format: 'pem' })).toBe(parts.privateKey)
    expect(parts.privateLine).toMatch(/^[A-Za-z0-9+/=]+$/)
    expect(await rotator.verify(callOf(), { id, parts })).toMatchObject({ works: true })
  },
)

test('a document of keys is a template: the next key is in it before it signs, the previous one as long as its tokens live.', async () => {
  const rotator = open()
  expect(rotator).toMatchObject({ needs: ['next', 'previous'], issuer: false })
  const [old, next] = [await rotator.propose!(callOf(), null), await rotator.propose!(callOf(), null)]
  const values = render({ A: '{publicJwk}', B: '{next.publicJwk}', C: '{previous.publicJwk}' }, { current: old, next, previous: null })
  expect([values.A, values.B, values.C]).toEqual([old.parts.publicJwk, next.parts.publicJwk, null])
})

test('halves that do not belong together are refused, and keys of another kind.', async () => {
  const [one, two] = [await open().propose!(callOf(), null), await open().propose!(callOf(), null)]
  const mixed = { ...one, parts: { ...one.parts, publicJwk: two.parts.publicJwk ?? '' } }
  for (const wrong of [mixed, { ...one, id: two.id }, { ...one, parts: { privateKey: 'x' } }]) {
    expect(await open().verify(callOf(), wrong)).toMatchObject({ works: false, later: false })
    await expect(open().create(callOf(), wrong, null)).rejects.toMatchObject({ code: 'ERR_OUTSIDE_REFUSED' })
  }
  expect(await open({ algorithm: 'EdDSA' }).verify(callOf(), one)).toMatchObject({ works: false })
  expect(await open({ algorithm: 'ES384' }).verify(callOf(), one)).toMatchObject({ works: false })
  expect(await open().create(callOf(), one, null)).toEqual(one)
  for (const bad of [{ algorithm: 'HS256' }, { algorithm: 'ES256', bits: 2048 }, { algorithm: 'RS256', bits: 1024 }])
    expect(options.safeParse(bad).success).toBe(false)
})
