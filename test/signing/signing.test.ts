import { createPublicKey, randomBytes, verify } from 'node:crypto'
import { afterEach, describe, expect, test } from 'vitest'
import { type Config, type Keyturn, type OpenOptions, open, type TokenEvent } from '../../packages/core/src/index.ts'
import { useDatabase } from '../harness/postgres.ts'

const database = useDatabase()
const env = { ROOT: '5e'.repeat(32), NEW_ROOT: '6f'.repeat(32) }
const tokens = { lifetime: '1h', skew: '1s', jwksCache: '1s', offline: '2s' } as const
const keyturns: Keyturn[] = []
let names = 0
const newName = () => `ring-${++names}`
const opened = async (config: Config, options: Partial<OpenOptions> = {}): Promise<Keyturn> => {
  const keyturn = await open(config, { pool: database.pool, env, warn: () => {}, ...options })
  keyturns.push(keyturn)
  return keyturn
}
const stored = (name: string, more: object = {}): Config => ({
  refreshMs: 1_000,
  keyrings: { [name]: { root: { env: 'ROOT' }, sign: 'ES256', tokens, ...more } },
  fields: {},
})
afterEach(async () => {
  for (const keyturn of keyturns.splice(0)) await keyturn.close()
})
const statusOf = async (keyturn: Keyturn, name: string) => {
  const [found] = (await keyturn.status(name)).keyrings
  if (found === undefined) throw new Error('there is no such keyring')
  return found
}
const code = (of: Promise<unknown>) =>
  of.then(
    () => 'nothing',
    (error: { code?: string }) => error.code,
  )

describe('the states of a signing key', () => {
  test('pending is published and verifies, active signs, retiring verifies, retired is refused.', async () => {
    const name = newName()
    const keyturn = await opened(stored(name))
    const signing = keyturn.signing(name)
    const first = await signing.sign({ sub: 'ada' })
    const stop = new AbortController()
    const waiting = await signing.rotate({ signal: stop.signal, onWait: () => stop.abort() })
    expect(waiting).toMatchObject({ state: 'waiting', before: null, graceEndsAt: null })
    expect((await signing.jwks()).keys.map(({ kid }) => kid)).toContain(waiting.version)
    const { kid } = await signing.verify(await signing.sign({}))
    expect((await signing.verify(first)).kid).toBe(kid)
    expect(await signing.keyFor(waiting.version)).toMatchObject({ kid: waiting.version, algorithm: 'ES256' })

    expect(await signing.rotate()).toMatchObject({ state: 'active', version: waiting.version, before: kid })
    const second = await signing.sign({ sub: 'ada' })
    expect((await signing.verify(second)).kid).toBe(waiting.version)
    expect((await signing.verify(first)).kid).toBe(kid)

    expect(await code(signing.retire())).toBe('ERR_GRACE')
    await expect(signing.retire()).rejects.toThrow(/at most 2 of kind JWT/)
    expect(await signing.retire({ now: true })).toMatchObject([{ version: kid, ended: [{ kind: 'JWT', count: 2 }] }])
    expect(await code(signing.verify(first))).toBe('ERR_TOKEN')
    expect(await signing.keyFor(kid)).toBe(null)
    expect((await signing.jwks()).keys.map((key) => key.kid)).toEqual([waiting.version])
    expect((await signing.verificationKeys()).map((key) => key.kid)).toEqual([waiting.version])
    await signing.verify(second)
    expect(await code(signing.retire({ versions: [waiting.version], now: true }))).toBe('ERR_KEY_STATE')
  })

  test('a compromised key ends before its grace is over, is marked, and is refused also where it is taken back.', async () => {
    const name = newName()
    const keyturn = await opened(stored(name))
    const signing = keyturn.signing(name)
    const token = await signing.sign({})
    const { before } = await signing.rotate({ now: true })
    await signing.retire({ compromised: true })
    const find = async () => (await statusOf(keyturn, name)).versions.find(({ id }) => id === before)
    expect(await find()).toMatchObject({ state: 'retired', compromised: true })
    await keyturn.unretire(name, before as string)
    expect(await find()).toMatchObject({ state: 'retiring', compromised: true })
    expect(await code(signing.verify(token))).toBe('ERR_TOKEN')
  })

  test('a key that was retired too early is taken back, and one that ended is destroyed.', async () => {
    const name = newName()
    const keyturn = await opened(stored(name))
    const signing = keyturn.signing(name)
    const token = await signing.sign({})
    const { before } = await signing.rotate({ now: true })
    await signing.retire({ now: true })
    await keyturn.unretire(name, before as string)
    await signing.verify(token)
    await signing.retire({ now: true })
    await keyturn.destroy(name, before as string)
    expect(await code(signing.verify(token))).toBe('ERR_TOKEN')
    expect((await statusOf(keyturn, name)).versions.map(({ state }) => state)).toEqual(['destroyed', 'active'])
  })

  test('another algorithm comes with the next key, and a pending key of the older one goes unused.', async () => {
    const name = newName()
    const before = await opened(stored(name))
    const old = await before.signing(name).sign({})
    const stop = new AbortController()
    const { version: unused } = await before.signing(name).rotate({ signal: stop.signal, onWait: () => stop.abort() })
    const after = await opened(stored(name, { sign: 'EdDSA' }))
    const { version } = await after.signing(name).rotate({ now: true })
    expect(version).not.toBe(unused)
    const token = await after.signing(name).sign({})
    expect(JSON.parse(Buffer.from(token.split('.')[0] as string, 'base64url').toString())).toEqual({
      alg: 'EdDSA',
      typ: 'JWT',
      kid: version,
    })
    await after.signing(name).verify(old)
    // It was told to sign at once: who has not loaded it yet refuses its tokens until then.
    await expect.poll(() => code(before.signing(name).verify(token))).toBe('nothing')
  })

  test('every change is an event, and none holds a token or a key.', async () => {
    const name = newName()
    const keyturn = await opened(stored(name))
    await keyturn.signing(name).sign({})
    await keyturn.signing(name).rotate({ now: true })
    await code(keyturn.signing(name).retire())
    await keyturn.signing(name).retire({ compromised: true })
    const events = []
    for await (const event of keyturn.audit.events()) if (event.subject === `keyring/${name}`) events.push(event)
    expect(events.map(({ action }) => action)).toEqual([
      'keyring.create',
      'version.create',
      'version.activate',
      'action.fail',
      'version.retire',
    ])
    expect(events.at(-1)?.data).toMatchObject({ early: true, compromised: true, tokens: 1 })
  })
})

