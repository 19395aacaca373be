import { isKeyturnError, migrate, type SqlState } from '@keyturn/core'
import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import type { Access, Caller } from '../access.ts'
import { addressOf } from './address.ts'
import { isToken } from './api-token.ts'
import { forget } from './attempts.ts'
import { readCookie } from './cookies.ts'
import { openEntrance } from './entrance.ts'
import type { Ground } from './ground.ts'
import { authenticationMigrations } from './migrations.ts'
import { openPasswords } from './password.ts'
import { crossSite } from './problem.ts'
import { refuse, report } from './refusals.ts'
import { sessionRoutes } from './routes/session.ts'
import { setupRoutes } from './routes/setup.ts'
import { tokenRoutes } from './routes/tokens.ts'
import { userRoutes } from './routes/users.ts'
import { isFromOurPage, isSafe } from './same-site.ts'
import { removeEnded, sessionUser } from './sessions.ts'
import { makeSetupLink, setupLine } from './setup.ts'
import { holdsAgain, type SignInParts } from './sign-in.ts'
import { tokenCaller } from './tokens.ts'

/** What local users are kept with. */
export interface AccessOptions {
  /** Where Keyturn's own tables stand. */
  readonly state: SqlState
  readonly log: FastifyBaseLogger
  /** Where the server is mounted: `''`, or `/admin`. */
  readonly prefix: string
  /** Whether browsers reach the server by TLS, its own or that of a declared proxy. */
  readonly secure: boolean
  /** Told the path of the set-up link, once, while there is no user; the log unless given. */
  readonly onSetup?: (path: string) => void
  /** The time, for tests; the clock of the database unless given. */
  readonly now?: () => Date
}

/** What the server asks, and the house-keeping that goes on by itself. */
export interface LocalAccess extends Access {
  /** Puts the refusals of the minutes that are over on record, and forgets what is over. */
  sweep(): Promise<void>
}

const sweepMs = 10_000

/**
 * Users, sessions and tokens that Keyturn keeps itself. Makes its tables, and a set-up link while there is no user.
 *
 * Everything is in the database: all servers on it share it, limits included. A server that dies takes with it how many it turned away unheard in
 * its last seconds, and nothing else.
 */
export async function openAccess({ now, onSetup, ...given }: AccessOptions): Promise<LocalAccess> {
  const ground: Ground = { ...given, now: () => now?.().toISOString() ?? null }
  await migrate(ground.state, authenticationMigrations)
  const parts: SignInParts = { ground, passwords: await openPasswords(), entrance: openEntrance(ground) }
  const link = await makeSetupLink(ground)
  if (link !== null) (onSetup ?? ((path) => ground.log.warn(setupLine(path))))(link)
  const sweeping = sweepAgain(parts)
  const addresses = new WeakMap<Caller, string>()
  return {
    callerOf: async (request) => {
      const caller = await callerOf(ground, request)
      if (caller !== null) addresses.set(caller, addressOf(request))
      return caller
    },
    routes: [...sessionRoutes(parts), ...setupRoutes(parts), ...userRoutes(parts), ...tokenRoutes(ground)],
    passwordHolds: async (caller, password) =>
      caller.kind === 'user' && (await holdsAgain(parts, caller.id, password, addresses.get(caller) ?? '')),
    sweep: () => sweep(parts),
    close: () => sweeping.stop(),
  }
}

/** A token goes before a cookie: who sends one means it. Other schemes of `Authorization` are those of a proxy. */
async function callerOf(ground: Ground, request: FastifyRequest): Promise<Caller | null> {
  const [, bearer] = /^bearer +(.*)$/i.exec(request.headers.authorization ?? '') ?? []
  if (bearer !== undefined) return await bearerOf(ground, request, bearer.trim())
  const secret = readCookie(request, 'session', ground)
  const user = secret === '' ? null : await sessionUser(ground, secret)
  if (user === null) return null
  if (!isSafe(request.method) && !isFromOurPage(request, ground.secure)) {
    await refuse(ground, { address: addressOf(request), name: user.name, reason: 'cross-site' })
    throw crossSite()
  }
  return { actor: `user:${user.name}`, kind: 'user', ...user }
}

async function bearerOf(ground: Ground, request: FastifyRequest, bearer: string): Promise<Caller | null> {
  const token = await tokenCaller(ground, bearer)
  if (token !== null) return { actor: `token:${token.name}`, kind: 'token', ...token }
  // What has the form of a token of ours was one, or is a forgery; anything else may be meant for somebody else.
  if (isToken(bearer)) await refuse(ground, { address: addressOf(request), name: '', reason: 'token' })
  return null
}

/** Reports refusals and forgets what is over, now and then, until it is stopped. What one server does not come to, another does. */
function sweepAgain(parts: SignInParts): { stop(): Promise<void> } {
  let sweeping: Promise<void> = Promise.resolve()
  const timer = setInterval(() => {
    sweeping = sweeping.then(() => sweep(parts))
  }, sweepMs)
  timer.unref()
  return {
    stop: async () => {
      clearInterval(timer)
      await sweeping
      // The application may have ended its database already.
      await parts.entrance.report().catch(() => {})
    },
  }
}

async function sweep({ ground, entrance }: SignInParts): Promise<void> {
  try {
    await entrance.report()
    await report(ground)
    await forget(ground)
    await removeEnded(ground)
  } catch (error) {
    // The database may be away for a while; nothing is lost, the next time does it.
    ground.log.warn({ code: isKeyturnError(error) ? error.code : 'ERR_DATABASE' }, 'authentication could not put its house in order')
  }
}
