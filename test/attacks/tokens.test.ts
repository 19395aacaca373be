import { createHmac, createPrivateKey, createPublicKey, createSecretKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Algorithm, type Keyturn, open, type SigningKeyring } from '../../packages/core/src/index.ts'
import { algorithms, schemeOf } from '../../packages/core/src/signing/algorithm.ts'
import { useDatabase } from '../harness/postgres.ts'

const database = useDatabase()
const root = '5e'.repeat(32)
const keyrings = Object.fromEntries(
  algorithms.map((sign) => [sign, { root: { env: 'ROOT' }, sign, tokens: { lifetime: '1h', skew: '1m' } }]),
)
let keyturn: Keyturn
const ring = (algorithm: Algorithm): SigningKeyring => keyturn.signing(algorithm)

beforeAll(async () => {
  keyturn = await open({ keyrings, fields: {} }, { pool: database.pool, env: { ROOT: root } })
})
afterAll(() => keyturn.close())

const base64url = (value: unknown) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
const now = () => Math.floor(Date.now() / 1000)

/** A token of these texts, signed as told with the key that the keyring signs with. */
async function forged(algorithm: Algorithm, header: object | string, claims: object | string, by: Algorithm = algorithm): Promise<string> {
  const { key } = await ring(algorithm).signingKey()
  const signed = `${base64url(header)}.${base64url(claims)}`
  return `${signed}.${schemeOf(by).sign(Buffer.from(signed), key).toString('base64url')}`
}
const headerOf = async (algorithm: Algorithm, more: object = {}) => ({
  alg: algorithm,
  typ: 'JWT',
  kid: (await ring(algorithm).signingKey()).kid,
  ...more,
})
const good = () => ({ sub: 'ada', iat: now(), exp: now() + 60 })

/** Whatever is wrong with a token: this and no more. */
async function refuses(algorithm: Algorithm, token: unknown, options = {}): Promise<void> {
  const error: unknown = await ring(algorithm)
    .verify(token as string, options)
    .catch((error: unknown) => error)
  expect(error).toMatchObject({ code: 'ERR_TOKEN', message: 'the token is not valid', name: 'DecryptError' })
  expect((error as Error).cause).toBe(undefined)
}

describe.each(algorithms)('%s', (algorithm) => {
  test('a token that the keyring signs, and one that these tests make in the same way, is valid.', async () => {
    const token = await ring(algorithm).sign({ sub: 'ada' })
    expect((await ring(algorithm).verify(token)).claims).toMatchObject({ sub: 'ada' })
    expect(await ring(algorithm).verify(await forged(algorithm, await headerOf(algorithm), good()))).toMatchObject({
      claims: { sub: 'ada' },
    })
  })

  test('no other algorithm is taken, whatever the header says.', async () => {
    const header = await headerOf(algorithm)
    const [head, payload] = (await ring(algorithm).sign({ sub: 'ada' })).split('.')
    for (const alg of ['none', 'None', 'NONE', '', 'HS256 ', 'hs256', ...algorithms].filter((other) => other !== algorithm)) {
      await refuses(algorithm, `${base64url({ ...header, alg })}.${payload}.`)
      await refuses(algorithm, await forged(algorithm, { ...header, alg }, good()))
      const bare = `${base64url({ ...header, alg })}.${payload}`
      await refuses(algorithm, `${bare}.${createHmac('sha256', '').update(bare).digest('base64url')}`)
    }
    await refuses(algorithm, `${head}.${payload}.`)
  })

  test('a public key in any of its forms is no secret of HMAC.', async () => {
    const [published] = (await ring(algorithm).jwks()).keys
    if (published === undefined) return expect(algorithm).toMatch(/^HS/)
    const key = createPublicKey({ key: { ...published }, format: 'jwk' })
    const forms = [
      key.export({ type: 'spki', format: 'pem' }),
      key.export({ type: 'spki', format: 'der' }),
      JSON.stringify(published),
      published.x ?? published.n ?? '',
      String(key.export({ type: 'spki', format: 'pem' })).trim(),
    ]
    for (const alg of ['HS256', 'HS384', 'HS512'] as const) {
      for (const secret of forms) {
        const signed = `${base64url(await headerOf(algorithm, { alg }))}.${base64url(good())}`
        const hash = `sha${alg.slice(2)}`
        await refuses(algorithm, `${signed}.${createHmac(hash, secret).update(signed).digest('base64url')}`)
      }
    }
  })

  test('each damaged character of a signature is seen, and a signature of zeros.', async () => {
    const token = await ring(algorithm).sign({ sub: 'ada' })
    const [head, payload, signature = ''] = token.split('.')
    for (const at of [0, Math.floor(signature.length / 2), signature.length - 1]) {
      const other = signature[at] === 'A' ? 'B' : 'A'
      await refuses(algorithm, `${head}.${payload}.${signature.slice(0, at)}${other}${signature.slice(at + 1)}`)
    }
    await refuses(algorithm, `${head}.${payload}.${Buffer.alloc(Buffer.from(signature, 'base64url').length).toString('base64url')}`)
    await refuses(algorithm, `${head}.${payload}.${signature}AAAA`)
    await refuses(algorithm, `${head}.${payload}.${signature}=`)
  })
})