describe('times', () => {
  test('grace and the time until everybody knows are worked out from what the operator states.', async () => {
    const [with_, without, shared] = [newName(), newName(), newName()]
    const keyturn = await opened({
      refreshMs: 5_000,
      keyrings: {
        [with_]: { root: { env: 'ROOT' }, sign: 'ES256', tokens: { lifetime: '1h', skew: '2m', jwksCache: '10m', offline: '3m' } },
        [without]: { root: { env: 'ROOT' }, sign: 'RS256' },
        [shared]: { root: { env: 'ROOT' }, sign: 'HS256', tokens: { lifetime: '15m' } },
      },
      fields: {},
    })
    const minute = 60_000
    expect(keyturn.signing(with_).times).toMatchObject({ graceMs: 72 * minute + 10_000, everywhereMs: 13 * minute })
    // 24 hours where no lifetime is stated: the longest token is what is left of them.
    expect(keyturn.signing(without).times).toMatchObject({
      graceMs: 1440 * minute,
      lifetimeMs: 1419 * minute - 10_000,
      everywhereMs: 25 * minute,
    })
    expect(keyturn.signing(shared).times).toMatchObject({ graceMs: 16 * minute + 10_000, everywhereMs: 5 * minute })
    expect((await statusOf(keyturn, shared)).signing).toMatchObject({ algorithm: 'HS256', everywhereSeconds: 300, graceSeconds: 970 })
  })

  test('nothing is signed for longer than the lifetime that is stated, nor with times that are none.', async () => {
    const name = newName()
    const signing = (await opened(stored(name))).signing(name)
    const now = Math.floor(Date.now() / 1000)
    await expect(signing.sign({ exp: now + 4_000 })).rejects.toThrow('a token can be valid for 3600 s at most')
    expect(await code(signing.sign({}, { lifetimeSeconds: 3_601 }))).toBe('ERR_USAGE')
    for (const exp of [Number.NaN, '1', Number.POSITIVE_INFINITY]) expect(await code(signing.sign({ exp } as never))).toBe('ERR_USAGE')
    expect(await code(signing.sign({}, { type: 'a b' }))).toBe('ERR_USAGE')
    const { claims } = await signing.verify(await signing.sign({ sub: 'ada' }, { lifetimeSeconds: 60 }))
    expect(Number(claims.exp) - Number(claims.iat)).toBe(60)
  })
})

