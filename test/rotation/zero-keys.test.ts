import { expect, test } from 'vitest'
import { env } from '../../packages/core/src/config/config.ts'
import { open } from '../../packages/core/src/open.ts'
import { useDatabase } from '../harness/postgres.ts'

const server = useDatabase()

test('Values under a key of zeros are a finding of their own in status, plan and census, until they are rotated and the key is taken away', async () => {
  await server.pool.query('CREATE TABLE connectors (id int PRIMARY KEY, token text)')
  const config = {
    keyrings: { app: { primary: env('KEY'), previous: [env('KEY_PREVIOUS')] } },
    fields: { token: { column: 'connectors.token', keyring: 'app', writes: 'hex-colon' } },
  }
  const warn = () => {}
  const openWith = (variables: Record<string, string>) => open(config, { pool: server.pool, env: variables, warn })
  const [key, zeros] = ['ab'.repeat(32), '0'.repeat(64)]
  const before = await openWith({ KEY: zeros })
  await server.pool.query('INSERT INTO connectors VALUES (1, $1)', [await before.field('token').encrypt('of before')])
  await before.close()

  const between = await openWith({ KEY: key, KEY_PREVIOUS: zeros })
  const finding = 'KEY_PREVIOUS is all zeros, a key that everybody knows: rotate the values under it, then take it away'
  expect((await between.status()).keyrings[0]?.findings).toEqual([finding])
  expect((await between.plan('app')).warnings).toContain(finding)
  expect((await between.census()).fields[0]?.groups).toEqual([
    { codec: 'hex-colon', keyId: 'KEY_PREVIOUS', state: 'retiring', values: 1, current: false, knownToAll: true },
  ])
  expect(await between.rotate('app', { throttle: { share: 1 } })).toMatchObject({ state: 'completed', rotated: 1 })
  expect((await between.census()).fields[0]?.groups).toEqual([
    { codec: 'hex-colon', keyId: 'KEY', state: 'active', values: 1, current: true },
  ])
  await between.close()

  const after = await openWith({ KEY: key })
  expect((await after.status()).keyrings[0]?.findings).toEqual([])
  expect(await after.verify()).toMatchObject({ current: 1, failedCount: 0 })
  await after.close()
})
