import { z } from 'zod'
import { type Route, route } from '../../route.ts'
import { listQuery, page, role } from '../../wire/common.ts'
import { pageByName } from '../listing.ts'
import { assertPassword } from '../password.ts'
import { id, newName, password, user } from '../schemas.ts'
import type { SignInParts } from '../sign-in.ts'
import { changeUser, createUser, deleteUser, existingUser, listUsers } from '../users.ts'
import { actorOf } from './actor.ts'
import { renew } from './renewal.ts'

/** The routes by which admins say who may sign in. */
export const userRoutes = (parts: SignInParts): readonly Route[] => [list(parts), create(parts), change(parts), remove(parts)]

const list = ({ ground }: SignInParts): Route =>
  route({
    method: 'GET',
    path: '/v1/users',
    role: 'admin',
    summary: 'Who may sign in',
    query: listQuery({}),
    answers: { 200: page(user) },
    handle: ({ query }) => pageByName(query, (after, limit) => listUsers(ground, after, limit)),
  })

const create = ({ ground, passwords }: SignInParts): Route =>
  route({
    method: 'POST',
    path: '/v1/users',
    role: 'admin',
    summary: 'Let somebody sign in',
    secret: true,
    body: z.strictObject({ name: newName, password, role }),
    answers: { 201: user },
    handle: async ({ reply, caller, body: { name, password, role } }) => {
      assertPassword(password, name)
      const made = await createUser(ground, actorOf(caller), { name, role, hashed: await passwords.hash(password) })
      reply.code(201)
      return made
    },
  })

const change = ({ ground, passwords }: SignInParts): Route =>
  route({
    method: 'PATCH',
    path: '/v1/users/:id',
    role: 'admin',
    summary: 'Change the role or the password of a user, whose sessions end',
    secret: true,
    params: id,
    body: z
      .strictObject({ role: role.optional(), password: password.optional() })
      .refine(({ role, password }) => role !== undefined || password !== undefined, 'it changes nothing'),
    answers: { 200: user },
    handle: async ({ reply, caller, params, body: { role, password } }) => {
      const before = await existingUser(ground.state, ground.state.schema, params.id)
      if (password !== undefined) assertPassword(password, before.name)
      const hashed = password === undefined ? undefined : await passwords.hash(password)
      const changed = await changeUser(ground, actorOf(caller), params.id, { ...(role && { role }), ...(hashed && { hashed }) })
      if (caller?.kind === 'user' && caller.id === params.id) await renew(ground, reply, caller)
      return changed
    },
  })

const remove = ({ ground }: SignInParts): Route =>
  route({
    method: 'DELETE',
    path: '/v1/users/:id',
    role: 'admin',
    summary: 'Remove a user, whose sessions end. Tokens that the user made stay: revoke them by themselves',
    params: id,
    answers: { 204: null },
    handle: async ({ reply, caller, params }) => {
      await deleteUser(ground, actorOf(caller), params.id)
      reply.code(204)
    },
  })