describe('the JWKS document', () => {
  test('it is served with what caches need, and not again to whoever has it.', async () => {
    const name = newName()
    const signing = (await opened(stored(name, { tokens: { ...tokens, jwksCache: '20m' } }))).signing(name)
    const { status, headers, body } = await signing.jwksResponse()
    expect({ status, headers }).toEqual({
      status: 200,
      headers: {
        'cache-control': 'public, max-age=600, must-revalidate',
        'content-type': 'application/jwk-set+json',
        etag: expect.stringMatching(/^"[\w-]{22}"$/),
      },
    })
    expect(JSON.parse(body)).toEqual(await signing.jwks())
    for (const ifNoneMatch of [headers.etag, `W/${headers.etag}`, `"x", ${headers.etag}`, '*'])
      expect(await signing.jwksResponse({ ifNoneMatch })).toMatchObject({ status: 304, body: '' })
    expect(await signing.jwksResponse({ ifNoneMatch: '"x"' })).toMatchObject({ status: 200, body })
    expect(await signing.jwksResponse({ method: 'HEAD' })).toMatchObject({ status: 200, body: '' })
    expect(await signing.jwksResponse({ method: 'POST' })).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } })
    await signing.rotate({ now: true })
    expect(await signing.jwksResponse({ ifNoneMatch: headers.etag })).toMatchObject({ status: 200 })
  })

  test('what it publishes checks what the keyring signs, with nothing of ours.', async () => {
    const name = newName()
    const signing = (await opened(stored(name, { sign: 'EdDSA' }))).signing(name)
    const token = await signing.sign({ sub: 'ada' })
    const [jwk] = (await signing.jwks()).keys
    const [head, payload, signature] = token.split('.') as [string, string, string]
    const key = createPublicKey({ key: { ...jwk }, format: 'jwk' })
    expect(verify(null, Buffer.from(`${head}.${payload}`), key, Buffer.from(signature, 'base64url'))).toBe(true)
  })
})

describe('counts', () => {
  test('tokens of retired and of unknown keys are counted, told, and shown; what is valid is counted by kind.', async () => {
    const name = newName()
    const events: TokenEvent[] = []
    const keyturn = await opened(stored(name), { onTokens: (event) => events.push(event) })
    const signing = keyturn.signing(name)
    const old = await signing.sign({})
    await signing.sign({}, { type: 'at+jwt' })
    const { before } = await signing.rotate({ now: true })
    await signing.signingKey()
    await signing.retire({ now: true })
    for (let n = 0; n < 3; n++) await code(signing.verify(old))
    const elsewhere = Buffer.from('{"alg":"ES256","kid":"aaaaaaaa"}').toString('base64url')
    await code(signing.verify(`${elsewhere}.e30.AAAA`))
    await code(signing.keyFor('made up'))
    const refused = async () =>
      (await statusOf(keyturn, name)).signing?.refused.map(({ reason, versionId, count }) => ({ reason, versionId, count }))
    const expected = [
      { reason: 'unknown-key', versionId: null, count: 2 },
      { reason: 'retired-key', versionId: before, count: 3 },
    ]
    await expect.poll(refused).toEqual(expected)
    const told = (reason: string) => events.filter((event) => event.reason === reason).reduce((sum, { count }) => sum + count, 0)
    expect([told('retired-key'), told('unknown-key')]).toEqual([3, 2])
    expect(events.every((event) => event.event === 'tokens-refused' && event.keyring === name)).toBe(true)
    expect((await statusOf(keyturn, name)).signing?.valid).toEqual(
      expect.arrayContaining([
        { versionId: before, kind: 'JWT', count: 1 },
        { versionId: before, kind: 'at+jwt', count: 1 },
        { versionId: expect.any(String), kind: 'other', count: 1 },
      ]),
    )
  })

  test('a listener that fails changes nothing.', async () => {
    const name = newName()
    let told = 0
    const onTokens = () => {
      told++
      throw new Error('not mine')
    }
    const signing = (await opened(stored(name), { onTokens })).signing(name)
    await code(signing.keyFor('made up'))
    await expect.poll(() => told).toBe(1)
    await signing.verify(await signing.sign({}))
  })
})

