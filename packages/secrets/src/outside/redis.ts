import { fail } from '@keyturn/core'
import { z } from 'zod'
import { outside } from './failure.ts'

/** How a Redis is logged in to. */
export interface RedisLogin {
  /** Who is asked, for messages: `Redis, node 2`. */
  readonly where: string
  /** Address, with or without a login: `user` and `password` come first. */
  readonly url: string
  readonly user?: string
  readonly password?: string
  readonly signal: AbortSignal
}

/** An answer that is an error: its first word, and what follows it. Never printed whole: Redis may quote what it was given. */
export class RedisRefusal extends Error {
  readonly word: string
  constructor(message: string) {
    super(message)
    this.word = /^[A-Z]{2,20}\b/.exec(message)?.[0] ?? 'an error'
  }
}

/** One connection, made for one piece of work. */
export interface RedisSession {
  /** @throws a `RedisRefusal` where Redis answers with an error, and what `outside` makes where it does not answer */
  ask(command: string, ...args: readonly string[]): Promise<unknown>
}

/** An address without a login in it, as consumers reach it. */
export const redisAddress = z
  .string()
  .refine((text) => /^rediss?:\/\//.test(text) && URL.canParse(text) && new URL(text).username === '' && new URL(text).password === '', {
    error: 'expected an address such as redis://cache.internal:6379, without a login in it',
  })

const CONNECT_MS = 10_000
const passing = ['LOADING', 'BUSY', 'MASTERDOWN', 'TRYAGAIN', 'CLUSTERDOWN']
/** Whether another time would be another answer. That there is no room has no word of its own. */
const isPassing = ({ word, message }: RedisRefusal): boolean => passing.includes(word) || /^ERR max number of clients/.test(message)
/** Wrong password or no such user; no password where one is needed. */
const loginRefused = ['WRONGPASS', 'NOAUTH']

/**
 * Does some work in a connection of its own, and closes it. The login is sent by AUTH with the user's name where there is one.
 *
 * @throws what `outside` makes. Before the log-in nothing can have happened: busy or refused. A connection that breaks later is uncertain
 */
export async function inRedis<T>(login: RedisLogin, work: (session: RedisSession) => Promise<T>): Promise<T> {
  const { where, signal } = login
  const client = await connected(login)
  const stop = () => client.disconnect()
  signal.addEventListener('abort', stop)
  const session: RedisSession = {
    ask: async (command, ...args) => {
      try {
        return await client.call(command, ...args)
      } catch (error) {
        if (isReply(error)) throw new RedisRefusal(error.message)
        throw outside('uncertain', where, signal.aborted ? 'there was no answer in time' : 'the connection broke')
      }
    },
  }
  try {
    await logIn(session, login)
    return await work(session)
  } catch (error) {
    if (error instanceof RedisRefusal) throw outside(isPassing(error) ? 'busy' : 'refused', where, `it answered ${error.word}`)
    throw error
  } finally {
    signal.removeEventListener('abort', stop)
    client.disconnect()
  }
}

/** Logs in and looks whether it was let in: null, or the word of the refusal. @throws busy where nobody could be asked */
export async function tryRedis(login: RedisLogin): Promise<string | null> {
  return inRedis({ where: login.where, url: withoutLogin(login.url, login.where), signal: login.signal }, async (session) => {
    try {
      await logIn(session, login)
      // That it may do nothing with keys is no sign of a wrong password.
      await session.ask('PING').catch((error: unknown) => {
        if (!(error instanceof RedisRefusal) || error.word !== 'NOPERM') throw error
      })
      return null
    } catch (error) {
      const isRefused = error instanceof RedisRefusal && (loginRefused.includes(error.word) || error.word === 'ERR') && !isPassing(error)
      if (isRefused) return error.word
      throw error
    }
  })
}

/** The login in an address; empty where there is none. */
export function loginIn(url: string): { readonly user?: string; readonly password?: string } {
  const { username, password } = URL.canParse(url) ? new URL(url) : { username: '', password: '' }
  return password === '' ? {} : { user: username === '' ? 'default' : decodeURIComponent(username), password: decodeURIComponent(password) }
}

async function logIn(session: RedisSession, { url, ...given }: RedisLogin): Promise<void> {
  const { user = 'default', password } = given.password === undefined ? loginIn(url) : given
  if (password === undefined) return
  await session.ask('AUTH', user, password).catch((error: unknown) => {
    throw error instanceof RedisRefusal ? error : outside('busy', given.where, 'the connection broke before the log-in')
  })
}

function withoutLogin(url: string, where: string): string {
  if (!/^rediss?:\/\//.test(url) || !URL.canParse(url)) throw outside('refused', where, 'its address is not one of Redis')
  const bare = new URL(url)
  bare.username = ''
  bare.password = ''
  // The number of a database would be selected before the log-in.
  bare.pathname = ''
  return bare.href
}

async function connected({ where, url, signal }: RedisLogin) {
  if (signal.aborted) throw outside('busy', where, 'there was no time left to ask')
  const bare = withoutLogin(url, where)
  const ioredis = await import('ioredis').catch(() => null)
  if (ioredis === null) throw fail('ERR_USAGE', 'this part needs a Redis client: npm install ioredis')
  const client = new ioredis.Redis(bare, {
    lazyConnect: true,
    enableReadyCheck: false,
    enableOfflineQueue: false,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    connectTimeout: CONNECT_MS,
    disableClientInfo: true,
  })
  // Without a listener it prints what it was given.
  client.on('error', () => {})
  await client.connect().catch(() => {
    client.disconnect()
    throw outside('busy', where, 'it cannot be connected to')
  })
  return client
}

/** Whether Redis itself answered with an error; what else fails is the connection. */
const isReply = (error: unknown): error is Error => error instanceof Error && error.name === 'ReplyError'
