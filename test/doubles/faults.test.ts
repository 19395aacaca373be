import { afterAll, afterEach, expect, test } from 'vitest'
import { jsonOf, startDouble } from './faults.ts'

const kept: string[] = []
const double = await startDouble(
  [
    {
      name: 'create',
      method: 'POST',
      path: /^\/v1\/things\/(\w+)$/,
      answer: (asked, [id = '']) => {
        kept.push(jsonOf<{ value: string }>(asked).value ?? '')
        return { status: 201, body: { id }, made: [`key-${kept.length}`] }
      },
    },
    { name: 'list', method: 'GET', path: /^\/v1\/things$/, answer: () => ({ status: 200, body: { count: kept.length } }) },
  ],
  { errorBody: (status) => ({ error: { code: status } }) },
)
const create = (signal: AbortSignal | null = null) =>
  fetch(`${double.origin}/v1/things/a`, { method: 'POST', body: '{"value":"s3cret-value"}', signal })

afterEach(() => double.faults.clear())
afterAll(() => double.stop())

test('a call is on record with the ids of its path and of what it made, and without a value', async () => {
  expect((await create()).status).toBe(201)
  expect(double.calls.at(-1)).toEqual({ operation: 'create', ids: ['a', `key-${kept.length}`], status: 201, applied: true, fault: null })
  expect(JSON.stringify(double.calls)).not.toContain('s3cret-value')
})

test('a dropped call was applied, and nobody was told', async () => {
  const before = kept.length
  double.faults.next('create', 'drop')
  await expect(create()).rejects.toThrow()
  expect(kept).toHaveLength(before + 1)
  expect(double.calls.at(-1)).toMatchObject({ status: 0, applied: true, fault: 'drop' })
  expect((await create()).status).toBe(201)
})

test('a call that is cut off was not applied', async () => {
  const before = kept.length
  double.faults.next('create', 'cut')
  await expect(create()).rejects.toThrow()
  expect(kept).toHaveLength(before)
})

test('a refusal comes so often as was said, after those that were to pass, in the form of the provider', async () => {
  double.faults.next('create', { status: 429, headers: { 'retry-after': '7' } }, { skip: 1, times: 2 })
  const answers = [await create(), await create(), await create(), await create()]
  expect(answers.map(({ status }) => status)).toEqual([201, 429, 429, 201])
  expect(answers[1]!.headers.get('retry-after')).toBe('7')
  expect(await answers[1]!.json()).toEqual({ error: { code: 429 } })
})

test('a silent call is taken and neither applied nor answered', async () => {
  const before = [kept.length, double.calls.length] as const
  double.faults.next('*', 'silent')
  const stop = new AbortController()
  const answer = create(stop.signal)
  await expect.poll(() => double.calls.length, { timeout: 60_000 }).toBe(before[1] + 1)
  stop.abort()
  await expect(answer).rejects.toThrow()
  expect(kept).toHaveLength(before[0])
})

test('a call can be held back after it was applied', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  const before = kept.length
  double.faults.next('create', { until: promise })
  const answer = create()
  await expect.poll(() => kept.length, { timeout: 60_000 }).toBe(before + 1)
  expect(double.calls.at(-1)).toMatchObject({ status: 0, applied: true })
  resolve()
  expect((await answer).status).toBe(201)
})

test('what no operation serves is 404, and 405 where another method is served', async () => {
  expect((await fetch(`${double.origin}/v1/nothing`)).status).toBe(404)
  expect((await fetch(`${double.origin}/v1/things`, { method: 'PUT' })).status).toBe(405)
})

test('a double that was stopped is not reachable, and knows afterwards what it knew', async () => {
  const before = kept.length
  await double.stop()
  await expect(create()).rejects.toThrow()
  await double.start()
  expect(await (await fetch(`${double.origin}/v1/things`)).json()).toEqual({ count: before })
})
