import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { type Config, type Keyturn, open, type TokensConfig } from '../../packages/core/src/index.ts'
import { useDatabase } from '../harness/postgres.ts'

const database = useDatabase()
const opened: Keyturn[] = []
let names = 0
const newName = () => `changed-${++names}`
afterEach(async () => {
  for (const keyturn of opened.splice(0)) await keyturn.close()
})
const signing = async (name: string, sign: 'HS256' | 'ES256', tokens: TokensConfig) => {
  const config: Config = { refreshMs: 100, keyrings: { [name]: { root: { env: 'ROOT' }, sign, tokens } }, fields: {} }
  const keyturn = await open(config, { pool: database.pool, env: { ROOT: '5e'.repeat(32) } })
  opened.push(keyturn)
  return { keyturn, ring: keyturn.signing(name) }
}

test('tokens that were signed for longer than is stated now are waited for, and the refusal, the status and the rotation say until when.', async () => {
  const name = newName()
  const before = await signing(name, 'HS256', { lifetime: '24h', skew: '1s', offline: '1s' })
  const token = await before.ring.sign({ sub: 'ada' }, { lifetimeSeconds: 7_200 })
  await before.keyturn.close()
  const { keyturn, ring } = await signing(name, 'HS256', { lifetime: '1s', skew: '1s', offline: '1s' })
  const { before: old, graceEndsAt } = await ring.rotate({ now: true })
  const { exp } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
  expect(graceEndsAt).toBe(new Date((exp + 1) * 1000).toISOString())
  await expect(ring.retire()).rejects.toThrow(`${graceEndsAt}`)
  await expect(ring.retire({ versions: [old as string] })).rejects.toMatchObject({ code: 'ERR_GRACE' })
  expect((await keyturn.status(name)).keyrings[0]?.signing?.grace).toEqual([{ versionId: old, endsAt: graceEndsAt }])
  await ring.verify(token)
  expect(await ring.retire({ now: true })).toMatchObject([{ version: old, ended: [{ kind: 'JWT', count: 1 }] }])
})

test('when the last public key of a keyring ends, the caches that still have it count.', async () => {
  const name = newName()
  const tokens = { lifetime: '1h', jwksCache: '20m', offline: '5m' } as const
  await signing(name, 'ES256', tokens)
  const { ring } = await signing(name, 'HS256', tokens)
  await ring.rotate({ now: true })
  const began = Date.now()
  const [retired] = await ring.retire({ compromised: true })
  expect(new Date(retired?.refusedEverywhereAt as string).getTime() - began).toBeGreaterThanOrEqual(25 * 60_000 - 1_000)
})

test('a wait that is longer than a timer can be is waited for all the same.', async () => {
  const { ring } = await signing(newName(), 'ES256', { lifetime: '1h', jwksCache: '60d' })
  const stop = new AbortController()
  const waiting = ring.rotate({ signal: stop.signal, onWait: () => void sleep(300).then(() => stop.abort()) })
  expect(await waiting).toMatchObject({ state: 'waiting' })
})

test('tokens that expire at about the same time are one row, and the row knows when the last of them does.', async () => {
  const name = newName()
  const { keyturn, ring } = await signing(name, 'HS256', { lifetime: '24h', skew: '1s', offline: '1s' })
  // A bucket is a sixtieth of the lifetime.
  const end = Math.ceil(Date.now() / 1_440_000 + 2) * 1_440
  for (const exp of [end - 3, end - 1, end - 2]) await ring.sign({ exp })
  await keyturn.close()
  const { rows } = await database.pool.query(
    `SELECT count::int, extract(epoch FROM at)::int AS at FROM keyturn.token_count WHERE keyring = $1`,
    [name],
  )
  expect(rows).toEqual([{ count: 3, at: end - 1 }])
})

test('a new key waits from when it was committed, also where that took long.', async () => {
  const name = newName()
  const { ring } = await signing(name, 'HS256', { lifetime: '1h', offline: '10s' })
  const client = await database.pool.connect()
  try {
    await client.query('BEGIN')
    await client.query('SELECT FROM keyturn.keyring WHERE name = $1 FOR UPDATE', [name])
    const stop = new AbortController()
    const waited = new Promise<Date>((resolve) => {
      ring.rotate({
        signal: stop.signal,
        onWait: (until) => {
          stop.abort()
          resolve(until)
        },
      })
    })
    // Longer than the margin for what a commit usually takes.
    await sleep(2_500)
    const committed = Date.now()
    await client.query('COMMIT')
    expect((await waited).getTime() - committed).toBeGreaterThanOrEqual(10_000)
  } finally {
    client.release()
  }
})
