import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Config, open } from '../../packages/core/src/index.ts'
import local from '../../packages/core/src/key-wrappers/local.ts'
import { useDatabase } from '../harness/postgres.ts'
import { tokens } from '../harness/signing.ts'

const [database, other] = [useDatabase(), useDatabase()]
const env = { ROOT: '5e'.repeat(32), OTHER: '6f'.repeat(32) }

test('an exported signing keyring verifies where its file is: what is retired and destroyed there is refused, and what the file has of it.', async () => {
  const config: Config = { refreshMs: 1_000, keyrings: { jwt: { root: { env: 'ROOT' }, sign: 'RS256', tokens } }, fields: {} }
  const keyturn = await open(config, { pool: database.pool, env })
  const signing = keyturn.signing('jwt')
  const gone = await signing.sign({ sub: 'gone' })
  const { before } = await signing.rotate({ now: true })
  await signing.retire({ compromised: true })
  await keyturn.destroy('jwt', before as string)
  const [retiring, live] = [await signing.sign({ sub: 'retiring' }), signing]
  await signing.rotate({ now: true })
  const active = await live.sign({ sub: 'active' })
  const file = join(await mkdtemp(join(tmpdir(), 'keyturn-')), 'keys.json')
  const { versions } = await keyturn.exportKeyring('jwt', { file, wrapper: local({ key: env.OTHER }) })
  expect(versions).toHaveLength(2)

  const filed: Config = { ...config, keyrings: { jwt: { root: { env: 'OTHER' }, file, sign: 'RS256', tokens } } }
  const elsewhere = await open(filed, { pool: other.pool, env })
  const copy = elsewhere.signing('jwt')
  for (const token of [retiring, active]) await copy.verify(token)
  await expect(copy.verify(gone)).rejects.toMatchObject({ code: 'ERR_TOKEN' })
  await signing.verify(await copy.sign({ sub: 'from the copy' }))
  expect((await copy.jwks()).keys.map(({ kid }) => kid).sort()).toEqual([...versions].sort())
  for (const text of [JSON.stringify(await copy.jwks()), JSON.stringify(copy)]) expect(text).not.toMatch(/"(d|p|q|dp|dq|qi|k)":/)
  // Its own life from here on.
  const { before: last } = await copy.rotate({ now: true })
  expect(await copy.retire({ versions: [last as string], now: true })).toMatchObject([{ version: last }])
  await expect(copy.verify(active)).rejects.toMatchObject({ code: 'ERR_TOKEN' })
  await signing.verify(active)
  await elsewhere.close()
  await keyturn.close()
})