test('a kid that is made up, or is no text, finds no key, and what it says is kept nowhere.', async () => {
  const kids = ['aaaaaaaa', '../../etc/passwd', "' OR 1=1 --", '__proto__', 'constructor', '', 'x'.repeat(10_000), 7, null, ['a'], {}]
  for (const kid of kids) await refuses('ES256', await forged('ES256', { alg: 'ES256', kid }, good()))
  const { kid: other } = await ring('ES384').signingKey()
  await refuses('ES256', await forged('ES256', { alg: 'ES256', kid: other }, good()))
  const { rows } = await database.pool.query("SELECT version_id FROM keyturn.token_count WHERE what = 'unknown-key'")
  for (const { version_id } of rows) expect(version_id).toBe('')
})

test('a key that the token brings itself is not taken.', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwk = publicKey.export({ format: 'jwk' })
  for (const more of [{ jwk }, { jku: 'https://attacker.example/jwks' }, { x5u: 'https://attacker.example' }, { x5c: ['MIIB'] }]) {
    for (const kid of [undefined, 'aaaaaaaa', (await ring('ES256').signingKey()).kid]) {
      const signed = `${base64url({ alg: 'ES256', kid, ...more })}.${base64url(good())}`
      const signature = sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' })
      await refuses('ES256', `${signed}.${signature.toString('base64url')}`)
    }
  }
})

test('a header that asks for what is not understood is refused, and so is a payload that is not encoded.', async () => {
  const more = [{ crit: ['exp'], exp: 1 }, { crit: [] }, { crit: ['b64'], b64: false }, { b64: false }, { b64: true }, { crit: null }]
  for (const each of more) await refuses('EdDSA', await forged('EdDSA', await headerOf('EdDSA', each), good()))
})

test('a member that stands twice is refused, in header and claims, at any depth, however it is spelt.', async () => {
  const { kid } = await ring('HS256').signingKey()
  const header = `{"alg":"HS256","kid":"${kid}"}`
  const claims = `"exp":${now() + 60}`
  for (const twice of [
    `{"alg":"none","alg":"HS256","kid":"${kid}"}`,
    `{"alg":"HS256","kid":"aaaaaaaa","kid":"${kid}"}`,
    `{"alg":"HS256","\\u0061lg":"HS256","kid":"${kid}"}`,
  ])
    await refuses('HS256', await forged('HS256', twice, `{${claims}}`))
  for (const twice of [
    `{"sub":"ada","sub":"root",${claims}}`,
    `{"exp":1,${claims}}`,
    `{"a":{"b":1,"b":2},${claims}}`,
    `{"a":[{"b":1,"\\u0062":2}],${claims}}`,
  ])
    await refuses('HS256', await forged('HS256', header, twice))
  const apart = `{"a":{"b":1},"b":["b","b",{"b":"\\"b\\":1"}],${claims}}`
  await ring('HS256').verify(await forged('HS256', header, apart))
})

test('what is no token is refused: text, other types, damaged base64url, JSON that is none, bytes that are no UTF-8.', async () => {
  const { kid } = await ring('HS256').signingKey()
  const header = base64url({ alg: 'HS256', kid })
  for (const token of [
    '',
    '.',
    '..',
    '...',
    'a.b',
    'a.b.c.d',
    ' ',
    'null',
    undefined,
    null,
    7,
    {},
    [],
    Symbol('x'),
    () => {},
    'ä.ö.ü',
    '\0.\0.\0',
  ])
    await refuses('HS256', token)
  for (const text of ['null', '[]', '7', '"x"', '{', '{"exp":1}{', '\ufeff{}', '']) {
    await refuses('HS256', await forged('HS256', { alg: 'HS256', kid }, text))
    await refuses('HS256', await forged('HS256', text, good()))
  }
  const { key } = await ring('HS256').signingKey()
  const seal = (signed: string) => `${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`
  const bytes = Buffer.concat([Buffer.from(`{"exp":${now() + 60},"sub":"`), Buffer.from([0xff, 0xfe]), Buffer.from('"}')])
  await refuses('HS256', seal(`${header}.${bytes.toString('base64url')}`))
  const payload = base64url(good())
  for (const text of [`${payload}=`, `${payload} `, ` ${payload}`, `${payload}\n`, payload.replace(/^./, '+')])
    await refuses('HS256', seal(`${header}.${text}`))
  // The same bytes in another spelling: the last character has bits that mean nothing.
  const odd = Buffer.from('{"exp":99999999999}').toString('base64url')
  const last = odd.at(-1) as string
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const twin = odd.slice(0, -1) + alphabet[alphabet.indexOf(last) + 1]
  expect(Buffer.from(twin, 'base64url').equals(Buffer.from(odd, 'base64url'))).toBe(true)
  await ring('HS256').verify(seal(`${header}.${odd}`))
  await refuses('HS256', seal(`${header}.${twin}`))
})

