import { createHmac, createPublicKey } from 'node:crypto'
import plugin, { type FastifyJWTOptions } from '@fastify/jwt'
import fastify, { type FastifyInstance } from 'fastify'
import { Pool } from 'pg'
import { afterEach, expect, test } from 'vitest'
import { useDatabase } from '../../../../test/harness/postgres.ts'
import { startProxy } from '../../../../test/harness/proxy.ts'
import { foreignToken, tokens, useSigningKeyrings } from '../../../../test/harness/signing.ts'
import { open, type SigningKeyring } from '../index.ts'
import { algorithms } from '../signing/algorithm.ts'
import fastifyJwt from './fastify-jwt.ts'

const { ring, byEnvironment } = useSigningKeyrings(algorithms)
const database = useDatabase()
const apps: FastifyInstance[] = []
afterEach(async () => {
  for (const app of apps.splice(0)) await app.close()
})

async function server(signing: SigningKeyring) {
  const app = fastify()
  apps.push(app)
  const keys = fastifyJwt(signing)
  await app.register(plugin, keys.options as unknown as FastifyJWTOptions)
  app.post('/login', async (_, reply) => await reply.jwtSign({ sub: 'ada' }, { sign: await keys.signs() }))
  app.post('/without-id', async (_, reply) => await reply.jwtSign({ sub: 'ada' }))
  app.post('/with-options', async (_, reply) => await reply.jwtSign({ sub: 'ada' }, { sign: { expiresIn: '1h' } }))
  app.get('/me', async (request) => await request.jwtVerify())
  const me = async (token: string) => await app.inject({ url: '/me', headers: { authorization: `Bearer ${token}` } })
  const login = async () => (await app.inject({ method: 'POST', url: '/login' })).body
  return { app, me, login }
}

test.each(algorithms)(
  '%s: what the plugin signs the keyring verifies, and the other way round; a rotation changes the key.',
  async (algorithm) => {
    const signing = ring(algorithm)
    const { me, login } = await server(signing)
    const before = await login()
    const { claims } = await signing.verify(before)
    expect(Number(claims.exp) - Number(claims.iat)).toBe(3_600)
    expect((await me(await signing.sign({ sub: 'bob' }))).statusCode).toBe(200)
    await signing.rotate({ now: true })
    const after = await login()
    for (const token of [before, after]) expect((await me(token)).statusCode).toBe(200)
    await signing.retire({ now: true })
    expect([(await me(after)).statusCode, (await me(before)).statusCode]).toEqual([200, 401])
  },
)

test('a public key is not taken for a secret, a key that is not known is none, and no token is signed without the id of its key.', async () => {
  const signing = ring('RS256')
  const { app, me } = await server(signing)
  const { kid, key } = await signing.signingKey()
  const secret = createPublicKey(key).export({ format: 'pem', type: 'spki' })
  for (const header of [
    { alg: 'HS256', kid },
    { alg: 'none', kid },
    { alg: 'RS256', kid: 'aaaaaaaa' },
  ]) {
    const signed = [header, { sub: 'ada', exp: 99_999_999_999 }]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.')
    const { statusCode, body } = await me(`${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`)
    expect([header, statusCode, body.includes('ada')]).toEqual([header, 401, false])
  }
  for (const url of ['/without-id', '/with-options'])
    expect((await app.inject({ method: 'POST', url })).statusCode).toBeGreaterThanOrEqual(400)
})

test('tokens that an application signed before, without a kid of ours, are valid under each secret of the environment, and under no other.', async () => {
  const [old, next] = ['o'.repeat(31).concat('1'), 'n'.repeat(31).concat('2')]
  for (const [secret, previous] of [
    [old, ''],
    [old, next],
    [next, old],
  ] as const) {
    const { me } = await server(await byEnvironment(secret, previous))
    for (const header of [{}, { kid: '2024-01' }]) {
      for (const by of [secret, previous].filter((text) => text !== '')) expect((await me(foreignToken(by, header))).statusCode).toBe(200)
      expect((await me(foreignToken('x'.repeat(31).concat('3'), header))).statusCode).toBe(401)
    }
  }
})

test('without a request it is the same: for sockets, jobs and tests.', async () => {
  const { app, login } = await server(ring('ES256'))
  const token = await login()
  expect(await app.jwt.verify(token)).toMatchObject({ sub: 'ada' })
  const [head, payload] = token.split('.')
  for (const bad of [`${head}.${payload}.${Buffer.alloc(64, 7).toString('base64url')}`, foreignToken('x'.repeat(32))])
    await expect((async () => await app.jwt.verify(bad))()).rejects.toThrow()
})

test('while the keys cannot be loaded nothing is said of a token: 503, and not that it is refused.', async () => {
  const address = new URL(database.url)
  const proxy = await startProxy({ host: address.hostname, port: Number(address.port || 5432) })
  address.host = `127.0.0.1:${proxy.port}`
  const pool = new Pool({ connectionString: address.href, max: 1 })
  pool.on('error', () => {})
  const times = { ...tokens, offline: '1s' }
  const config = {
    refreshMs: 100,
    schema: 'severed',
    keyrings: { jwt: { root: { env: 'ROOT' }, sign: 'HS256', tokens: times } },
    fields: {},
  } as const
  const keyturn = await open(config, { pool, env: { ROOT: '5e'.repeat(32) } })
  try {
    const { me, login } = await server(keyturn.signing('jwt'))
    const token = await login()
    expect((await me(token)).statusCode).toBe(200)
    await proxy.close()
    await expect.poll(async () => (await me(token)).statusCode).toBe(503)
  } finally {
    await keyturn.close()
    await pool.end()
  }
})

test('tokens of a key of another algorithm stay valid when the configuration changes to a pair, and so do those of the pair before it does.', async () => {
  const config = (sign: 'HS256' | 'ES256') => ({ refreshMs: 1_000, keyrings: { jwt: { root: { env: 'ROOT' }, sign, tokens } }, fields: {} })
  const env = { ROOT: '5e'.repeat(32) }
  const [before, after] = [
    await open(config('HS256'), { pool: database.pool, env }),
    await open(config('ES256'), { pool: database.pool, env }),
  ]
  try {
    const [shared, pair] = [await server(before.signing('jwt')), await server(after.signing('jwt'))]
    const old = await shared.login()
    expect((await pair.me(old)).statusCode).toBe(200)
    await after.signing('jwt').rotate({ now: true })
    const fresh = await pair.login()
    expect(JSON.parse(Buffer.from(fresh.split('.')[0] ?? '', 'base64url').toString()).alg).toBe('ES256')
    expect((await pair.me(old)).statusCode).toBe(200)
    await expect.poll(async () => (await shared.me(fresh)).statusCode).toBe(200)
  } finally {
    await before.close()
    await after.close()
  }
})
