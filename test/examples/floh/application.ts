import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { startChild } from '../../harness/child.ts'
import { type Asking, ask } from '../asking.ts'
import { buildImage, type Image } from '../image.ts'
import { refusalOf, startInstance } from '../instance.ts'
import { Browser, type LocalProvider } from './provider.ts'

/** Built as the Dockerfile does it. */
export async function buildFloh(): Promise<Image> {
  return await buildImage('floh')
}

/** What `openssl rand -hex 32` prints. */
export const newKey = () => randomBytes(32).toString('hex')

/** What processes of the example have printed. Searched for secrets. */
export const printed: string[] = []

/** The variables that a test sets; what a developer's own shell may have set is taken away. */
export interface Keys {
  readonly [variable: string]: string | undefined
}
const unset: Keys = {
  CONNECTOR_ENCRYPTION_KEY: undefined,
  CONNECTOR_ENCRYPTION_KEY_PREVIOUS: undefined,
  SESSION_ENCRYPTION_KEY: undefined,
  SESSION_ENCRYPTION_KEY_PREVIOUS: undefined,
  SESSION_SECRET: undefined,
  JWT_SECRET: undefined,
  NODE_ENV: 'production',
}

/** Where a process finds what it works with. */
export interface Surroundings {
  readonly image: Image
  readonly databaseUrl: string
  readonly redisUrl: string
  readonly publicUrl: string
  readonly provider: LocalProvider
}

/** Logs somebody in through the provider. @returns the cookie of the session */
export async function login(publicUrl: string, user: string): Promise<string> {
  const browser = new Browser(user)
  const { status, text } = await browser.open(`${publicUrl}/login`)
  if (status !== 200) throw new Error(`the login ended with ${status}: ${text}`)
  return browser.cookieFor(publicUrl)
}

export type Floh = Awaited<ReturnType<typeof startFloh>>

/** Starts the application in a process of its own, as its image does. */
export async function startFloh(surroundings: Surroundings, keys: Keys) {
  const instance = await startInstance(launch(surroundings, keys), printed)
  return { ...instance, ask: (method: string, path: string, asking: Asking = {}) => ask(instance.url, method, path, asking) }
}

/** Starts it with an environment that it refuses. @returns how it ended and what it said */
export async function refusedStart(surroundings: Surroundings, keys: Keys): Promise<{ code: number | null; message: string }> {
  return await refusalOf(launch(surroundings, keys), printed)
}

function launch({ image, databaseUrl, redisUrl, publicUrl, provider }: Surroundings, keys: Keys) {
  return startChild(join(image.folder, 'dist', 'main.js'), [], {
    cwd: image.folder,
    node: [],
    env: {
      ...unset,
      DATABASE_URL: databaseUrl,
      REDIS_URL: redisUrl,
      OIDC_ISSUER: provider.issuer,
      OIDC_CLIENT_ID: provider.clientId,
      OIDC_CLIENT_SECRET: provider.clientSecret,
      ADMINS: 'ada, grace',
      PUBLIC_URL: publicUrl,
      HOST: '127.0.0.1',
      PORT: '0',
      ...keys,
    },
  })
}
