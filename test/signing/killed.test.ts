import { afterEach, expect, test } from 'vitest'
import { type Keyturn, open } from '../../packages/core/src/index.ts'
import { startChild } from '../harness/child.ts'
import { count } from '../harness/counts.ts'
import { useDatabase } from '../harness/postgres.ts'

const database = useDatabase()
const env = { ROOT: '5e'.repeat(32) }
const tokens = { lifetime: '1h', skew: '1s', jwksCache: '1s', offline: '2s' }
const config = { refreshMs: 1_000, keyrings: { jwt: { root: { env: 'ROOT' }, sign: 'EdDSA', tokens } }, fields: {} } as const
const opened: Keyturn[] = []
afterEach(async () => {
  for (const keyturn of opened.splice(0)) await keyturn.close()
})
async function application(): Promise<Keyturn> {
  const keyturn = await open(config, { pool: database.pool, env })
  opened.push(keyturn)
  return keyturn
}
const rotating = () => startChild(new URL('./rotating.ts', import.meta.url).href, [database.url, JSON.stringify(config)], { env })
const versionsOf = async (keyturn: Keyturn) => (await keyturn.status('jwt')).keyrings[0]?.versions ?? []

test('a rotation that is killed while its key is published leaves it pending, and the next one takes it.', async () => {
  const keyturn = await application()
  const token = await keyturn.signing('jwt').sign({ sub: 'ada' })
  const child = rotating()
  await child.printed('waiting.')
  await child.kill()
  await keyturn.signing('jwt').verify(token)
  const reader = await application()
  const [pending, ...others] = (await versionsOf(reader)).filter(({ state }) => state === 'pending')
  expect(others).toEqual([])
  expect((await reader.signing('jwt').jwks()).keys.map(({ kid }) => kid)).toContain(pending?.id)
  expect(await reader.signing('jwt').rotate()).toMatchObject({ state: 'active', version: pending?.id })
  await reader.signing('jwt').verify(token)
})

test('killed at any moment of rotating and retiring, there is one key that signs, and tokens of keys that are not retired are valid.', async () => {
  await (await application()).close()
  for (let n = 0; n < count(2, 60); n++) {
    const child = rotating()
    await child.printed(['open.', 'waiting.', 'active'][n % 3] as string)
    // A few more turns of its loop, other ones each time; how many is not what is tested.
    for (let turns = 0; turns < Math.random() * 40; turns++) await new Promise(setImmediate)
    await child.kill()
    const reader = await application()
    const versions = await versionsOf(reader)
    expect(versions.filter(({ state }) => state === 'active')).toHaveLength(1)
    expect(versions.filter(({ state }) => state === 'pending').length).toBeLessThan(2)
    const token = await reader.signing('jwt').sign({ sub: 'ada' })
    await reader.signing('jwt').verify(token)
  }
  const last = await application()
  const token = await last.signing('jwt').sign({ sub: 'ada' })
  const { before } = await last.signing('jwt').rotate()
  await last.signing('jwt').verify(token)
  await last.signing('jwt').retire({ now: true })
  await expect(last.signing('jwt').verify(token)).rejects.toMatchObject({ code: 'ERR_TOKEN' })
  expect((await versionsOf(last)).find(({ id }) => id === before)?.state).toBe('retired')
  expect(await last.audit.verify()).toMatchObject({ intact: true })
})
