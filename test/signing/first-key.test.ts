import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign as signBytes } from 'node:crypto'
import { jwtVerify, SignJWT } from 'jose'
import jwt from 'jsonwebtoken'
import { afterEach, describe, expect, test } from 'vitest'
import jsonwebtoken from '../../packages/core/src/adapters/jsonwebtoken.ts'
import { type Algorithm, type Config, type FirstKeyConfig, type Keyturn, open } from '../../packages/core/src/index.ts'
import { useDatabase } from '../harness/postgres.ts'
import { foreignToken, tokens } from '../harness/signing.ts'

const database = useDatabase()
const opened: Keyturn[] = []
let names = 0
const newName = () => `first-${++names}`
afterEach(async () => {
  for (const keyturn of opened.splice(0)) await keyturn.close()
})

const configured = (name: string, sign: Algorithm, first?: Omit<FirstKeyConfig, 'key'>): Config => ({
  refreshMs: 1_000,
  keyrings: {
    [name]: { root: { env: 'ROOT' }, sign, tokens, ...(first === undefined ? {} : { first: { key: { env: 'JWT_KEY' }, ...first } }) },
  },
  fields: {},
})
const opening = async (config: Config, key?: string) => {
  const env = { ROOT: '5e'.repeat(32), ...(key === undefined ? {} : { JWT_KEY: key }) }
  const keyturn = await open(config, { pool: database.pool, env, warn: () => {} })
  opened.push(keyturn)
  return keyturn
}
const code = (of: Promise<unknown>) =>
  of.then(
    () => 'nothing',
    (error: { code?: string }) => error.code,
  )

const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
const ed = generateKeyPairSync('ed25519').privateKey
const pem = (key: KeyObject, type: 'pkcs8' | 'sec1' | 'pkcs1' = 'pkcs8') => String(key.export({ format: 'pem', type: type as 'pkcs8' }))
const jwk = (key: KeyObject, more: object = {}) => JSON.stringify({ ...key.export({ format: 'jwk' }), ...more })

/** As the application has signed so far, with a library and a key of its own. */
const signedBefore = (alg: Algorithm, key: KeyObject, kid?: string) =>
  new SignJWT({ sub: 'ada' })
    .setProtectedHeader({ alg, ...(kid === undefined ? {} : { kid }) })
    .setExpirationTime('1h')
    .sign(key)

