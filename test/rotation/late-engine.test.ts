import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { isKeyturnError } from '../../packages/core/src/errors.ts'
import type { Keyturn } from '../../packages/core/src/keyturn.ts'
import { fast, fillTokens, oneField, useThings, watchedPool } from '../retirement/world.ts'

const world = useThings()
const { server } = world

/** Goes on with a run whose process was stopped, once its lease is over. */
async function takeOver(keyturn: Keyturn, id: string): Promise<string> {
  for (;;) {
    try {
      return (await keyturn.resume(id, fast)).state
    } catch (error) {
      if (!isKeyturnError(error, 'ERR_LEASE_HELD')) throw error
      await sleep(50)
    }
  }
}

test('a process that slept over the end of its rotation does not make its version active again', async () => {
  const keyturn = await world.open()
  await fillTokens(keyturn, server.pool, 10)
  const [waits, stopped, going] = [{ forReaders: false }, Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  let asleep = false
  // From the moment before the activation nothing of it goes on: also no renewal of its lease.
  const pool = watchedPool(server.pool, async (text) => {
    if (waits.forReaders && text.endsWith('AS now')) asleep = true
    if (!asleep) return
    stopped.resolve()
    await going.promise
  })
  const late = await world.open(oneField, { pool })
  const onProgress = ({ phase }: { phase: string }) => {
    if (phase === 'waiting-for-readers') waits.forReaders = true
  }
  const ended = late.rotate('app', { ...fast, onProgress }).then(
    () => 'it went on',
    (error: unknown) => (isKeyturnError(error) ? error.code : String(error)),
  )
  try {
    await stopped.promise
    const [run] = (await keyturn.status('app')).rotations
    expect(run?.state).toBe('running')
    expect(await takeOver(keyturn, run?.id ?? '')).toBe('completed')
    await keyturn.rotate('app', fast)
  } finally {
    asleep = false
    going.resolve()
  }
  expect(await ended).toBe('ERR_KEY_STATE')
  expect((await world.versions(keyturn)).map(({ state }) => state)).toEqual(['retiring', 'retiring', 'active'])
  expect(await keyturn.verify()).toMatchObject({ total: 10, current: 10, other: 0, failedCount: 0 })
})
