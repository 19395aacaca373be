import { createHmac, createPublicKey } from 'node:crypto'
import jwt from 'jsonwebtoken'
import { expect, test } from 'vitest'
import { foreignToken, useSigningKeyrings } from '../../../../test/harness/signing.ts'
import type { SigningKeyring } from '../index.ts'
import jsonwebtoken from './jsonwebtoken.ts'

const known = ['HS256', 'HS384', 'HS512', 'RS256', 'PS256', 'ES256', 'ES384'] as const
const { ring, byEnvironment } = useSigningKeyrings([...known, 'EdDSA'])

const verify = (token: string, signing: SigningKeyring, key = jsonwebtoken(signing).verifies) =>
  new Promise<unknown>((resolve, reject) =>
    jwt.verify(token, key as jwt.GetPublicKeyOrSecret, (error, claims) => (error === null ? resolve(claims) : reject(error))),
  )

test.each(known)(
  '%s: what jsonwebtoken signs the keyring verifies, and the other way round; a rotation changes the key.',
  async (algorithm) => {
    const signing = ring(algorithm)
    const sign = async () => {
      const { key, options } = await jsonwebtoken(signing).signs()
      return jwt.sign({ sub: 'ada' }, key, { ...options, expiresIn: '1h' })
    }
    const before = await sign()
    expect((await signing.verify(before)).claims.sub).toBe('ada')
    expect(await verify(await signing.sign({ sub: 'bob' }), signing)).toMatchObject({ sub: 'bob' })
    await signing.rotate({ now: true })
    const after = await sign()
    for (const token of [before, after]) expect(await verify(token, signing)).toMatchObject({ sub: 'ada' })
    await signing.retire({ now: true })
    await verify(after, signing)
    await expect(verify(before, signing)).rejects.toThrow('the token is not valid')
  },
)

test('a public key is not taken for a secret, and a key that is not known is none.', async () => {
  const signing = ring('RS256')
  const { kid, key } = await signing.signingKey()
  const secret = createPublicKey(key).export({ format: 'pem', type: 'spki' })
  for (const header of [{ alg: 'HS256', kid }, { alg: 'RS256', kid: 'aaaaaaaa' }, { alg: 'RS256' }]) {
    const signed = [header, { sub: 'ada', exp: 99_999_999_999 }]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.')
    const token = `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
    await expect(verify(token, signing)).rejects.toThrow('the token is not valid')
  }
})

test('an algorithm that jsonwebtoken does not know is refused at once.', () => {
  expect(() => jsonwebtoken(ring('EdDSA'))).toThrow(/no EdDSA/)
})

test('tokens that an application signed before, without a kid of ours, are valid under each secret of the environment, and under no other.', async () => {
  const [old, next] = ['o'.repeat(31).concat('1'), 'n'.repeat(31).concat('2')]
  for (const [secret, previous] of [
    [old, ''],
    [old, next],
    [next, old],
  ] as const) {
    const signing = await byEnvironment(secret, previous)
    const { verifiesToken } = jsonwebtoken(signing)
    const valid = (token: string) => verify(token, signing, verifiesToken(token))
    for (const keyid of [undefined, '2024-01']) {
      for (const by of [secret, previous].filter((text) => text !== ''))
        expect(await valid(jwt.sign({ sub: 'ada' }, by, { expiresIn: '1h', ...(keyid === undefined ? {} : { keyid }) }))).toMatchObject({
          sub: 'ada',
        })
      await expect(valid(foreignToken('x'.repeat(31).concat('3'), { kid: keyid }))).rejects.toThrow('the token is not valid')
    }
    // Where there is one key, it is the one.
    const alone = verify(foreignToken(secret), signing)
    if (previous === '') expect(await alone).toMatchObject({ sub: 'ada' })
    else await expect(alone).rejects.toThrow('the token is not valid')
  }
})
