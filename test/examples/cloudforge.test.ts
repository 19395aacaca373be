import { expect, test } from 'vitest'
import { knock } from '../harness/parts.ts'
import { ask, send } from './asking.ts'
import { useCloudForge } from './cloudforge/world.ts'

const forge = useCloudForge()

test('the application is well before anything is rotated', async () => {
  expect((await ask(forge.url, 'GET', '/health')).body).toEqual({
    status: 'ok',
    components: { postgres: 'ok', redis: 'ok', ai_provider: 'ok', identity_provider: 'ok', aws: 'ok' },
  })
})

test('C2 The secret of HS256 tokens changes under rolling restarts, three of them, and no token is refused', async () => {
  const secrets = await forge.start()
  const before = forge.variables().JWT_SECRET
  let kept: string[] = []
  // Each token is made by one process and, as the proxy goes on, tried at the other one, too; so are older ones, again and again.
  const client = knock(async () => {
    kept.push((await ask(forge.url, 'POST', '/v1/session', { headers: forge.smoke })).body.token)
    for (const token of new Set([kept.at(-1)!, kept[Math.floor(kept.length / 2)]!, kept[0]!])) {
      const { status } = await send(forge.url, 'GET', '/v1/projects', { token })
      if (status !== 200) throw new Error(`a token was answered with ${status}`)
    }
  })
  await client.enough(1)
  const old = kept[0]!
  // Whenever one process has another version than the other, both are met.
  forge.onBoot(() => client.enough(2))
  const restarts: object[] = []
  const steps = await forge
    .rotate(secrets, 'jwt-signing-key', async (run, { revoke }) => {
      if (run.steps[run.position] !== 'grace') return false
      restarts.push(forge.variables())
      // A day is over, and with it all tokens of the day before.
      kept = kept.filter((token) => kidOf(token) !== kidOf(old))
      await client.enough(2)
      await revoke.call(secrets, run.id)
      return true
    })
    .finally(() => forge.onBoot(async () => {}))
  const { tries, refused } = await client.stop()
  expect({ refused, kids: new Set(kept.map(kidOf)).size }).toEqual({ refused: 0, kids: 1 })
  expect(tries).toBeGreaterThan(12)
  for (const phase of ['announce', 'promote', 'withdraw']) expect(steps.get(`deploy:${phase}`)).toMatchObject({ 'fly 1: replaced': 2 })

  const { JWT_SECRET, ...variables } = forge.variables()
  expect(restarts).toEqual([{ ...variables, JWT_SECRET, JWT_PREVIOUS_SIGNING_KEY: before }])
  expect(JWT_SECRET).toBe(forge.providers.held('jwt-signing-key', 'credential'))
  expect(JWT_SECRET).not.toBe(before)
  expect((await send(forge.url, 'GET', '/v1/projects', { token: old })).status).toBe(401)
})

const kidOf = (token: string): string => JSON.parse(Buffer.from(token.split('.')[0]!, 'base64url').toString()).kid
