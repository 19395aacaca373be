import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import type { Pool } from 'pg'
import { afterEach, beforeEach } from 'vitest'
import { type Config, defineConfig, env } from '../../packages/core/src/config/config.ts'
import type { Keyturn } from '../../packages/core/src/keyturn.ts'
import { open } from '../../packages/core/src/open.ts'
import type { Caller, Role } from '../../packages/server/src/access.ts'
import { keyturnServer, type ServerOptions } from '../../packages/server/src/plugin.ts'
import { type TestDatabase, useDatabase } from '../harness/postgres.ts'

/** A service with tokens of others, all under a key of its environment, to be moved to a keyring. */
export const config: Config = defineConfig({
  // What is older than twice this refuses to encrypt: on a loaded machine a process may stand still for a while.
  refreshMs: 500,
  signing: { key: env('SIGNING_KEY') },
  keyrings: { app: { root: env('ROOT'), period: '90d' } },
  fields: {
    'tokens.token': {
      column: 'tokens.token',
      keyring: 'app',
      bind: ['id'],
      reads: [{ codec: 'hex-colon', key: env('OLD'), keyRule: 'hex' }],
    },
    'tokens.note': { column: 'tokens.note', keyring: 'app' },
  },
})
export const keys = { ROOT: 'ab'.repeat(32), OLD: '11'.repeat(32), SIGNING_KEY: '42'.repeat(32) }

/** Makes the table of the service, with values of the active key. */
export async function fill(pool: Pick<Pool, 'query'>, keyturn: Keyturn, rows: number): Promise<void> {
  const [token, note] = [keyturn.field('tokens.token'), keyturn.field('tokens.note')]
  const values: unknown[] = []
  for (let id = 1; id <= rows; id++)
    values.push([`row ${id}`, await token.encrypt(`secret ${id}`, { id: `row ${id}` }), id % 2 ? await note.encrypt(`note ${id}`) : null])
  await pool.query(`INSERT INTO tokens SELECT x->>0, x->>1, x->>2 FROM jsonb_array_elements($1::text::jsonb) AS e(x)`, [
    JSON.stringify(values),
  ])
  await pool.query('ANALYZE tokens')
}

/** Callers by `Authorization: Bearer ROLE`, as an application that mounts the server would say. */
export function authorize({ headers }: FastifyRequest): Caller | null {
  const role = /^Bearer (viewer|operator|admin)$/.exec(headers.authorization ?? '')?.[1] as Role | undefined
  return role === undefined ? null : { actor: `user:${role}`, role, kind: 'application', id: role, name: role }
}

/** An answer of the server. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: a test looks at what it expects
  readonly body: any
}

/** A client of a server. */
export interface Api {
  readonly url: string
  ask(
    method: string,
    path: string,
    body?: unknown,
    more?: { readonly role?: Role | null; readonly headers?: Record<string, string> },
  ): Promise<Answer>
  get(path: string): Promise<Answer>
  post(path: string, body?: unknown): Promise<Answer>
  /** Asks until the answer fits. */
  until(path: string, fits: (body: Answer['body']) => boolean): Promise<Answer['body']>
}

/** Asks a server at `url` as an admin, unless another role is given. */
export function apiAt(url: string): Api {
  const ask: Api['ask'] = async (method, path, body, { role = 'admin', headers = {} } = {}) => {
    const response = await fetch(`${url}${path}`, {
      method,
      redirect: 'manual',
      headers: {
        ...(role === null ? {} : { authorization: `Bearer ${role}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    const isJson = /json/.test(response.headers.get('content-type') ?? '') && !/ndjson/.test(response.headers.get('content-type') ?? '')
    return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text }
  }
  return {
    url,
    ask,
    get: (path) => ask('GET', path),
    post: (path, body = {}) => ask('POST', path, body),
    until: async (path, fits) => {
      for (;;) {
        const { status, body } = await ask('GET', path)
        if (status === 200 && fits(body)) return body
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    },
  }
}

/** Serves on a free port. @param mounted - options that a test changes */
export async function serving(
  pool: Pool,
  keyturn: Keyturn,
  mounted: Partial<ServerOptions> & { readonly prefix?: string } = {},
): Promise<{ readonly app: FastifyInstance; readonly api: Api }> {
  const app = fastify({ logger: false, forceCloseConnections: true, routerOptions: { maxParamLength: 256 } })
  const { prefix = '', ...options } = mounted
  await app.register(keyturnServer, {
    pool,
    keyturn,
    authorize,
    throttle: { share: 1 },
    wakeMs: 1_000,
    console: null,
    ...options,
    prefix,
  } as ServerOptions)
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  return { app, api: apiAt(`${url}${prefix}`) }
}

/** A server on a database of the test file, with `rows` rows; what is opened is closed after each test. */
export function useServer(
  rows: number,
  more: { readonly config?: Config; readonly options?: Partial<ServerOptions> & { readonly prefix?: string } } = {},
) {
  const database = useDatabase()
  const closing: (() => Promise<unknown>)[] = []
  const world = {
    database: database as TestDatabase,
    keyturn: undefined as unknown as Keyturn,
    app: undefined as unknown as FastifyInstance,
    api: undefined as unknown as Api,
    open: async (): Promise<Keyturn> => {
      const keyturn = await open(more.config ?? config, { pool: database.pool, env: keys, leaseMs: 1_500, warn: () => {} })
      closing.unshift(() => keyturn.close())
      return keyturn
    },
    serve: async (keyturn: Keyturn, options: Partial<ServerOptions> = {}) => {
      const served = await serving(database.pool, keyturn, { ...more.options, ...options })
      closing.unshift(() => served.app.close())
      return served
    },
  }
  beforeEach(async () => {
    await database.pool.query(
      'DROP SCHEMA IF EXISTS keyturn CASCADE; DROP SCHEMA IF EXISTS keyturn_jobs CASCADE; DROP TABLE IF EXISTS tokens',
    )
    await database.pool.query('CREATE TABLE tokens (id text PRIMARY KEY, token text, note text)')
    world.keyturn = await world.open()
    await fill(database.pool, world.keyturn, rows)
    Object.assign(world, await world.serve(world.keyturn))
  })
  afterEach(async () => {
    for (const close of closing.splice(0)) await close()
  })
  return world
}
