import { jwtVerify, SignJWT } from 'jose'
import { expect, test } from 'vitest'
import { foreignToken, useSigningKeyrings } from '../../../../test/harness/signing.ts'
import { algorithms } from '../signing/algorithm.ts'
import jose from './jose.ts'

const { ring, byEnvironment } = useSigningKeyrings(algorithms)

test.each(algorithms)(
  '%s: what jose signs the keyring verifies, and the other way round; a rotation changes the key.',
  async (algorithm) => {
    const signing = ring(algorithm)
    const keys = jose(signing)
    const sign = async () => {
      const { key, header } = await keys.signs()
      return await new SignJWT({ sub: 'ada' }).setProtectedHeader(header).setIssuedAt().setExpirationTime('1h').sign(key)
    }
    const before = await sign()
    expect((await signing.verify(before)).claims.sub).toBe('ada')
    expect((await jwtVerify(await signing.sign({ sub: 'bob' }), keys.verifies)).payload.sub).toBe('bob')

    await signing.rotate({ now: true })
    const after = await sign()
    for (const token of [before, after]) expect((await jwtVerify(token, keys.verifies)).payload.sub).toBe('ada')
    await signing.retire({ now: true })
    await jwtVerify(after, keys.verifies)
    await expect(jwtVerify(before, keys.verifies)).rejects.toMatchObject({ code: 'ERR_TOKEN' })
  },
)

test('a token that names another algorithm than its key has, or no key of ours, is refused before jose looks at it.', async () => {
  const signing = ring('ES256')
  const keys = jose(signing)
  const { kid } = await signing.signingKey()
  for (const header of [{ alg: 'HS256', kid }, { alg: 'none', kid }, { kid }, { alg: 'ES256' }, { alg: 'ES256', kid: 'aaaaaaaa' }, {}])
    await expect(keys.verifies(header)).rejects.toMatchObject({ code: 'ERR_TOKEN' })
})

test('tokens that an application signed before, without a kid of ours, are valid under each secret of the environment, and under no other.', async () => {
  const [old, next] = ['o'.repeat(31).concat('1'), 'n'.repeat(31).concat('2')]
  for (const [secret, previous] of [
    [old, ''],
    [old, next],
    [next, old],
  ] as const) {
    const { verifies } = jose(await byEnvironment(secret, previous))
    for (const header of [{}, { kid: '2024-01' }, { kid: 'primary2' }]) {
      for (const by of [secret, previous].filter((text) => text !== ''))
        expect((await jwtVerify(foreignToken(by, header), verifies)).payload.sub).toBe('ada')
      await expect(jwtVerify(foreignToken('x'.repeat(31).concat('3'), header), verifies)).rejects.toThrow()
      await expect(jwtVerify(foreignToken(secret, { ...header, alg: 'HS512' }), verifies)).rejects.toThrow()
    }
  }
})
