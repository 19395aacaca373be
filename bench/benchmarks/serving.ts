import { setTimeout as sleep } from 'node:timers/promises'
import { type Child, startChild } from '../../test/harness/child.ts'
import { freshTable, makeApplication } from '../application.ts'
import type { Benchmark, Outcome } from '../benchmark.ts'
import { median, percentile } from '../numbers.ts'

const perSecond = 300
const watchers = 50
const mebibyte = 2 ** 20

/** People who watch a rotation, and programs that ask for it. */
export const serving: Benchmark = {
  name: 'serving',
  about: `${perSecond} requests a second for a rotation, beside ${watchers} streams of its events, against the same requests alone: p99`,
  rows: 18_000,
  async run({ rows: requests, postgres, say }) {
    const { pool, url, drop } = await (await postgres()).createDatabase()
    const seconds = requests / perSecond
    const values = Math.min(20_000, Math.max(200, requests))
    try {
      await (await makeApplication(pool, 'kt1', values)).close()
      await freshTable(pool, values)
      // The rotation goes on for as long as it is asked for.
      const child = startChild('bench/serving-process.ts', [url, String(Math.max(20, Math.ceil(values / seconds / 1.5)))])
      try {
        say(`${requests} requests in ${seconds.toFixed(0)} s, ${watchers} streams`)
        return await measure(child, seconds)
      } finally {
        await child.kill()
      }
    } finally {
      await drop()
    }
  },
}

async function measure(child: Child, seconds: number): Promise<Outcome> {
  const client = await signIn(child)
  // Connections and code get warm.
  await ask(client, '/v1/keyrings/app', Math.min(2, seconds))
  const alone = await ask(client, '/v1/keyrings/app', seconds / 3)
  const { id } = (await send(client, 'POST', '/v1/rotations', { keyring: 'app', accept: true })) as { id: string }
  const stop = new AbortController()
  const streams = Array.from({ length: watchers }, () => watch(client, `/v1/rotations/${id}/events`, stop.signal))
  try {
    const beside = await ask(client, `/v1/rotations/${id}`, seconds / 10)
    const before = await memoryOf(child)
    beside.push(...(await ask(client, `/v1/rotations/${id}`, seconds * 0.9)))
    const after = await memoryOf(child)
    stop.abort()
    return outcome({ alone, beside, before, after, events: await Promise.all(streams) })
  } finally {
    stop.abort()
    await Promise.allSettled(streams)
  }
}

interface Found {
  readonly alone: readonly number[]
  readonly beside: readonly number[]
  readonly before: number
  readonly after: number
  readonly events: readonly number[]
}

function outcome({ alone, beside, before, after, events }: Found): Outcome {
  if (events.some((count) => count === 0)) throw new Error('a stream had no event')
  const p99 = (took: readonly number[]) => percentile(took, 0.99)
  return {
    ratios: [
      { name: 'p99 beside streams and a rotation / alone', value: p99(beside) / p99(alone) },
      { name: 'memory at the end / after a tenth', value: after / before },
    ],
    measured: {
      p99BesideMs: p99(beside),
      p99AloneMs: p99(alone),
      medianBesideMs: median(beside),
      medianAloneMs: median(alone),
      mostBesideMs: percentile(beside, 1),
      requests: alone.length + beside.length,
      streams: events.length,
      eventsEach: median(events),
      memoryMiB: after / mebibyte,
    },
  }
}

interface Client {
  readonly url: string
  readonly authorization: string
}

/** The first admin, and a token as a program has it. */
async function signIn(child: Child): Promise<Client> {
  await child.printed('listening at')
  await child.printed('!\n')
  const [, url = ''] = /listening at (\S+)!/.exec(child.stdout) ?? []
  const [, token = ''] = /link (\S+)!/.exec(child.stdout) ?? []
  const setup = await fetch(`${url}/v1/setup`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-keyturn': '1' },
    body: JSON.stringify({ token, name: 'ada', password: 'a password of the benchmark' }),
  })
  const cookie = setup.headers.getSetCookie().map((each) => each.split(';')[0])
  const made = await fetch(`${url}/v1/tokens`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-keyturn': '1', cookie: cookie.join('; ') },
    body: JSON.stringify({ name: 'bench', role: 'admin' }),
  })
  if (made.status !== 201) throw new Error(`no token was made: ${made.status}`)
  return { url, authorization: `Bearer ${((await made.json()) as { secret: string }).secret}` }
}

async function send({ url, authorization }: Client, method: string, path: string, body?: unknown): Promise<unknown> {
  const json = body === undefined ? {} : { 'content-type': 'application/json' }
  const answer = await fetch(`${url}${path}`, {
    method,
    headers: { authorization, ...json },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  if (!answer.ok) throw new Error(`${method} ${path} was answered ${answer.status}`)
  return await answer.json()
}

/** Open loop: each request has its time, and what is late counts as waiting. @returns how long each took, in milliseconds */
async function ask(client: Client, path: string, seconds: number): Promise<number[]> {
  const asked: Promise<number>[] = []
  const began = performance.now()
  for (let due = began; due < began + seconds * 1000; ) {
    for (; due <= performance.now() && due < began + seconds * 1000; due += 1000 / perSecond) {
      const at = due
      asked.push(send(client, 'GET', path).then(() => performance.now() - at))
    }
    await sleep(1)
  }
  return await Promise.all(asked)
}

/** @returns how many events came until the signal, or until the rotation was over */
async function watch({ url, authorization }: Client, path: string, signal: AbortSignal): Promise<number> {
  const answer = await fetch(`${url}${path}`, { headers: { authorization, accept: 'text/event-stream' }, signal })
  if (!answer.ok || answer.body === null) throw new Error(`a stream was answered ${answer.status}`)
  let events = 0
  try {
    for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) events += chunk.split('event: rotation').length - 1
  } catch (error) {
    if (!signal.aborted) throw error
  }
  return events
}

async function memoryOf(child: Child): Promise<number> {
  const before = child.stdout.length
  child.write('memory\n')
  for (;;) {
    const [, bytes] = /memory (\d+)!/.exec(child.stdout.slice(before)) ?? []
    if (bytes !== undefined) return Number(bytes)
    await sleep(10)
  }
}
