import { expect, test } from 'vitest'
import { type Api, useServer } from './world.ts'

const world = useServer(400)

/** What a stream has sent: the rotations with their ids, and whether it said that it is over. */
interface Seen {
  readonly events: { readonly id: string; readonly state: string; readonly sequence: number }[]
  ended: boolean
}

/** Reads a stream until `enough`, or until it ends. */
async function watch({ url }: Api, id: string, enough: (seen: Seen) => boolean, from?: string): Promise<Seen> {
  const seen: Seen = { events: [], ended: false }
  const stop = new AbortController()
  const response = await fetch(`${url}/v1/rotations/${id}/events`, {
    signal: stop.signal,
    headers: { authorization: 'Bearer viewer', ...(from === undefined ? {} : { 'last-event-id': from }) },
  })
  expect(response.headers.get('content-type')).toContain('text/event-stream')
  let text = ''
  try {
    for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
      text += Buffer.from(chunk).toString('utf8')
      const blocks = text.split('\n\n')
      text = blocks.pop() ?? ''
      for (const block of blocks) {
        const [, name] = /^event: (.*)$/m.exec(block) ?? []
        if (name === 'end') seen.ended = true
        if (name !== 'rotation') continue
        const { state, sequence } = JSON.parse(/^data: (.*)$/m.exec(block)?.[1] ?? '')
        seen.events.push({ id: /^id: (.*)$/m.exec(block)?.[1] ?? '', state, sequence })
      }
      if (enough(seen)) break
    }
  } catch (error) {
    if (!stop.signal.aborted) throw error
  }
  stop.abort()
  return seen
}

/** Holds a row, so that a rotation does not come to its end. */
async function holding(work: () => Promise<void>): Promise<void> {
  const client = await world.database.pool.connect()
  await client.query(`BEGIN; SELECT FROM tokens WHERE id = 'row 9' FOR UPDATE`)
  try {
    await work()
  } finally {
    await client.query('ROLLBACK')
    client.release()
  }
}

const rotate = async () => (await world.api.post('/v1/rotations', { keyring: 'app' })).body.id as string

/** Sees a rotation through: on a slow machine a row is held for longer than its patience lasts, and it waits for somebody. */
async function seeThrough(id: string): Promise<void> {
  const ask = async () => {
    const { state } = (await world.api.get(`/v1/rotations/${id}`)).body
    if (state === 'waiting') await world.api.post(`/v1/rotations/${id}/resume`)
    return state
  }
  await expect.poll(ask).toBe('completed')
}

test('A rotation is watched to its end; a client that comes back is told what it has not seen, and nothing twice.', async () => {
  let id = ''
  let first: Seen = { events: [], ended: false }
  await holding(async () => {
    id = await rotate()
    first = await watch(world.api, id, ({ events }) => events.some(({ sequence }) => sequence > 0))
    expect(first.ended).toBe(false)
  })
  const known = first.events.at(-1)?.id ?? ''
  const [rest] = await Promise.all([watch(world.api, id, () => false, known), seeThrough(id)])
  expect(rest.ended).toBe(true)
  expect(rest.events.at(-1)?.state).toBe('completed')
  const ids = [...first.events, ...rest.events].map(({ id }) => id)
  expect(new Set(ids).size).toBe(ids.length)
  const last = rest.events.at(-1)?.id ?? ''
  expect(await watch(world.api, id, () => false, last)).toEqual({ events: [], ended: true })
  // Somebody who has seen nothing is told at once.
  expect((await watch(world.api, id, () => false)).events).toMatchObject([{ id: last, state: 'completed' }])
})

test('A rotation is paused, stays so, and is resumed; a second one of its keyring is a conflict.', async () => {
  let id = ''
  await holding(async () => {
    id = await rotate()
    const again = await world.api.post('/v1/rotations', { keyring: 'app' })
    expect(again).toMatchObject({ status: 409, body: { code: 'ERR_ROTATION_RUNNING' } })
    expect(await world.api.post(`/v1/rotations/${id}/resume`)).toMatchObject({ status: 409, body: { code: 'ERR_ROTATION_STATE' } })
    expect((await world.api.post(`/v1/rotations/${id}/pause`)).status).toBe(202)
    await world.api.until(`/v1/rotations/${id}`, ({ state }) => state === 'paused')
  })
  // Nobody goes on with what a person has paused: when a server is woken for it, it looks and leaves it.
  const waking = async () =>
    (
      await world.database.pool.query(
        `SELECT count(*)::int AS jobs FROM keyturn_jobs.job WHERE name = 'keyturn-rotation' AND state IN ('created', 'retry', 'active')`,
      )
    ).rows[0].jobs
  await expect.poll(waking).toBe(0)
  expect((await world.api.get(`/v1/rotations/${id}`)).body).toMatchObject({ state: 'paused', live: false })
  expect((await world.api.post(`/v1/rotations/${id}/resume`)).status).toBe(202)
  const done = await world.api.until(`/v1/rotations/${id}`, ({ state }) => state === 'completed')
  expect(done.rotated).toBe(600)
  expect(await world.api.post(`/v1/rotations/${id}/resume`)).toMatchObject({ status: 409, body: { code: 'ERR_ROTATION_STATE' } })
})

test('A rotation is cancelled, and every value stays readable.', async () => {
  await holding(async () => {
    const id = await rotate()
    expect((await world.api.post(`/v1/rotations/${id}/cancel`)).status).toBe(202)
    await world.api.until(`/v1/rotations/${id}`, ({ state }) => state === 'cancelled')
    expect((await world.api.post(`/v1/rotations/${id}/release`)).body).toEqual({ tables: [] })
  })
  const begun = await world.api.post('/v1/verify', { keyring: 'app' })
  expect(begun.status).toBe(202)
  const verified = await world.api.until(begun.headers.get('location') ?? '', ({ state }) => state !== 'running')
  expect(verified).toMatchObject({ state: 'done', result: { total: 600, failedCount: 0 } })
})

test('A server that closes ends its streams, finishes the batch, and leaves the rotation for the next one.', async () => {
  let id = ''
  let seen: Promise<Seen> | null = null
  await holding(async () => {
    id = await rotate()
    seen = watch(world.api, id, () => false)
    await world.api.until(`/v1/rotations/${id}`, ({ sequence }) => sequence > 0)
    await world.app.close()
  })
  expect(await (seen as Promise<Seen> | null)).toMatchObject({ ended: false })
  const left = await world.keyturn.rotations.get(id)
  // On a slow machine the row is held for longer than its patience lasts, and it waits for somebody.
  expect(left).toMatchObject({ state: expect.stringMatching(/^(running|waiting)$/), live: false })
  const next = await world.serve(await world.open())
  if (left.state === 'waiting') await next.api.post(`/v1/rotations/${id}/resume`)
  const done = await next.api.until(`/v1/rotations/${id}`, ({ state }) => state === 'completed')
  expect(done).toMatchObject({ rotated: 600, startedBy: 'user:admin' })
  const { items } = await world.keyturn.audit.list({ subject: `rotation/${id}` })
  expect(items.map(({ action }) => action)).not.toContain('rotation.pause')
})
