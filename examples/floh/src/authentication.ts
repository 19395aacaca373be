import { isKeyturnError } from '@keyturn/core'
import type { FastifyRequest, preHandlerAsyncHookHandler } from 'fastify'
import type { Encryption } from './encryption.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The administrator who makes it, as the audit log names them: `user:ada`. */
    actor: string
  }
}

/** Who makes a request. */
export interface User {
  readonly name: string
  readonly admin: boolean
}

/** Users by their sessions, or by bearers that `JWT_SECRET` has signed. */
export class Users {
  readonly #keyturn: Encryption
  readonly #admins: readonly string[]

  constructor(keyturn: Encryption, admins: readonly string[]) {
    this.#keyturn = keyturn
    this.#admins = admins
  }

  ofSession({ session }: FastifyRequest): User | null {
    return session.user ? this.#named(session.user) : null
  }

  async ofBearer({ headers }: FastifyRequest): Promise<User | null> {
    const token = /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1]
    if (token === undefined) return null
    try {
      const { claims } = await this.#keyturn.signing('tokens').verify(token)
      return typeof claims.sub === 'string' ? this.#named(claims.sub) : null
    } catch (error) {
      if (isKeyturnError(error, 'ERR_TOKEN')) return null
      throw error
    }
  }

  async bearerFor({ name }: User): Promise<string> {
    return await this.#keyturn.signing('tokens').sign({ sub: name }, { lifetimeSeconds: 3_600 })
  }

  /** Lets administrators pass. Who is one is asked anew at each request. */
  get adminsOnly(): preHandlerAsyncHookHandler {
    return async (request, reply) => {
      const user = (await this.ofBearer(request)) ?? this.ofSession(request)
      if (user === null) return reply.code(401).send({ error: 'log in first' })
      if (!user.admin) return reply.code(403).send({ error: 'that is for administrators' })
      request.actor = actorOf(user)
    }
  }

  #named(name: string): User {
    return { name, admin: this.#admins.includes(name) }
  }
}

export const actorOf = ({ name }: User): string => `user:${name}`
