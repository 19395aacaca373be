import jwt from 'jsonwebtoken'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { SecretsWorld } from '../conformance/secrets/world.ts'
import { startDouble } from '../doubles/faults.ts'
import { startFly } from '../doubles/fly.ts'
import type { Boot, Env } from '../doubles/fly-machine.ts'
import { startSlack } from '../doubles/slack.ts'
import { usePglite } from '../harness/pglite.ts'

const pglite = usePglite()
const fly = await startFly()
const slack = await startSlack()
const first = 'the first secret of the shop '.repeat(2)
const { token } = fly.createApp('shop')
let world: SecretsWorld
let machines: { readonly env: Env; readonly state: string }[] = []
/** What each machine that runs was booted with. */
const fleet: Env[] = []
const tokens: { readonly by: number; readonly text: string }[] = []
const refused: string[] = []
let isCrashing = false
const shopFront = await startDouble([
  {
    name: 'health',
    method: 'GET',
    path: /^\/health$/,
    answer: () => ({ status: machines.every(({ state }) => state === 'started') && refused.length === 0 ? 200 : 503, body: {} }),
  },
])

const accepts = (env: Env, text: string): boolean =>
  [env.JWT_SECRET, env.JWT_NEXT, env.JWT_PREVIOUS].some((key) => {
    try {
      return key !== undefined && jwt.verify(text, key, { algorithms: ['HS256'] }) !== null
    } catch {
      return false
    }
  })

/** A machine of the shop: it signs with its secret as soon as it runs, and every other one gets its tokens. */
const shop =
  (place: number): Boot =>
  (env) => {
    if (isCrashing && env.JWT_SECRET !== first) throw new Error('it crashed')
    fleet[place] = env
    tokens.push({ by: place, text: jwt.sign({ sub: 'somebody' }, env.JWT_SECRET ?? '', { algorithm: 'HS256' }) })
    const current = fleet.map((_, signer) => tokens.findLast(({ by }) => by === signer))
    for (const [verifier, each] of fleet.entries())
      for (const one of current) if (one !== undefined && !accepts(each, one.text)) refused.push(`${verifier} refuses a token of ${one.by}`)
    return undefined
  }

beforeAll(async () => {
  const common = { app: 'shop', token: { env: 'FLY_TOKEN' }, endpoint: fly.api, pauseMs: 1 }
  const values = { JWT_SECRET: '{value}', JWT_NEXT: '{next.value}', JWT_PREVIOUS: '{previous.value}' }
  await fetch(`${fly.api}/apps/shop/secrets`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify({ values: { JWT_SECRET: first } }),
  })
  for (let place = 0; place < 3; place++) machines.push(await fly.createMachine('shop', { boot: shop(place), staleHost: place > 0 }))
  world = new SecretsWorld({
    pglite: pglite(),
    env: { FLY_TOKEN: token, SLACK_URL: slack.url, FIRST: first },
    secrets: {
      jwt: {
        rotator: { rotator: 'jwt-secret' },
        stores: [{ store: 'fly', ...common, values }],
        targets: [{ target: 'fly', ...common }],
        gates: [{ gate: 'health', url: `${shopFront.origin}/health` }],
        first: { value: { env: 'FIRST' } },
        grace: '1m',
        deadline: '2h',
      },
    },
    alerts: [{ alert: 'slack', url: { env: 'SLACK_URL' } }],
  })
})
afterAll(async () => {
  await world.stop()
  await Promise.all([fly.stop(), slack.stop(), shopFront.stop()])
  machines = []
})

test('machines that crash over the new secret take the run back: all run with the old one, and Slack is told', async () => {
  isCrashing = true
  const { id } = await (await world.start()).rotate('jwt')
  const run = await world.finish(id)
  isCrashing = false
  expect(run.state).toBe('rolled-back')
  expect(machines.map(({ env, state }) => [env.JWT_SECRET, env.JWT_NEXT, state])).toEqual(Array(3).fill([first, undefined, 'started']))
  expect(fly.secretsOf('shop')).toEqual({ JWT_SECRET: first })
  expect(JSON.stringify(slack.messages)).toContain('jwt')
  expect(JSON.stringify(slack.messages)).not.toContain(first)
  expect(refused).toEqual([])
})

test('Invariant: while machines are replaced one after another, none signs what another cannot verify.', async () => {
  const before = tokens.length
  const { id } = await (await world.start()).rotate('jwt')
  const run = await world.finish(id)
  expect([run.state, run.note]).toEqual(['completed', null])
  // Three deployments of three machines: all know the new one, all use it, all have forgotten the old one.
  expect(tokens.length - before).toBe(9)
  expect(refused).toEqual([])
  const { JWT_SECRET: now = '' } = fly.secretsOf('shop')
  expect(now).not.toBe(first)
  expect(fly.secretsOf('shop')).toEqual({ JWT_SECRET: now })
  expect(machines.map(({ env }) => [env.JWT_SECRET, env.JWT_NEXT, env.JWT_PREVIOUS])).toEqual(Array(3).fill([now, undefined, undefined]))
  expect(await world.written()).not.toContain(now)
})