describe('secrets of the environment', () => {
  const config = (more: object = {}): Config => ({
    keyrings: {
      jwt: { primary: { env: 'JWT_SECRET' }, previous: [{ env: 'JWT_PREVIOUS_SIGNING_KEY' }], sign: 'HS256', tokens, ...more } as never,
    },
    fields: {},
  })
  const secret = randomBytes(24).toString('base64')

  test('the text itself is the secret, tokens without a kid are tried under each, and the new one verifies before it signs.', async () => {
    const next = randomBytes(24).toString('base64')
    const a = (await opened(config(), { env: { JWT_SECRET: secret, JWT_PREVIOUS_SIGNING_KEY: next } })).signing('jwt')
    const b = (await opened(config(), { env: { JWT_SECRET: next, JWT_PREVIOUS_SIGNING_KEY: secret } })).signing('jwt')
    const c = (await opened(config(), { env: { JWT_SECRET: next } })).signing('jwt')
    const [old, fresh] = [await a.sign({ sub: 'ada' }), await b.sign({ sub: 'ada' })]
    for (const signing of [a, b]) for (const token of [old, fresh]) await signing.verify(token)
    await c.verify(fresh)
    expect(await code(c.verify(old))).toBe('ERR_TOKEN')
    const { createHmac } = await import('node:crypto')
    const signed = `${Buffer.from('{"alg":"HS256"}').toString('base64url')}.${Buffer.from(`{"exp":${Math.floor(Date.now() / 1000) + 60}}`).toString('base64url')}`
    const bare = `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
    await a.verify(bare)
    await b.verify(bare)
    expect(await code(c.verify(bare))).toBe('ERR_TOKEN')
    expect((await a.jwks()).keys).toEqual([])
  })

  test.each([
    ['a secret shorter than the hash', {}, secret.slice(0, 31)],
    ['one that is too short once it is decoded', { keyRule: 'hex' }, '4f'.repeat(31)],
    ['a secret that holds a line break', {}, `${secret}\n${secret}`],
    ['one character, repeated', {}, 'x'.repeat(64)],
    ['one that is long enough for another hash', { sign: 'HS512' }, secret.padEnd(63, 'x')],
    ['no hexadecimal', { keyRule: 'hex' }, secret],
  ])('%s stops the start, and is not printed.', async (_, more, text) => {
    const failed = opened(config(more), { env: { JWT_SECRET: text } })
    expect(await code(failed)).toBe('ERR_KEY_FORMAT')
    const message = await failed.catch(String)
    expect(message).toContain('JWT_SECRET')
    expect(message).not.toContain(text)
    // Nor where it only verifies.
    expect(
      await code(opened(config(more), { env: { JWT_SECRET: `${randomBytes(64).toString('hex')}`, JWT_PREVIOUS_SIGNING_KEY: text } })),
    ).toBe('ERR_KEY_FORMAT')
  })

  test('they are rotated by the environment, and rotating them says how.', async () => {
    const keyturn = await opened(config(), { env: { JWT_SECRET: secret } })
    await expect(keyturn.signing('jwt').rotate()).rejects.toThrow(/\(A\).*\(B\).*\(C\)/)
    expect(await code(keyturn.signing('jwt').retire())).toBe('ERR_USAGE')
    expect((await statusOf(keyturn, 'jwt')).signing).toMatchObject({ everywhereSeconds: null, valid: [], refused: [] })
  })
})

describe('keyrings that sign and keyrings that encrypt', () => {
  test('what a keyring is for cannot change: neither opens as the other one.', async () => {
    const name = newName()
    await opened(stored(name))
    const encrypts: Config = { keyrings: { [name]: { root: { env: 'ROOT' } } }, fields: {} }
    await expect(opened(encrypts)).rejects.toThrow(/holds other keys than data keys/)
    const other = newName()
    await opened({ keyrings: { [other]: { root: { env: 'ROOT' } } }, fields: {} })
    await expect(opened(stored(other))).rejects.toThrow(/holds other keys than signing keys/)
  })

  test('fields, plans and rotations of values are refused for one that signs, and signing for one that encrypts.', async () => {
    const name = newName()
    const field = { fields: { 'a.b': { column: 'a.b', keyring: name } } }
    await expect(opened({ ...stored(name), ...field } as never)).rejects.toThrow(/fields.a.b.keyring: keyring ".*" signs tokens/)
    const keyturn = await opened({ ...stored(name), keyrings: { ...stored(name).keyrings, app: { root: { env: 'ROOT' } } }, fields: {} })
    for (const refused of [keyturn.plan(name), keyturn.rotate(name)]) expect(await code(refused)).toBe('ERR_USAGE')
    expect(() => keyturn.signing('app')).toThrow(/encrypts/)
    expect(() => keyturn.signing('ap')).toThrow(/app/)
  })

  test('its keys move to another root, and tokens do not notice.', async () => {
    const name = newName()
    const before = await opened(stored(name))
    const token = await before.signing(name).sign({})
    const both = await opened(stored(name, { root: [{ env: 'NEW_ROOT' }, { env: 'ROOT' }] }))
    const [old] = (await statusOf(before, name)).versions[0]?.roots ?? []
    expect(await both.rewrap(name, { drop: old as string })).toMatchObject({ dropped: 2 })
    const after = await opened(stored(name, { root: { env: 'NEW_ROOT' } }))
    await after.signing(name).verify(token)
    expect(await code(opened(stored(name)))).toBe('ERR_ROOT_KEY')
  })

  test('opened for looking, one that is there signs and one that is not is named; nothing is made.', async () => {
    const [name, absent] = [newName(), newName()]
    await opened(stored(name))
    const config = { ...stored(name), keyrings: { ...stored(name).keyrings, ...stored(absent).keyrings } }
    const looking = await opened(config, { readOnly: true })
    expect(() => looking.signing(absent)).toThrow(/does not exist yet/)
    expect((await statusOf(looking, absent)).versions).toEqual([])
    expect(await code(looking.signing(name).rotate())).toBe('ERR_USAGE')
  })
})
