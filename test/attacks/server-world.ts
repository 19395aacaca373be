import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Fastify, { type FastifyInstance } from 'fastify'
import { afterAll, beforeAll, expect } from 'vitest'
import type { Config } from '../../packages/core/src/config/config.ts'
import type { Keyturn } from '../../packages/core/src/keyturn.ts'
import { open } from '../../packages/core/src/open.ts'
import type { Role } from '../../packages/server/src/access.ts'
import { keyturnServer } from '../../packages/server/src/index.ts'
import { serverLog } from '../../packages/server/src/log.ts'
import { environment, refill, config as usual } from '../evidence/world.ts'
import { createDatabase, type TestDatabase } from '../harness/postgres.ts'
import { type Answered, type Asked, askApp, passwordOf } from './server-people.ts'

/** Where a secret stands beside the folder of the console. */
export const outside = 'what stands outside of the console'

/** A route as it is mounted; `role` is undefined where it says none. */
export interface Mounted {
  readonly method: string
  readonly path: string
  readonly role: Role | 'anyone' | undefined
}

/** The whole server on a database of its own, with a user and a token of each role. */
export interface World {
  readonly app: FastifyInstance
  readonly keyturn: Keyturn
  readonly database: TestDatabase
  readonly logged: string[]
  readonly mounted: readonly Mounted[]
  readonly tokens: Readonly<Record<Role, string>>
  readonly link: string
  ask(method: string, path: string, asked?: Asked): Promise<Answered>
  /** Signs in. @returns the cookies */
  signIn(role: Role): Promise<Answered['cookies']>
}

export const names: Record<Role, string> = { viewer: 'vera', operator: 'olaf', admin: 'ada' }

/** What a test wants of its world beside what all have. */
interface Worldly {
  readonly prefix?: string
  readonly config?: Config
  /** Variables beside the keys. */
  readonly env?: { readonly [name: string]: string }
}

/** A world for the file that calls it; its members are there in tests and hooks. */
export function useWorld(options: Worldly = {}): World {
  let world: (World & { close(): Promise<void> }) | undefined
  beforeAll(async () => {
    world = await openWorld(options)
  })
  afterAll(() => world?.close())
  return new Proxy({} as World, { get: (_, member) => Reflect.get(world ?? {}, member) })
}

async function openWorld({ prefix = '', config = usual, env = {} }: Worldly): Promise<World & { close(): Promise<void> }> {
  const database = await createDatabase()
  await refill(database.pool, 3)
  const keyturn = await open(config, { pool: database.pool, env: { ...environment, ...env }, warn: () => {}, leaseMs: 5_000 })
  const logged: string[] = []
  const mounted: Mounted[] = []
  const folder = await mkdtemp(join(tmpdir(), 'keyturn-console-'))
  const app = Fastify({ loggerInstance: serverLog('trace', { write: (line) => void logged.push(line) }) }) as unknown as FastifyInstance
  app.addHook('onRoute', ({ method, url, config }) => {
    const { keyturn: said } = (config ?? {}) as { keyturn?: { role: Role } }
    for (const each of [method].flat()) mounted.push({ method: each, path: url, role: said?.role })
  })
  let link = ''
  await app.register(keyturnServer, {
    prefix,
    keyturn,
    pool: database.pool,
    console: await makeConsole(folder),
    env,
    throttle: { share: 1 },
    onSetup: (path) => {
      link = path.split('#')[1] ?? ''
    },
  })
  await app.ready()
  const ask: World['ask'] = (method, path, asked) => askApp(app, method, prefix + path, asked)
  const tokens = await makePeople(ask, link)
  return {
    ...{ app, keyturn, database, logged, mounted, tokens, link, ask },
    signIn: async (role) => {
      const { cookies, status } = await ask('POST', '/v1/session', { body: { name: names[role], password: passwordOf(names[role]) } })
      expect(status).toBe(201)
      return cookies
    },
    close: async () => {
      await app.close()
      await keyturn.close()
      await database.drop()
      await rm(folder, { recursive: true })
    },
  }
}

async function makePeople(ask: World['ask'], token: string): Promise<Record<Role, string>> {
  const first = await ask('POST', '/v1/setup', { body: { token, name: names.admin, password: passwordOf(names.admin) } })
  expect(first.status).toBe(201)
  const { cookies } = first
  for (const role of ['viewer', 'operator'] as const) {
    const body = { name: names[role], role, password: passwordOf(names[role]) }
    expect((await ask('POST', '/v1/users', { cookies, body })).status).toBe(201)
  }
  const make = async (role: Role) => String((await ask('POST', '/v1/tokens', { cookies, body: { name: role, role } })).body.secret)
  return { viewer: await make('viewer'), operator: await make('operator'), admin: await make('admin') }
}

/** A console in a folder that has secrets beside it, and a way to them that is no file. */
async function makeConsole(folder: string): Promise<string> {
  const built = join(folder, 'console')
  await mkdir(join(built, 'assets'), { recursive: true })
  await writeFile(join(folder, 'outside.json'), JSON.stringify(outside))
  await writeFile(
    join(built, 'index.html'),
    '<!doctype html><html><head><script type="module" src="./assets/index-0f1e2d3c.js"></script></head></html>',
  )
  await writeFile(join(built, 'assets', 'index-0f1e2d3c.js'), 'console.log("keyturn")')
  await writeFile(join(built, '.env'), outside)
  await symlink(join(folder, 'outside.json'), join(built, 'assets', 'link.json'))
  return built
}
