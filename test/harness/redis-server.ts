import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { freePort } from './free-port.ts'

/** A Redis server of a test's own, which it may kill. */
export interface RedisServer {
  readonly url: string
  readonly port: number
  /** As a crash of the machine: what was acknowledged is there again after `start`. */
  kill(): Promise<void>
  /** Starts it again on the same port with the same data. */
  start(): Promise<void>
  /** Ends it and removes its data. */
  stop(): Promise<void>
}

const localUrl = 'redis://127.0.0.1:6379'
const installed = () => spawnSync('redis-server', ['--version']).status === 0

/** Whether `findRedis` finds one. */
export async function hasRedis(): Promise<boolean> {
  return Boolean(process.env.KEYTURN_TEST_REDIS) || installed() || (await answers(localUrl))
}

/**
 * The one that KEYTURN_TEST_REDIS names, else the one on the local port, else an installed one on a free port, which the caller stops.
 *
 * @returns null where there is none, which is printed
 */
export async function findRedis(): Promise<{ readonly url: string; readonly given: boolean; readonly stop?: () => Promise<void> } | null> {
  const given = process.env.KEYTURN_TEST_REDIS
  if (given) return { url: given, given: true }
  if (await answers(localUrl)) return { url: localUrl, given: false }
  if (installed()) return { ...(await startRedis()), given: true }
  console.warn(`There is no Redis: KEYTURN_TEST_REDIS is not set, nothing answers at ${localUrl}, redis-server is not installed.`)
  return null
}

async function answers(url: string): Promise<boolean> {
  const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null, maxRetriesPerRequest: 0, connectTimeout: 2_000 })
  client.on('error', () => {})
  try {
    await client.connect()
    return (await client.ping()) === 'PONG'
  } catch {
    return false
  } finally {
    client.disconnect()
  }
}

/** Whether a server of its own can be started here. */
export const canStartRedis = installed()

/**
 * Starts an installed redis-server on a free port. Each write is on disk before it is acknowledged. The caller stops it.
 *
 * @param settings - more of the command line: `['--aclfile', path]`
 * @param config - a configuration file, which it may rewrite
 */
export async function startRedis(settings: readonly string[] = [], config?: string): Promise<RedisServer> {
  const folder = await mkdtemp(join(tmpdir(), 'keyturn-redis-'))
  const port = await freePort()
  const url = `redis://127.0.0.1:${port}`
  let child: ChildProcess | null = null
  const start = async () => {
    const durable = ['--save', '', '--appendonly', 'yes', '--appendfsync', 'always']
    const place = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder]
    child = spawn('redis-server', [...(config === undefined ? [] : [config]), ...place, ...durable, ...settings], { stdio: 'ignore' })
    while (!(await answers(url))) {
      if (child.exitCode !== null) throw new Error(`redis-server ended with code ${child.exitCode}`)
      await sleep(20)
    }
  }
  const kill = async () => {
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }
  await start()
  return {
    url,
    port,
    kill,
    start,
    stop: async () => {
      await kill()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
