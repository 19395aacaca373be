import { z } from 'zod'
import { type Route, route } from '../../route.ts'
import { listQuery, page, role } from '../../wire/common.ts'
import type { Ground } from '../ground.ts'
import { pageByName } from '../listing.ts'
import { id, newName, token, tokenWithSecret } from '../schemas.ts'
import { createToken, listTokens, revokeToken } from '../tokens.ts'
import { actorOf } from './actor.ts'

/** The routes of API tokens. */
export const tokenRoutes = (ground: Ground): readonly Route[] => [list(ground), create(ground), revoke(ground)]

const list = (ground: Ground): Route =>
  route({
    method: 'GET',
    path: '/v1/tokens',
    role: 'admin',
    summary: 'API tokens, without their secrets',
    query: listQuery({}),
    answers: { 200: page(token) },
    handle: ({ query }) => pageByName(query, (after, limit) => listTokens(ground, after, limit)),
  })

const create = (ground: Ground): Route =>
  route({
    method: 'POST',
    path: '/v1/tokens',
    role: 'admin',
    summary: 'Make an API token; its secret is shown this once',
    secret: true,
    body: z.strictObject({ name: newName, role, expiresAt: z.iso.datetime().nullable().optional() }),
    answers: { 201: tokenWithSecret },
    handle: async ({ reply, caller, body: { name, role, expiresAt } }) => {
      const made = await createToken(ground, actorOf(caller), { name, role, expiresAt: expiresAt ?? null })
      reply.code(201)
      return made
    },
  })

const revoke = (ground: Ground): Route =>
  route({
    method: 'DELETE',
    path: '/v1/tokens/:id',
    role: 'admin',
    summary: 'Revoke an API token, from the next request on',
    params: id,
    answers: { 204: null },
    handle: async ({ reply, caller, params }) => {
      await revokeToken(ground, actorOf(caller), params.id)
      reply.code(204)
    },
  })
