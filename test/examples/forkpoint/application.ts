import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { startChild } from '../../harness/child.ts'
import { type Answer, type Asking, send } from '../asking.ts'
import { buildImage, type Image } from '../image.ts'
import { refusalOf, startInstance } from '../instance.ts'

/** Its build, with its own script to generate the client of Prisma. */
export async function buildForkpoint(): Promise<Image> {
  return await buildImage('forkpoint', {
    prepare: (folder) => void execFileSync(process.execPath, [join('prisma', 'generate.js')], { cwd: folder, stdio: 'pipe' }),
  })
}

/** 32 bytes of entropy in a text of no particular form. */
export const newSecret = () => randomBytes(32).toString('base64')

const password = randomBytes(16).toString('hex')

/** What processes of the example have printed. Searched for secrets. */
export const printed: string[] = []

/** The variables that a test sets; what a developer's own shell may have set is taken away. */
export interface Keys {
  readonly JWT_SECRET: string
  readonly JWT_SECRET_PREVIOUS?: string | undefined
  readonly ENCRYPTION_MASTER_KEY?: string | undefined
  readonly ENCRYPTION_MASTER_KEY_PREVIOUS?: string | undefined
  readonly ENCRYPTION_JWT_FALLBACK?: string | undefined
}
const unset: Omit<Keys, 'JWT_SECRET'> = {
  JWT_SECRET_PREVIOUS: undefined,
  ENCRYPTION_MASTER_KEY: undefined,
  ENCRYPTION_MASTER_KEY_PREVIOUS: undefined,
  ENCRYPTION_JWT_FALLBACK: undefined,
}

/** Where a process finds the database and Slack. */
export interface Surroundings {
  readonly image: Image
  readonly databaseUrl: string
  readonly slackUrl: string
}

/** With the headers of the answer. */
export interface WholeAnswer extends Answer {
  readonly headers: Headers
}

/** Asks an instance, or what stands before several. Lines of JSON are a list. */
export async function ask(url: string, method: string, path: string, asking: Asking = {}): Promise<WholeAnswer> {
  const response = await send(url, method, path, asking)
  const text = await response.text()
  const lines = text.split('\n').filter((line) => line !== '')
  const streamed = response.headers.get('content-type')?.includes('ndjson') ?? false
  return { status: response.status, headers: response.headers, body: streamed ? lines.map((line) => JSON.parse(line)) : JSON.parse(text) }
}

export async function login(url: string): Promise<string> {
  return (await ask(url, 'POST', '/auth/login', { body: { password } })).body.token
}

export type Forkpoint = Awaited<ReturnType<typeof startForkpoint>>

/** Starts the application in a process of its own, as its image does. */
export async function startForkpoint(surroundings: Surroundings, keys: Keys) {
  const instance = await startInstance(launch(surroundings, keys), printed)
  const token = await login(instance.url)
  return {
    ...instance,
    token,
    ask: (method: string, path: string, asking: Asking = {}) => ask(instance.url, method, path, { token, ...asking }),
  }
}

/** Starts it with keys that it refuses. @returns how it ended and what it said */
export async function refusedStart(surroundings: Surroundings, keys: Keys): Promise<{ code: number | null; message: string }> {
  return await refusalOf(launch(surroundings, keys), printed)
}

function launch({ image, databaseUrl, slackUrl }: Surroundings, keys: Keys) {
  return startChild(join(image.folder, 'dist', 'main.js'), [], {
    cwd: image.folder,
    node: [],
    env: {
      ...unset,
      NODE_ENV: 'production',
      DATABASE_URL: databaseUrl,
      ADMIN_PASSWORD: password,
      SLACK_CLIENT_ID: 'client',
      SLACK_CLIENT_SECRET: 'of the client',
      SLACK_API_URL: slackUrl,
      HOST: '127.0.0.1',
      PORT: '0',
      ...keys,
    },
  })
}
