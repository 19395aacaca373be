import type { FastifyReply, FastifyRequest } from 'fastify'
import type { z } from 'zod'
import type { Caller, Role } from './access.ts'
import type { Server } from './server.ts'

/** What a handler is given. `params`, `query` and `body` have been checked against the schemas of the route. */
export interface RouteContext<P = unknown, Q = unknown, B = unknown> {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  /** Null on routes for anyone only. */
  readonly caller: Caller | null
  readonly params: P
  readonly query: Q
  readonly body: B
  readonly server: Server
}

/** One line of the HTTP API: what is mounted, what the OpenAPI document says, and what the tests of every route are made from. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  /** Under the prefix, as Fastify writes it: `/v1/rotations/:id`. */
  readonly path: string
  /** `anyone`: answers without a caller. */
  readonly role: Role | 'anyone'
  readonly summary: string
  readonly params?: z.ZodType
  readonly query?: z.ZodType
  readonly body?: z.ZodType
  /** By status; null: an answer without a JSON body. */
  readonly answers: Readonly<Record<number, z.ZodType | null>>
  /** The request or its answer holds a secret: nothing of them is kept for an `Idempotency-Key`, not even a digest. */
  readonly secret?: true
  /** What is returned is the body; the status is that of `reply`, 200 unless set. */
  readonly handle: (context: RouteContext) => Promise<unknown>
}

type Parsed<S> = S extends z.ZodType ? z.output<S> : unknown

/** A route whose handler is given what its schemas say. */
export interface RouteOf<P extends z.ZodType | undefined, Q extends z.ZodType | undefined, B extends z.ZodType | undefined>
  extends Omit<Route, 'params' | 'query' | 'body' | 'handle'> {
  readonly params?: P
  readonly query?: Q
  readonly body?: B
  readonly handle: (context: RouteContext<Parsed<P>, Parsed<Q>, Parsed<B>>) => Promise<unknown>
}

/** Writes a route down, so that its handler has the types of its schemas. */
export function route<
  P extends z.ZodType | undefined = undefined,
  Q extends z.ZodType | undefined = undefined,
  B extends z.ZodType | undefined = undefined,
>(definition: RouteOf<P, Q, B>): Route {
  // A handler is called with what was parsed by the same schemas only.
  return definition as unknown as Route
}
