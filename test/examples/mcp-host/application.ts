import { join } from 'node:path'
import { startChild } from '../../harness/child.ts'
import { type Asking, ask, send } from '../asking.ts'
import { buildImage, type Image } from '../image.ts'
import { type Instance, refusalOf, startInstance } from '../instance.ts'

/** Built as the Dockerfile does it. */
export async function buildHost(): Promise<Image> {
  return await buildImage('mcp-host')
}

export const admin = { name: 'ada', password: 'a password of ada, long enough' }

/** What processes of the example have printed. Searched for secrets. */
export const printed: string[] = []

/** The variables that a test sets; what a developer's own shell may have set is taken away. */
export interface Environment {
  readonly [variable: string]: string | undefined
}
const unset: Environment = {
  SECRETS_ENCRYPTION_KEY: undefined,
  SECRETS_ENCRYPTION_KEY_PREVIOUS: undefined,
  KMS_KEY_ID: undefined,
  CERTIFICATE_KEY: undefined,
  PUBLIC_URL: undefined,
  TRUSTED_PROXY: undefined,
  // A rotation waits four times this.
  KEY_REFRESH_MS: '100',
  NODE_ENV: 'production',
}

/** Where a process finds what it works with. */
export interface Surroundings {
  readonly image: Image
  readonly databaseUrl: string
  readonly redisUrl: string
}

/** What a process of the host runs. */
export type Program = 'main' | 'worker' | 'scripts/encryption'
export type Host = Instance & {
  ask(method: string, path: string, asking?: Asking): ReturnType<typeof ask>
}

/** Starts a process of the host as its image does, and waits until it serves, or waits for calls. */
export async function startHost(surroundings: Surroundings, program: Program, environment: Environment): Promise<Host> {
  const child = launch(surroundings, program, environment)
  const instance = await startInstance(child, printed, program === 'worker' ? 'waiting for calls' : 'listening on ')
  return { ...instance, ask: (method, path, asking = {}) => ask(instance.url, method, path, asking) }
}

/** Starts a process that is to refuse. @returns how it ended and what it said */
export async function refusedStart(surroundings: Surroundings, program: Program, environment: Environment) {
  return await refusalOf(launch(surroundings, program, environment), printed)
}

/** Runs the script that an operator runs in the container. @returns what it printed, which is JSON */
export async function runScript(surroundings: Surroundings, args: readonly string[], environment: Environment) {
  const { code, stdout, stderr } = await launch(surroundings, 'scripts/encryption', environment, args).exit
  printed.push(stdout, stderr)
  if (code !== 0) throw new Error(`the script ended with ${code}: ${stdout}${stderr}`)
  return JSON.parse(stdout)
}

/** Logs in as a page does. @returns the cookie of the session */
export async function login(url: string, { name, password } = admin): Promise<string> {
  const response = await attemptLogin(url, { name, password })
  if (response.status !== 200) throw new Error(`the login ended with ${response.status}`)
  return response.headers.getSetCookie()[0]?.split(';')[0] ?? ''
}

export async function attemptLogin(url: string, body: object, headers: Readonly<Record<string, string>> = { Origin: url }) {
  return await send(url, 'POST', '/login', { body, headers })
}

function launch({ image, databaseUrl, redisUrl }: Surroundings, program: Program, environment: Environment, args: readonly string[] = []) {
  return startChild(join(image.folder, 'dist', `${program}.js`), args, {
    cwd: image.folder,
    node: [],
    env: {
      ...unset,
      DATABASE_URL: databaseUrl,
      REDIS_URL: redisUrl,
      ADMIN_NAME: admin.name,
      ADMIN_PASSWORD: admin.password,
      HOST: '127.0.0.1',
      PORT: '0',
      ...environment,
    },
  })
}
