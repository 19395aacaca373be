import { importJWK, type JWK, jwtVerify } from 'jose'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { gateConformance } from '../../../../test/conformance/secrets/gate.ts'
import { SecretsWorld } from '../../../../test/conformance/secrets/world.ts'
import { type Answer, type Asked as Came, credentialOf, type Double, startDouble } from '../../../../test/doubles/faults.ts'
import { callOf, worldOf } from '../../../../test/harness/parts.ts'
import { usePglite } from '../../../../test/harness/pglite.ts'
import { memory } from '../../../../test/secrets/parts/memory-store.ts'
import jwtKeyPair, { options as pairOptions } from '../rotators/jwt-key-pair.ts'
import jwtSecret, { options as secretOptions } from '../rotators/jwt-secret.ts'
import type { Credential } from '../secret/credential.ts'
import token, { options } from './token.ts'

const pglite = usePglite()

/** An application that verifies tokens with jose, by the keys that it was given. */
let application: Double
let accepts: readonly Credential[] = []
let verifies = true
let rules: object = {}
const seen: { readonly claims: Record<string, unknown>; readonly kid: string | undefined }[] = []
const came: Came[] = []

async function verified(text: string): Promise<boolean> {
  for (const { parts } of accepts) {
    const jwk = parts.publicJwk === undefined ? null : (JSON.parse(parts.publicJwk) as JWK)
    const key = jwk === null ? new TextEncoder().encode(parts.value) : await importJWK(jwk)
    const found = await jwtVerify(text, key, rules).catch(() => null)
    if (found === null) continue
    seen.push({ claims: found.payload, kid: found.protectedHeader.kid })
    return true
  }
  return false
}
beforeAll(async () => {
  const answer = async (asked: Came): Promise<Answer> => {
    came.push(asked)
    const sent = credentialOf(asked)
    return !verifies || (await verified(sent)) ? { status: 200, body: { ok: true } } : { status: 401, body: { error: sent } }
  }
  application = await startDouble([{ name: 'me', method: 'GET', path: /^\/me$/, answer }])
})
afterAll(() => application.stop())
beforeEach(() => {
  application.faults.clear()
  ;[accepts, verifies, rules] = [[], true, {}]
  seen.length = came.length = 0
})

const open = (more: object = {}) => token(options.parse({ url: `${application.origin}/me`, ...more }), worldOf({}))
const secretOf = (algorithm: string) => jwtSecret(secretOptions.parse({ algorithm })).propose!(callOf(), null)
const pairOf = (algorithm: string) => jwtKeyPair(pairOptions.parse({ algorithm })).propose!(callOf(), null)
const look = (gate: ReturnType<typeof token>, current: Credential, previous: Credential | null = null, both = true) =>
  gate.look(callOf(), { before: null, since: 0, current, previous, both })

test.each([
  ...['HS256', 'HS384', 'HS512'].map((algorithm) => [algorithm, () => secretOf(algorithm)] as const),
  ...['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA'].map((algorithm) => [algorithm, () => pairOf(algorithm)] as const),
])('by %s, an application that verifies tokens lets the new key and the old one in, and no other.', async (algorithm, make) => {
  const [current, previous] = [await make(), await make()]
  accepts = [current, previous]
  rules = { algorithms: [algorithm], audience: 'app', issuer: 'https://issuer.example', subject: 'canary', maxTokenAge: 60 }
  const gate = open({
    audience: 'app',
    issuer: 'https://issuer.example',
    subject: 'canary',
    claims: { scope: 'health' },
    ...(algorithm.startsWith('HS') && { algorithm }),
  })
  expect(await gate.check(callOf())).toEqual([])
  const verdict = await look(gate, current, previous)
  expect(verdict).toMatchObject({ works: true, sentence: expect.stringContaining('and of the old one, and refused one of a made-up key') })
  expect(seen.map(({ kid }) => kid)).toEqual([current.parts.kid, previous.parts.kid])
  const [{ claims }] = seen as [(typeof seen)[0]]
  expect([claims.scope, Number(claims.exp) - Number(claims.iat)]).toEqual(['health', 60])
  const sent = came.map((asked) => credentialOf(asked))
  expect([sent.length, new Set(sent).size, sent.filter((each) => JSON.stringify(verdict).includes(each))]).toEqual([4, 4, []])
})

test('an application that does not have the new key yet, or has forgotten the old one too early, is asked again.', async () => {
  const [current, previous] = [await secretOf('HS256'), await secretOf('HS256')]
  accepts = [previous]
  expect(await look(open(), current, previous)).toMatchObject({
    works: false,
    later: true,
    sentence: expect.stringContaining('key in use'),
  })
  accepts = [current]
  expect(await look(open(), current, previous)).toMatchObject({
    works: false,
    later: true,
    sentence: expect.stringContaining('to be accepted still'),
  })
  application.faults.next('me', { status: 500 })
  expect(await look(open(), current)).toMatchObject({ works: false, later: true })
})

