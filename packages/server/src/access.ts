import type { FastifyRequest } from 'fastify'
import type { Route } from './route.ts'

/** What a caller may do; each role may do what the ones before it may. */
export const roles = ['viewer', 'operator', 'admin'] as const
export type Role = (typeof roles)[number]

/** Who makes a request. `actor` is what the audit log names: `user:ada`, `token:ci`. */
export interface Caller {
  readonly actor: string
  readonly role: Role
  /** `application`: the application in which the server is mounted vouches for the caller. */
  readonly kind: 'user' | 'token' | 'application'
  readonly id: string
  readonly name: string
}

/** Knows who makes a request. */
export interface Access {
  /**
   * Says who makes a request; null: nobody. Asked before anything else of a request.
   *
   * @throws a problem with `statusCode` 403 (a request from another site) or 429
   */
  callerOf(request: FastifyRequest): Promise<Caller | null>
  /** The routes of its own: log-in, users, tokens. */
  readonly routes: readonly Route[]
  /** Whether this is the caller's password: asked again before a key is destroyed. */
  passwordHolds(caller: Caller, password: string): Promise<boolean>
  close(): Promise<void>
}

/** Whether a role may do what asks for another. */
export const mayAct = (role: Role, needed: Role): boolean => roles.indexOf(role) >= roles.indexOf(needed)
