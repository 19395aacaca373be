import { Agent, createServer, type IncomingMessage, type ServerResponse, request as send } from 'node:http'
import { buffer, text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll } from 'vitest'
import { type Child, startChild } from '../harness/child.ts'
import { count } from '../harness/counts.ts'

/** What a process answered. */
export interface Answer {
  readonly status: number
  readonly body: string
}

/** One process of the application. */
export interface Member {
  readonly child: Child
  readonly port: number
}

/** Processes of an application behind a proxy, which gives each request to the next of them. */
export interface Fleet {
  readonly members: readonly Member[]
  readonly url: string
  /** Replaces every process, one after the other: the new one is there before the old one goes. */
  roll(config: object): Promise<void>
  /** Replaces one process. */
  restart(at: number, config: object): Promise<void>
  /** Sends to whichever process is next. */
  ask(path: string, body?: string): Promise<Answer>
  close(): Promise<void>
}

const agent = new Agent({ keepAlive: false })

/** Asks one process. @throws when it cannot be reached */
export function askPort(port: number, path: string, body = ''): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = send({ port, path, method: 'POST', agent, host: '127.0.0.1' }, (response) => {
      text(response).then((answer) => resolve({ status: response.statusCode ?? 0, body: answer }), reject)
    })
    request.on('error', reject)
    request.end(body)
  })
}

async function start(url: string, config: object, jwks: string): Promise<Member> {
  const child = startChild(new URL('./process.ts', import.meta.url).href, [url, JSON.stringify(config), jwks], {
    env: { ...secretsOf(config), ROOT: '5e'.repeat(32) },
  })
  started.add(child)
  await child.printed('.')
  return { child, port: Number(/port (\d+)\./.exec(child.stdout)?.[1]) }
}

const started = new Set<Child>()
// Also where a test ended before its fleet was there.
afterAll(async () => void (await Promise.all([...started].map((child) => child.kill()))))

/** Secrets stand beside the configuration, so that each process can have its own. */
const secretsOf = (config: object): { [name: string]: string } =>
  'secrets' in config ? (config.secrets as { [name: string]: string }) : {}

/**
 * @param urls - the address of the database for each process
 * @param jwks - whether they also verify by the JWKS document, fetched through the proxy
 */
export async function startFleet(urls: readonly string[], config: object, jwks: boolean): Promise<Fleet> {
  const members: Member[] = []
  let turn = 0
  const forward = async (incoming: IncomingMessage, response: ServerResponse) => {
    const body = (await buffer(incoming)).toString()
    // A process that has just gone is passed over, as a proxy does: nothing was done there.
    for (let tries = 0; tries <= members.length; tries++) {
      const member = members[turn++ % members.length] as Member
      const answer = await askPort(member.port, incoming.url ?? '', body).catch(() => null)
      if (answer !== null) return void response.writeHead(answer.status).end(answer.body)
    }
    response.writeHead(502).end()
  }
  const server = createServer((incoming, response) => void forward(incoming, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0
  const url = `http://127.0.0.1:${port}`
  const launch = (at: number, of: object) => start(urls[at] as string, of, jwks ? `${url}/.well-known/jwks.json` : '')
  members.push(...(await Promise.all(urls.map((_, at) => launch(at, config)))))
  const restart = async (at: number, of: object) => {
    const old = members[at] as Member
    members[at] = await launch(at, of)
    await old.child.kill('SIGTERM')
  }
  return {
    members,
    url,
    restart,
    roll: async (of) => {
      for (const at of urls.keys()) await restart(at, of)
    },
    ask: (path, body) => askPort(port, path, body),
    close: async () => {
      await Promise.all(members.map(({ child }) => child.kill()))
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** The claims of a token, believed. */
export const expiryOf = (token: string): number => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()).exp
export const kidOf = (token: string): string => JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid

/** Users who log in and come back all the time. */
export interface Traffic {
  readonly minted: number
  readonly verified: number
  /** When the last token expires that was minted so far. */
  readonly lastExpiry: string
  /** Answers that a valid token must not have. */
  readonly refused: readonly Answer[]
  stop(): Promise<void>
}

/** Mints and verifies until stopped. Every token is shown again until it expires, in both ways of verifying. */
export function startTraffic(fleet: Fleet): Traffic {
  const state = { minted: 0, verified: 0, refused: [] as Answer[], running: true }
  let valid: string[] = []
  const now = () => Date.now() / 1000
  const visit = async (): Promise<void> => {
    const minted = await fleet.ask('/mint')
    if (minted.status !== 200) return void state.refused.push(minted)
    state.minted++
    valid = [...valid, minted.body].filter((token) => expiryOf(token) > now())
    // The newest, the oldest and one between.
    for (const token of [valid.at(-1), valid[0], valid[Math.floor(Math.random() * valid.length)]] as string[]) {
      for (const path of ['/verify', '/verify-remote']) {
        const answer = await fleet.ask(path, token)
        if (answer.status === 200) state.verified++
        // One that has expired on the way was not valid any more.
        else if (expiryOf(token) > now()) state.refused.push({ ...answer, body: `${path} ${kidOf(token)} ${answer.body}` })
      }
    }
  }
  const loop = (async () => {
    while (state.running) {
      await visit()
      // The processes share the processor with this loop.
      await sleep(count(20, 0))
    }
  })()
  return {
    get minted() {
      return state.minted
    },
    get verified() {
      return state.verified
    },
    get lastExpiry() {
      return new Date(Math.max(0, ...valid.map(expiryOf)) * 1000).toISOString()
    },
    get refused() {
      return state.refused
    },
    stop: async () => {
      state.running = false
      await loop
    },
  }
}