test('once the old key is withdrawn, its tokens must be refused.', async () => {
  const [current, previous] = [await pairOf('ES256'), await pairOf('ES256')]
  accepts = [current, previous]
  expect(await look(open(), current, previous, false)).toMatchObject({
    works: false,
    later: true,
    sentence: expect.stringContaining('to be refused now'),
  })
  accepts = [current]
  expect(await look(open(), current, previous, false)).toMatchObject({ works: true })
})

test('an application that verifies nothing fails, at the plan and in a run: no new key was ever used.', async () => {
  verifies = false
  expect(await open().check(callOf())).toMatchObject([
    { severity: 'fault', sentence: expect.stringContaining('made-up key is not refused') },
  ])
  expect(await look(open(), await secretOf('HS256'))).toMatchObject({
    works: false,
    later: false,
    sentence: expect.stringContaining('nothing is proved'),
  })
})

test('an address that is not there, and a redirect, are no refusal of a token; and a token goes to no other host.', async () => {
  const gate = open({ url: `${application.origin}/nowhere` })
  expect(await gate.check(callOf())).toMatchObject([{ severity: 'fault' }])
  application.faults.next('me', { status: 302, headers: { location: `${application.origin}/me?elsewhere` } })
  expect(await look(open(), await secretOf('HS256'))).toMatchObject({ works: false, later: true, sentence: expect.stringContaining('302') })
  expect(came.filter(({ url }) => url.search !== '')).toEqual([])
})

test('a credential without a key that signs is no key.', async () => {
  expect(await look(open(), { id: null, parts: { password: 'x' } })).toMatchObject({ works: false, later: false })
  for (const wrong of [{ url: 'https://me:s3cret@app.example' }, { algorithm: 'none' }, { seconds: 86_400 }, { refused: [200] }])
    expect([wrong, options.safeParse({ url: 'https://app.example', ...wrong }).success]).toEqual([wrong, false])
})

test('a rotation of the secret of tokens asks at each of its three deployments, and ends when tokens of the old key are refused.', async () => {
  const first = (await secretOf('HS256')).parts.value ?? ''
  const world = new SecretsWorld({
    pglite: pglite(),
    env: { FIRST: first },
    secrets: {
      jwt: {
        rotator: { rotator: 'jwt-secret' },
        stores: [
          {
            store: './test/secrets/parts/memory-store.ts',
            id: 'tokens',
            values: { JWT_SECRET: '{value}', JWT_NEXT: '{next.value}', JWT_PREVIOUS: '{previous.value}' },
          },
        ],
        gates: [{ gate: 'token', url: `${application.origin}/me` }],
        first: { value: { env: 'FIRST' } },
        grace: '1m',
      },
    },
  })
  memory.set('tokens', new Map([['JWT_SECRET', first]]))
  const phases: unknown[] = []
  // The application has what its store holds, and forgets nothing too early.
  world.around = async ({ step }, work) => {
    accepts = [...(memory.get('tokens') ?? [])].map(([, value]) => ({ id: null, parts: { value } }))
    if (step.startsWith('gates:')) phases.push([step, accepts.length])
    return await work()
  }
  const run = await world.finish((await (await world.start()).rotate('jwt')).id)
  const { steps } = await (await world.start()).run(run.id)
  const saw = steps.filter(({ step }) => step.startsWith('gates:')).map(({ evidence }) => String(evidence['token 1']).replace(/^\S+ /, ''))
  await world.stop()
  expect([run.state, phases]).toEqual([
    'completed',
    [
      ['gates:announce', 2],
      ['gates:promote', 2],
      ['gates:withdraw', 1],
    ],
  ])
  expect(saw).toEqual([
    'accepted a token of the key in use, and refused one of a made-up key',
    'accepted a token of the key in use and of the old one, and refused one of a made-up key',
    'accepted a token of the key in use, refused one of the other key, and refused one of a made-up key',
  ])
})

gateConformance('token', async () => {
  const own = application
  const current = await secretOf('HS256')
  const turn = (keys: readonly Credential[]) => {
    own.faults.clear()
    accepts = keys
  }
  return {
    part: () => open(),
    asked: { before: null, since: 0, current, previous: null },
    secrets: [current.parts.value ?? '', 'eyJ'],
    make: {
      well: () => turn([current]),
      ill: () => turn([]),
      down: () => own.faults.next('me', 'cut', { times: 1_000 }),
      silent: () => own.faults.next('me', 'silent'),
    },
    isAsked: () => own.calls.at(-1)?.fault === 'silent',
    state: async () => own.calls.filter(({ operation }) => operation !== 'me'),
    close: async () => {},
  }
})