describe('a key that the application has already', () => {
  test.each([
    ['ES256', ec, pem(ec)],
    ['ES256', ec, pem(ec, 'sec1')],
    ['ES256', ec, pem(ec).replaceAll('\n', '\\n')],
    ['ES256', ec, jwk(ec, { kid: 'x', alg: 'ES256', use: 'sig' })],
    ['RS256', rsa, `\n${pem(rsa)}\n`],
    ['RS256', rsa, pem(rsa, 'pkcs1').replaceAll('\n', '\r\n')],
    ['PS256', rsa, jwk(rsa)],
    ['EdDSA', ed, pem(ed)],
    ['EdDSA', ed, jwk(ed)],
  ] as const)('%s: it is version 1, and what it has signed is valid, with the kid it had and without one.', async (sign, key, text) => {
    const name = newName()
    const signing = (await opening(configured(name, sign, { kid: '2024-01' }), text)).signing(name)
    for (const kid of ['2024-01', undefined, 'another'])
      expect((await signing.verify(await signedBefore(sign, key, kid))).claims.sub).toBe('ada')
    // Who verifies by the document knows the key by the name that it had.
    const token = await signing.sign({ sub: 'bob' })
    const [published] = (await signing.jwks()).keys
    expect(published?.kid).toBe('2024-01')
    const { protectedHeader } = await jwtVerify(token, createPublicKey({ key: { ...published }, format: 'jwk' }))
    expect(protectedHeader.kid).toBe('2024-01')
    expect(await signing.verify(token)).toMatchObject({ kid: '2024-01', claims: { sub: 'bob' } })
  })

  test('a secret of HMAC is one, too: an application goes from the environment to a stored keyring, and nobody is logged out.', async () => {
    const secret = randomBytes(32).toString('base64')
    const name = newName()
    const environment = { keyrings: { jwt: { primary: { env: 'JWT_KEY' }, sign: 'HS256', tokens } }, fields: {} } as const
    const before = (await opening(environment, secret)).signing('jwt')
    const after = (await opening(configured(name, 'HS256', {}), secret)).signing(name)
    for (const token of [await before.sign({ sub: 'ada' }), foreignToken(secret), foreignToken(secret, { kid: 'old' })]) {
      expect((await after.verify(token)).claims.sub).toBe('ada')
      const { verifies } = jsonwebtoken(after)
      await new Promise((resolve, reject) =>
        jwt.verify(token, verifies as jwt.GetPublicKeyOrSecret, (error, claims) => (error === null ? resolve(claims) : reject(error))),
      )
    }
    // Roll-outs take a while: who has the environment still verifies what the stored keyring signs.
    await before.verify(await after.sign({ sub: 'ada' }))
    expect(await code(after.verify(foreignToken(randomBytes(32))))).toBe('ERR_TOKEN')
  })

  test('it ends like any other: once it is retired no token of it is valid, whatever names it, and the next key has a name of its own.', async () => {
    const name = newName()
    const keyturn = await opening(configured(name, 'ES256', { kid: '2024-01' }), pem(ec))
    const signing = keyturn.signing(name)
    const old = [await signing.sign({}), await signedBefore('ES256', ec, '2024-01'), await signedBefore('ES256', ec)]
    const { version, before } = await signing.rotate({ now: true })
    for (const token of old) await signing.verify(token)
    const fresh = await signing.sign({})
    expect((await signing.verify(fresh)).kid).toBe(version)
    // Counted under its version, as every other.
    expect(await signing.retire({ now: true })).toMatchObject([{ version: before, ended: [{ kind: 'JWT', count: 1 }] }])
    for (const token of old) expect(await code(signing.verify(token))).toBe('ERR_TOKEN')
    expect(await signing.keyFor('2024-01')).toBe(null)
    await signing.verify(fresh)
    // A token without a name is tried under the first key and no other.
    const { key } = await signing.signingKey()
    expect(await code(signing.verify(await signedBefore('ES256', key)))).toBe('ERR_TOKEN')
    await keyturn.destroy(name, before as string)
    expect(await code(signing.verify(old[0] as string))).toBe('ERR_TOKEN')
  })

  test('it is read once: later starts need it no more, and one with another key stops.', async () => {
    const name = newName()
    const config = configured(name, 'ES256', { kid: '2024-01' })
    const missing = opening(config)
    await expect(missing).rejects.toMatchObject({ code: 'ERR_ENV_MISSING', message: expect.stringContaining('JWT_KEY') })
    const together = await Promise.all([opening(config, pem(ec)), opening(config, jwk(ec))])
    for (const keyturn of [...together, await opening(config)]) await keyturn.signing(name).verify(await signedBefore('ES256', ec))
    await expect(opening(config, pem(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey))).rejects.toMatchObject({
      code: 'ERR_CONFIG',
      message: expect.stringContaining('another first key'),
    })
    // Another algorithm for new keys is no other first key.
    const later = configured(name, 'EdDSA', { kid: '2024-01' })
    await (await opening(later, pem(ec))).signing(name).verify(await signedBefore('ES256', ec))
    await expect(opening(configured(name, 'ES256'))).resolves.toBeDefined()
  })

  test.each([
    ['a public key', 'ES256', String(createPublicKey(ec).export({ format: 'pem', type: 'spki' }))],
    ['a public JWK', 'ES256', JSON.stringify(createPublicKey(ec).export({ format: 'jwk' }))],
    ['a key of another curve', 'ES384', pem(ec)],
    ['a key of another kind', 'EdDSA', pem(rsa)],
    ['a JWK for another algorithm', 'PS256', jwk(rsa, { alg: 'RS256' })],
    [
      'a JWK whose halves do not belong together',
      'ES256',
      jwk(ec, generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })),
    ],
    ['RSA of 1024 bits', 'RS256', pem(generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey)],
    ['a key with a passphrase', 'ES256', String(ec.export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'x' }))],
    ['a secret that is too short', 'HS256', 'x1'.repeat(15)],
    ['a list', 'ES256', '[]'],
    ['text', 'RS256', 'correct horse battery staple'],
  ] as const)('%s is refused, nothing is made, and the text is not printed.', async (_, sign, text) => {
    const name = newName()
    const failed = opening(configured(name, sign, {}), text)
    expect(await code(failed)).toBe('ERR_KEY_FORMAT')
    const message = await failed.catch(String)
    expect(message).toContain('JWT_KEY')
    for (const line of text.split('\n').filter((line) => line.length > 20)) expect(message).not.toContain(line)
    const { rows } = await database.pool.query('SELECT FROM keyturn.keyring WHERE name = $1', [name])
    expect(rows).toEqual([])
  })

  test('what cannot be is refused in the configuration.', async () => {
    const first = { key: { env: 'JWT_KEY' } }
    const encrypts = { keyrings: { app: { root: { env: 'ROOT' }, first } }, fields: {} }
    await expect(opening(encrypts as never)).rejects.toThrow(/keyrings.app.first: it belongs to keys that sign/)
    const rule = configured(newName(), 'ES256', { keyRule: 'hex' })
    await expect(opening(rule, pem(ec))).rejects.toThrow(/first.keyRule: a key for ES256 is read from PEM or a JWK/)
    const ruled = configured(newName(), 'HS256', { keyRule: 'hex' })
    const secret = randomBytes(32)
    await (await opening(ruled, secret.toString('hex'))).signing(`first-${names}`).verify(foreignToken(secret))
  })

  test('a signature of another key under its name is none.', async () => {
    const name = newName()
    const signing = (await opening(configured(name, 'ES256', { kid: '2024-01' }), pem(ec))).signing(name)
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
    for (const kid of ['2024-01', undefined]) expect(await code(signing.verify(await signedBefore('ES256', other, kid)))).toBe('ERR_TOKEN')
    const signed = (await signedBefore('ES256', ec, '2024-01')).split('.').slice(0, 2).join('.')
    const der = signBytes('sha256', Buffer.from(signed), ec).toString('base64url')
    expect(await code(signing.verify(`${signed}.${der}`))).toBe('ERR_TOKEN')
    expect(await code(signing.verify(foreignToken(String(createPublicKey(ec).export({ format: 'pem', type: 'spki' })))))).toBe('ERR_TOKEN')
  })
})
