import Fastify, { type FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { expect } from 'vitest'
import { fail } from '../../packages/core/src/errors.ts'
import type { SqlState } from '../../packages/core/src/state/sql.ts'
import { mayAct, type Role } from '../../packages/server/src/access.ts'
import { type LocalAccess, openAccess } from '../../packages/server/src/authentication/access.ts'
import { problemOf, wrongInput } from '../../packages/server/src/problem.ts'
import type { Route } from '../../packages/server/src/route.ts'

/** What a request is made of; everything may be left out. */
export interface Asked {
  readonly body?: unknown
  readonly cookies?: { readonly [name: string]: string }
  readonly bearer?: string
  readonly headers?: { readonly [name: string]: string }
  readonly address?: string
}
export interface Answered {
  readonly status: number
  /** What was answered as JSON; else empty. */
  readonly body: Record<string, unknown>
  readonly text: string
  readonly cookies: { readonly [name: string]: string }
  readonly headers: { readonly [name: string]: unknown }
}

/** Local users on a database, with a clock of their own and nothing of the server but the routes of authentication. */
export interface People {
  readonly access: LocalAccess
  readonly logged: string[]
  /** The token of the set-up link of this start; empty if there was none. */
  readonly link: string
  ask(method: string, path: string, asked?: Asked): Promise<Answered>
  /** Lets time go by. */
  pass(seconds: number): void
  /** Goes on to the next minute, and puts what was refused in the one before on record. */
  report(): Promise<readonly Record<string, unknown>[]>
  close(): Promise<void>
}

/** Time of all worlds: servers on one database must agree. */
let time = Date.parse('2026-11-21T10:00:00Z')

export async function openPeople(
  state: SqlState,
  options: { readonly secure?: boolean; readonly trustProxy?: boolean } = {},
): Promise<People> {
  const logged: string[] = []
  const log = pino({ level: 'trace' }, { write: (line: string) => void logged.push(line) })
  let link = ''
  const access = await openAccess({
    state,
    log,
    prefix: '',
    secure: options.secure ?? false,
    now: () => new Date(time),
    onSetup: (path) => {
      link = path.split('#')[1] ?? ''
    },
  })
  const app = mount(access, options.trustProxy ?? false)
  return {
    access,
    logged,
    link,
    ask: (method, path, asked) => askApp(app, method, path, asked),
    pass: (seconds) => {
      time += seconds * 1000
    },
    report: async () => {
      time += 66_000
      await access.sweep()
      const { rows } = await state.query(
        `SELECT data FROM ${state.schema}.audit_event WHERE action = 'session.refuse' ORDER BY audit_event.seq`,
      )
      return rows.map(({ data }) => JSON.parse(String(data)))
    },
    close: async () => {
      await app.close()
      await access.close()
    },
  }
}

function mount(access: LocalAccess, trustProxy: boolean): FastifyInstance {
  const app = Fastify({ trustProxy })
  app.setErrorHandler((error, _request, reply) => {
    const { problem, headers } = problemOf(error)
    return reply.code(problem.status).headers(headers).send(problem)
  })
  for (const route of access.routes) {
    app.route({
      method: route.method,
      url: route.path,
      handler: async (request, reply) => {
        const caller = await access.callerOf(request)
        if (route.role !== 'anyone' && caller === null) throw fail('ERR_UNAUTHORIZED')
        if (route.role !== 'anyone' && caller !== null && !mayAct(caller.role, route.role)) throw fail('ERR_FORBIDDEN', 'its role')
        const checked = {
          params: parsed(route.params, request.params),
          query: parsed(route.query, request.query),
          body: parsed(route.body, request.body),
        }
        return await route.handle({ request, reply, caller, server: undefined as never, ...checked })
      },
    })
  }
  return app
}

function parsed(schema: Route['params'], value: unknown): unknown {
  const result = schema?.safeParse(value)
  if (result !== undefined && !result.success) throw wrongInput(`/${result.error.issues[0]?.path.join('/')}`, 'it does not fit')
  return result?.data
}

/** Asks an application, with the header that a page of ours sends. */
export async function askApp(app: FastifyInstance, method: string, path: string, asked: Asked = {}): Promise<Answered> {
  const { body, cookies, bearer, headers, address = '203.0.113.7' } = asked
  const response = await app.inject({
    method: method as 'GET',
    url: path,
    remoteAddress: address,
    headers: {
      'x-keyturn': '1',
      ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
      ...(cookies === undefined
        ? {}
        : {
            cookie: Object.entries(cookies)
              .map((pair) => pair.join('='))
              .join('; '),
          }),
      ...headers,
    },
    ...(body === undefined ? {} : { payload: body as object }),
  })
  return {
    status: response.statusCode,
    body: /[/+]json/.test(String(response.headers['content-type'])) ? JSON.parse(response.body) : {},
    text: response.body,
    cookies: Object.fromEntries(response.cookies.map(({ name, value }) => [name, value])),
    headers: response.headers,
  }
}

export const passwordOf = (name: string): string => `the long password of ${name}`

/** Makes the first admin, `ada`. @returns her cookies */
export async function setUp(people: People): Promise<Answered['cookies']> {
  const body = { token: people.link, name: 'ada', password: passwordOf('ada') }
  const { status, cookies } = await people.ask('POST', '/v1/setup', { body })
  expect(status).toBe(201)
  return cookies
}

/** Makes a user by an admin. @returns its id */
export async function addUser(people: People, cookies: Answered['cookies'], name: string, role: Role): Promise<string> {
  const { status, body } = await people.ask('POST', '/v1/users', { cookies, body: { name, role, password: passwordOf(name) } })
  expect(status).toBe(201)
  return String(body.id)
}

export const signIn = (people: People, name: string, asked: Asked & { readonly password?: string } = {}): Promise<Answered> =>
  people.ask('POST', '/v1/session', { ...asked, body: { name, password: asked.password ?? passwordOf(name) } })
