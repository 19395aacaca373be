import { randomBytes } from 'node:crypto'
import { open } from '@keyturn/core'
import { openSecrets, type SecretConfig, sealedSecrets } from '@keyturn/secrets'
import { beforeEach, expect, test } from 'vitest'
import { usePglite } from '../harness/pglite.ts'
import { issuerOf } from './parts/issuer.ts'
import { told } from './parts/scripted-alert.ts'

const pglite = usePglite()
const env = { ROOT: randomBytes(32).toString('base64') }
const key: SecretConfig = { rotator: { rotator: './test/secrets/parts/issuer.ts', id: 'forgotten' }, grace: '1h' }
const alerts = [{ alert: './test/secrets/parts/scripted-alert.ts', id: 'forgotten' }]

beforeEach(() => issuerOf('forgotten').clear())

async function opened(secrets: Record<string, SecretConfig>) {
  const config = { keyrings: { app: { root: { env: 'ROOT' } } }, fields: sealedSecrets('app'), secrets, alerts }
  const keyturn = await open(config, { pglite: pglite(), env, warn: () => {} })
  return { keyturn, secrets: await openSecrets(keyturn, { pglite: pglite(), env }) }
}

test('a run whose secret was taken out of the configuration is shown and told of once, and goes on when it is back', async () => {
  const before = await opened({ key })
  const { id } = await before.secrets.rotate('key')
  expect(await before.secrets.forgotten()).toEqual([])
  await before.keyturn.close()
  const without = await opened({})
  expect(await without.secrets.forgotten()).toMatchObject([{ id, secret: 'key', state: 'running' }])
  for (let times = 0; times < 2; times++) expect(await without.secrets.attend()).toEqual([])
  expect(told.get('forgotten')?.map(({ secret, condition, summary }) => [secret, condition, summary.includes(id)])).toEqual([
    ['key', 'failed', true],
  ])
  await without.keyturn.close()
  const back = await opened({ key })
  expect(await back.secrets.settle(id)).toMatchObject({ state: 'completed' })
  expect([await back.secrets.forgotten(), issuerOf('forgotten').size]).toEqual([[], 1])
  expect(told.get('forgotten')?.map(({ state }) => state)).toEqual(['open', 'resolved'])
  await back.keyturn.close()
})
