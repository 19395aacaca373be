import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { tokenHash } from '@keyturn/core'
import { eq } from 'drizzle-orm'
import type { FastifyRequest } from 'fastify'
import type { Redis } from 'ioredis'
import { NotFound, Refused } from './refusals.ts'
import { apiTokens, type Db } from './tables.ts'

/** The cookie of a session. */
export const cookieName = 'mcp-host'
export const sessionSeconds = 12 * 3_600

/** Who makes a request, as the audit log names them: `user:admin`, `token:ci`. */
export interface Person {
  readonly actor: string
  readonly name: string
}

/** The administrator by a session, programs by tokens. Redis and the database hold hashes of both. */
export class Authentication {
  readonly #db: Db
  readonly #redis: Redis
  readonly #admin: { readonly name: string; readonly password: string }

  constructor(db: Db, redis: Redis, admin: { readonly name: string; readonly password: string }) {
    this.#db = db
    this.#redis = redis
    this.#admin = admin
  }

  /** @returns the id of a new session; null for a wrong name or password */
  async login(name: string, password: string): Promise<string | null> {
    // Both are compared, so that the time does not say which one was wrong.
    const right = [same(name, this.#admin.name), same(password, this.#admin.password)]
    if (right.includes(false)) return null
    const id = randomBytes(32).toString('base64url')
    await this.#redis.set(sessionKey(id), name, 'EX', sessionSeconds)
    return id
  }

  async logout({ cookies }: FastifyRequest): Promise<void> {
    const id = cookies[cookieName]
    if (id) await this.#redis.del(sessionKey(id))
  }

  /** Null: nobody. What changes something counts with a session only if it comes from a page of ours. */
  async personOf(request: FastifyRequest): Promise<Person | null> {
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1]
    if (token !== undefined) return await this.#ofToken(token)
    const id = request.cookies[cookieName]
    if (!id || (request.method !== 'GET' && !isOfOurs(request))) return null
    const name = await this.#redis.get(sessionKey(id))
    return name === null ? null : { actor: `user:${name}`, name }
  }

  /** @returns the token: nobody can read it again */
  async createToken(name: string, createdBy: string): Promise<string> {
    const token = `mcp_${randomBytes(32).toString('base64url')}`
    const made = await this.#db
      .insert(apiTokens)
      .values({ name, tokenHash: tokenHash(token), createdBy })
      .onConflictDoNothing()
      .returning({ name: apiTokens.name })
    if (made.length === 0) throw new Refused('there is a token of this name')
    return token
  }

  async revokeToken(name: string): Promise<void> {
    const gone = await this.#db.delete(apiTokens).where(eq(apiTokens.name, name)).returning({ name: apiTokens.name })
    if (gone.length === 0) throw new NotFound('there is no such token')
  }

  async #ofToken(token: string): Promise<Person | null> {
    const [found] = await this.#db
      .select({ name: apiTokens.name })
      .from(apiTokens)
      .where(eq(apiTokens.tokenHash, tokenHash(token)))
    return found === undefined ? null : { actor: `token:${found.name}`, name: found.name }
  }
}

/** Whether the browser says that a page of this host sends the request. Another site can send it as well, with the cookie in some browsers. */
export function isOfOurs({ headers, host }: FastifyRequest): boolean {
  const site = headers['sec-fetch-site']
  if (site !== undefined) return site === 'same-origin'
  return headers.origin !== undefined && URL.canParse(headers.origin) && new URL(headers.origin).host === host
}

const sessionKey = (id: string) => `mcp-host:session:${tokenHash(id)}`
const digest = (text: string) => createHash('sha256').update(text).digest()
const same = (a: string, b: string) => timingSafeEqual(digest(a), digest(b))
