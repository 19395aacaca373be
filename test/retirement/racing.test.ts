import { expect, test } from 'vitest'
import { isKeyturnError } from '../../packages/core/src/errors.ts'
import { fast, fillTokens, oneField, useThings, watchedPool } from './world.ts'

const world = useThings()
const { server } = world

/** A process that stops where the retired state is about to be saved, with the proof in hand. */
async function stoppedBeforeSaving() {
  const [stopped, going] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  let proved = false
  const pool = watchedPool(
    server.pool,
    async (text) => {
      if (!proved || !text.endsWith('AS now')) return
      stopped.resolve()
      await going.promise
    },
    (text) => {
      if (text.includes('VALIDATE CONSTRAINT')) proved = true
    },
  )
  const late = await world.open(oneField, { pool })
  const ended = late.retire('app', fast).then(
    (retirements) => retirements.length,
    (error: unknown) => (isKeyturnError(error) ? error.code : String(error)),
  )
  return { stopped: stopped.promise, goOn: () => going.resolve(), ended }
}

test('Retired means proven: a fence that is taken down between its check and the new state leaves the version retiring', async () => {
  const keyturn = await world.open()
  await fillTokens(keyturn, server.pool, 5)
  await keyturn.rotate('app', fast)
  const [id] = (await world.inState(keyturn, 'retiring')) as [string]
  const late = await stoppedBeforeSaving()
  try {
    await late.stopped
    await keyturn.unretire('app', id)
    expect(await world.constraints()).toEqual([])
  } finally {
    late.goOn()
  }
  expect(await late.ended).toBe('ERR_FENCE_MISSING')
  expect(await world.inState(keyturn, 'retired')).toEqual([])
  expect(await keyturn.retire('app', fast)).toHaveLength(1)
})

test('Retired means proven: a second retirement that is refused takes no fence from under the first', async () => {
  const keyturn = await world.open()
  await fillTokens(keyturn, server.pool, 5)
  const { rows } = await server.pool.query('SELECT token FROM things WHERE id = 1')
  await keyturn.rotate('app', fast)
  const late = await stoppedBeforeSaving()
  try {
    await late.stopped
    // It knows of one more field, in whose documents the key stands where nothing rewrites it.
    const fields = { ...oneField.fields, 'things.jt': { column: 'things.jt:/keys/*', keyring: 'app' } }
    const second = await world.open({ ...oneField, fields })
    await server.pool.query('UPDATE things SET jt = $1 WHERE id = 1', [JSON.stringify({ forgotten: rows[0].token })])
    await expect(second.retire('app', fast)).rejects.toMatchObject({ code: 'ERR_FENCE_VALUES' })
    expect(await world.constraints()).toEqual([])
  } finally {
    late.goOn()
  }
  expect(await late.ended).toBe('ERR_FENCE_MISSING')
  expect(await world.inState(keyturn, 'retired')).toEqual([])
})
