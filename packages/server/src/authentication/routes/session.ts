import { fail } from '@keyturn/core'
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { Caller } from '../../access.ts'
import { answering } from '../../problem.ts'
import { type Route, route } from '../../route.ts'
import { addressOf } from '../address.ts'
import { readCookie, setCookie } from '../cookies.ts'
import { type Ground, record } from '../ground.ts'
import { assertPassword } from '../password.ts'
import { crossSite } from '../problem.ts'
import { refuse } from '../refusals.ts'
import { isSameSite } from '../same-site.ts'
import { anyName, password, session } from '../schemas.ts'
import { isSecret } from '../secret.ts'
import { endSession, endSessions } from '../sessions.ts'
import { holdsAgain, type SignInParts, signIn } from '../sign-in.ts'
import { changeUser, getUser, hasUsers, type User } from '../users.ts'
import { renew } from './renewal.ts'

/** What `GET /v1/session` and a log-in answer. */
export const sessionAnswer = (
  user: Pick<User, 'id' | 'name' | 'role'> | null,
  token: { readonly id: string; readonly name: string } | null,
  setup: boolean,
) => ({
  user: user && { id: user.id, name: user.name, role: user.role },
  token,
  setup,
})

/** Refuses what a page of another server sends, where no cookie says so yet. */
export async function assertSameSite(ground: Ground, request: FastifyRequest): Promise<void> {
  if (isSameSite(request, ground.secure)) return
  await refuse(ground, { address: addressOf(request), name: '', reason: 'cross-site' })
  throw crossSite()
}

/** The routes of who is signed in. */
export const sessionRoutes = (parts: SignInParts): readonly Route[] => [read(parts), create(parts), change(parts), end(parts)]

const read = ({ ground }: SignInParts): Route =>
  route({
    method: 'GET',
    path: '/v1/session',
    role: 'anyone',
    summary: 'Who makes this request',
    answers: { 200: session },
    handle: async ({ caller }) => {
      const known = caller && { id: caller.id, name: caller.name, role: caller.role }
      const setup = caller === null && !(await hasUsers(ground.state, ground.state.schema))
      return sessionAnswer(
        caller?.kind === 'user' ? known : null,
        caller?.kind === 'token' ? { id: caller.id, name: caller.name } : null,
        setup,
      )
    },
  })

const create = (parts: SignInParts): Route =>
  route({
    method: 'POST',
    path: '/v1/session',
    role: 'anyone',
    summary: 'Sign in with name and password',
    secret: true,
    body: z.strictObject({ name: anyName, password }),
    answers: { 201: session },
    handle: async ({ request, reply, body }) => {
      const { ground } = parts
      await assertSameSite(ground, request)
      const mark = readCookie(request, 'browser', ground)
      const formerSession = readCookie(request, 'session', ground)
      const address = addressOf(request)
      const from = { address, marked: isSecret(mark) }
      const signedIn = await parts.entrance.enter(from, () => signIn(parts, { ...body, address, mark, formerSession }))
      setCookie(reply, 'session', signedIn.session, ground)
      setCookie(reply, 'browser', signedIn.mark, ground)
      reply.code(201)
      return sessionAnswer(await getUser(ground.state, ground.state.schema, signedIn.userId), null, false)
    },
  })

const change = (parts: SignInParts): Route =>
  route({
    method: 'PATCH',
    path: '/v1/session',
    role: 'viewer',
    summary: 'Change the password of who is signed in; all other sessions end',
    secret: true,
    body: z.strictObject({ password, newPassword: password }),
    answers: { 200: session },
    handle: async ({ request, reply, caller, body }) => {
      const { ground, passwords } = parts
      const user = ofUser(caller)
      if (!(await holdsAgain(parts, user.id, body.password, addressOf(request))))
        throw answering(fail('ERR_FORBIDDEN', 'this is not your password'), { field: '/password' })
      assertPassword(body.newPassword, user.name, '/newPassword')
      await changeUser(ground, user.actor, user.id, { hashed: await passwords.hash(body.newPassword) })
      await renew(ground, reply, user)
      return sessionAnswer(user, null, false)
    },
  })

const end = ({ ground }: SignInParts): Route =>
  route({
    method: 'DELETE',
    path: '/v1/session',
    role: 'viewer',
    summary: 'Sign out, here or everywhere',
    query: z.strictObject({ everywhere: z.enum(['true', 'false']).optional() }),
    answers: { 204: null },
    handle: async ({ request, reply, caller, query }) => {
      const { state } = ground
      const user = ofUser(caller)
      const everywhere = query.everywhere === 'true'
      await state.transaction(async (sql) => {
        const count = everywhere
          ? await endSessions(sql, state.schema, user.id)
          : Number(await endSession(sql, state.schema, readCookie(request, 'session', ground)))
        const data = { address: addressOf(request), everywhere, count }
        await record(sql, ground, { actor: user.actor, action: 'session.end', subject: `user/${user.id}`, data })
      })
      setCookie(reply, 'session', '', ground)
      reply.code(204)
    },
  })

function ofUser(caller: Caller | null): Caller {
  if (caller?.kind === 'user') return caller
  throw fail('ERR_FORBIDDEN', 'a token has no session and no password. Sign in')
}