test('a token that is too long is not looked at, and deep nesting ends nothing.', async () => {
  const header = await headerOf('HS256')
  await ring('HS256').verify(await forged('HS256', header, { ...good(), pad: 'x'.repeat(10_000) }))
  await refuses('HS256', await forged('HS256', header, { ...good(), pad: 'x'.repeat(20_000) }))
  await refuses('HS256', 'a'.repeat(50_000_000))
  const deep = `{"exp":${now() + 60},"a":${'['.repeat(5_000)}${']'.repeat(5_000)}}`
  const answer = await ring('HS256')
    .verify(await forged('HS256', header, deep))
    .catch((error: { code: string }) => error.code)
  expect(answer === 'ERR_TOKEN' || typeof answer === 'object').toBe(true)
})

test('nothing is signed that is too long to be verified.', async () => {
  const pad = (characters: number) => ({ pad: 'x'.repeat(characters) })
  for (const algorithm of ['HS256', 'RS256'] as const) {
    await ring(algorithm).verify(await ring(algorithm).sign(pad(11_000)))
    const error: unknown = await ring(algorithm)
      .sign(pad(12_500))
      .catch((error: unknown) => error)
    expect(error).toMatchObject({ code: 'ERR_USAGE', message: expect.stringContaining('16384 characters') })
  }
})

test('times are kept, within the skew and not beyond it, and a token without an end is none.', async () => {
  const header = await headerOf('HS256')
  const valid = (claims: object) => forged('HS256', header, claims).then((token) => ring('HS256').verify(token))
  // The skew is a minute: what lies 30 s from it on either side does not depend on how slow this machine is.
  await valid({ exp: now() - 30 })
  await refuses('HS256', await forged('HS256', header, { exp: now() - 90 }))
  await valid({ exp: now() + 600, nbf: now() + 30 })
  await refuses('HS256', await forged('HS256', header, { exp: now() + 600, nbf: now() + 90 }))
  for (const exp of [undefined, null, '99999999999', true, -1, 0, [], {}]) await refuses('HS256', await forged('HS256', header, { exp }))
  await refuses('HS256', await forged('HS256', header, '{"exp":1e999}'))
  for (const nbf of [null, '0', true]) await refuses('HS256', await forged('HS256', header, { ...good(), nbf }))
})

test('issuer, audience and type are asked for and are exact.', async () => {
  const token = await ring('HS256').sign({ iss: 'https://a', aud: ['x', 'y'] }, { type: 'at+jwt' })
  await ring('HS256').verify(token, { issuer: 'https://a', audience: 'y', type: 'application/AT+jwt' })
  for (const options of [{ issuer: 'https://A' }, { issuer: '' }, { audience: 'z' }, { audience: '' }, { type: 'JWT' }])
    await refuses('HS256', token, options)
  const bare = await ring('HS256').sign({})
  for (const options of [{ issuer: 'undefined' }, { audience: 'undefined' }, { type: 'at+jwt' }]) await refuses('HS256', bare, options)
})

test('a key of another curve, an RSA key below 2048 bits and a short secret are no keys of their algorithms.', () => {
  const pair = (type: 'ec' | 'rsa' | 'ed448', options: object): KeyObject =>
    (generateKeyPairSync as (type: string, options: object) => { privateKey: KeyObject })(type, options).privateKey
  expect(schemeOf('ES256').fits(pair('ec', { namedCurve: 'secp256k1' }))).toBe(false)
  expect(schemeOf('ES256').fits(pair('ec', { namedCurve: 'P-384' }))).toBe(false)
  expect(schemeOf('ES384').fits(pair('ec', { namedCurve: 'P-256' }))).toBe(false)
  expect(schemeOf('RS256').fits(pair('rsa', { modulusLength: 1024 }))).toBe(false)
  expect(schemeOf('PS256').fits(pair('rsa', { modulusLength: 2040 }))).toBe(false)
  expect(schemeOf('EdDSA').fits(pair('ed448', {}))).toBe(false)
  expect(schemeOf('EdDSA').fits(pair('ec', { namedCurve: 'P-256' }))).toBe(false)
  for (const [algorithm, bytes] of [
    ['HS256', 32],
    ['HS384', 48],
    ['HS512', 64],
  ] as const) {
    expect(schemeOf(algorithm).fits(createSecretKey(Buffer.alloc(bytes - 1, 7)))).toBe(false)
    expect(schemeOf(algorithm).fits(createSecretKey(Buffer.alloc(bytes, 7)))).toBe(true)
  }
})

test('a JWKS document holds the public members of its keys and nothing else.', async () => {
  for (const algorithm of algorithms) {
    const { keys } = await ring(algorithm).jwks()
    if (algorithm.startsWith('HS')) expect(keys).toEqual([])
    for (const jwk of keys) {
      expect(Object.keys(jwk).sort()).toEqual(
        {
          RS: ['alg', 'e', 'kid', 'kty', 'n', 'use'],
          PS: ['alg', 'e', 'kid', 'kty', 'n', 'use'],
          ES: ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'],
          Ed: ['alg', 'crv', 'kid', 'kty', 'use', 'x'],
        }[algorithm.slice(0, 2)],
      )
      expect(() => createPrivateKey({ key: { ...jwk }, format: 'jwk' })).toThrow()
    }
  }
})
