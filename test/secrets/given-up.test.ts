import type { SecretConfig } from '@keyturn/secrets'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { SecretsWorld } from '../conformance/secrets/world.ts'
import { usePglite } from '../harness/pglite.ts'
import { issue, issuerOf } from './parts/issuer.ts'

const pglite = usePglite()
const secrets: Record<string, SecretConfig> = {
  key: { rotator: { rotator: './test/secrets/parts/pasted-key.ts', id: 'given up' }, first: { value: { env: 'FIRST_KEY' } }, grace: '1h' },
}
let world: SecretsWorld

beforeEach(async () => {
  issuerOf('given up').clear()
  const first = issue('given up', null)
  world = new SecretsWorld({ pglite: pglite(), secrets, env: { FIRST_KEY: first.value } })
})
afterAll(() => world.stop())

test.each(['cancel', 'rollback'] as const)(
  'a credential that a person gave is ended when the run is given up before it was tried: %s',
  async (word) => {
    const [first] = [...issuerOf('given up').keys()]
    const now = await world.start()
    const { id } = await now.rotate('key')
    expect(await now.settle(id, { waitMs: 0 })).toMatchObject({ state: 'waiting' })
    const pasted = issue('given up', null)
    await now.provide(id, { value: pasted.value })
    await now[word](id)
    expect(await world.finish(id)).toMatchObject({ state: 'rolled-back' })
    expect([...issuerOf('given up').keys()]).toEqual([first])
  },
)

test('a run that was given nothing is cancelled, and nothing is asked of the issuer', async () => {
  const now = await world.start()
  const { id } = await now.rotate('key')
  await now.settle(id, { waitMs: 0 })
  expect(await now.cancel(id)).toMatchObject({ state: 'cancelled', note: 'cancelled by test' })
  expect(issuerOf('given up').size).toBe(1)
})
