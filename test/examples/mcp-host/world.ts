import { randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest'
import { useDatabase } from '../../harness/postgres.ts'
import type { TestRedis } from '../../harness/redis.ts'
import type { Answer } from '../asking.ts'
import { type CalledSystem, startCalledSystem } from '../floh/called-system.ts'
import type { Image } from '../image.ts'
import {
  admin,
  buildHost,
  type Environment,
  type Host,
  login,
  type Program,
  printed,
  refusedStart,
  runScript,
  type Surroundings,
  startHost,
} from './application.ts'

/** What `openssl rand -hex 32` prints. */
export const newKey = () => randomBytes(32).toString('hex')

/** The host with a database, Redis and an MCP server that it calls, for a test file. Each test begins with an empty database. */
export function useHost(redis: TestRedis) {
  const server = useDatabase()
  const running = new Set<Host>()
  const secrets = new Set<string>([admin.password])
  let image: Image
  let called: CalledSystem
  let cookie = ''
  let last: Host | null = null

  const surroundings = (): Surroundings => ({ image, databaseUrl: server.url, redisUrl: redis.url })
  const key = (): string => {
    const made = newKey()
    secrets.add(made)
    return made
  }

  beforeAll(async () => {
    called = await startCalledSystem()
    image = await buildHost()
  })
  afterAll(async () => {
    await called?.close()
    await emptyRedis()
  })
  beforeEach(async () => {
    await server.pool.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public; DROP SCHEMA IF EXISTS keyturn CASCADE')
    await server.pool.query('DROP SCHEMA IF EXISTS keyturn_jobs CASCADE')
    await emptyRedis()
  })
  afterEach(async () => {
    for (const process of running) await stop(process)
    // In no test has a process printed a key, a token or a stored value.
    for (const said of printed.splice(0)) {
      for (const one of secrets) expect(said.includes(one)).toBe(false)
      expect(said).not.toMatch(/marked-|mcp_/)
    }
  })

  async function emptyRedis(): Promise<void> {
    const keys = redis.missing ? [] : await redis.client.keys('mcp-host:*')
    if (keys.length > 0) await redis.client.unlink(keys)
  }
  async function start(program: Program, environment: Environment): Promise<Host> {
    const process = await startHost(surroundings(), program, environment)
    running.add(process)
    return process
  }
  async function stop(process: Host): Promise<void> {
    running.delete(process)
    await process.stop()
  }
  const serve = async (environment: Environment): Promise<Host> => {
    last = await start('main', environment)
    cookie = await login(last.url)
    return last
  }
  const ask = async (method: string, path: string, body?: object): Promise<Answer> => {
    if (last === null) throw new Error('no host serves')
    return await last.ask(method, path, { cookie, headers: { Origin: last.url }, ...(body === undefined ? {} : { body }) })
  }

  return {
    server,
    key,
    stop,
    refused: (environment: Environment, program: Program = 'main') => refusedStart(surroundings(), program, environment),
    script: (args: readonly string[], environment: Environment) => runScript(surroundings(), args, environment),
    /** A process that serves, with somebody logged in for `ask`. */
    serve,
    /** Ends every process, and starts one that serves. */
    restart: async (environment: Environment) => {
      for (const process of running) await stop(process)
      await serve(environment)
    },
    /** What a server answers that is asked with its stored secret. */
    check: async (id: string): Promise<number> => (await ask('POST', `/api/servers/${id}/check`)).body.status,
    work: (environment: Environment) => start('worker', environment),
    /** As a page of the host last started does. */
    ask,
    get cookie() {
      return cookie
    },
    get called() {
      return called
    },
    /** SIGKILL: nothing is tidied up. */
    kill: async (process: Host) => {
      running.delete(process)
      await process.kill()
    },
    /** Adds a server that wants a credential. @returns the ids, and what the server accepts */
    addServer: async (name = `server ${randomBytes(4).toString('hex')}`) => {
      const credential = called.issue()
      const headers = { Authorization: `Bearer ${credential}` }
      const { status, body } = await ask('POST', '/api/servers', { name, url: called.url, headers })
      expect(status).toBe(201)
      return { id: body.id as string, name, credential }
    },
    /** Calls a tool through the queue. @returns how the call ended */
    call: async (id: string): Promise<{ state: string; status: number | null }> => {
      const { body } = await ask('POST', `/api/servers/${id}/calls`, { tool: 'look', arguments: { at: 'something' } })
      const find = async () => (await ask('GET', `/api/calls/${body.call}`)).body
      await expect.poll(async () => (await find()).state).toMatch(/completed|failed/)
      return await find()
    },
    /** A token of a program. */
    token: async (name: string): Promise<string> => {
      const { token } = (await ask('POST', '/api/tokens', { name })).body
      secrets.add(token)
      return token
    },
    storedSecrets: async () =>
      (await server.pool.query('SELECT id::text, value, "keyId" FROM secrets ORDER BY id')).rows as {
        id: string
        value: string
        keyId: string | null
      }[],
    events: async (action: string) =>
      (
        await server.pool.query('SELECT actor, subject, data::json AS data FROM keyturn.audit_event WHERE action = $1 ORDER BY seq', [
          action,
        ])
      ).rows,
  }
}

/** Everything that stands in a Redis, names of keys included. */
export async function everythingIn({ client }: TestRedis): Promise<string> {
  const read: Record<string, (key: string) => Promise<unknown>> = {
    string: (key) => client.get(key),
    hash: (key) => client.hgetall(key),
    list: (key) => client.lrange(key, 0, -1),
    set: (key) => client.smembers(key),
    zset: (key) => client.zrange(key, 0, -1, 'WITHSCORES'),
    stream: (key) => client.xrange(key, '-', '+'),
  }
  const parts: unknown[] = []
  for (const key of await client.keys('*')) {
    const type = await client.type(key)
    // One that has expired meanwhile is none.
    if (type !== 'none') parts.push(key, await read[type]?.(key))
  }
  return JSON.stringify(parts)
}

/** Every row of every table of the application and of Keyturn, as text. */
export async function everythingInDatabase(pool: { query(text: string): Promise<{ rows: { name?: string; line?: string }[] }> }) {
  const { rows } = await pool.query(
    `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`,
  )
  const lines: string[] = []
  for (const { name } of rows)
    for (const { line } of (await pool.query(`SELECT t::text AS line FROM ${name} t`)).rows) lines.push(line ?? '')
  return lines.join('\n')
}
