import { fail } from '@keyturn/core'
import { z } from 'zod'
import { type Route, route } from '../../route.ts'
import { addressOf } from '../address.ts'
import { assertPassword } from '../password.ts'
import { refuse } from '../refusals.ts'
import { newName, password, session } from '../schemas.ts'
import { isSetupToken, makeFirstAdmin } from '../setup.ts'
import type { SignInParts } from '../sign-in.ts'
import { renew } from './renewal.ts'
import { assertSameSite, sessionAnswer } from './session.ts'

/** The first admin, by the link that the server prints when it starts without users. */
export const setupRoutes = (parts: SignInParts): readonly Route[] => [create(parts)]

const create = ({ ground, passwords, entrance }: SignInParts): Route =>
  route({
    method: 'POST',
    path: '/v1/setup',
    role: 'anyone',
    summary: 'Make the first admin, with the token of the set-up link',
    secret: true,
    body: z.strictObject({ token: z.string().min(1).max(128), name: newName, password }),
    answers: { 201: session },
    handle: async ({ request, reply, body: { token, name, password } }) => {
      await assertSameSite(ground, request)
      const address = addressOf(request)
      if (!(await entrance.enter({ address, marked: false }, () => isSetupToken(ground, token)))) {
        await refuse(ground, { address, name: '', reason: 'setup' })
        throw fail('ERR_UNAUTHORIZED')
      }
      assertPassword(password, name)
      const user = await makeFirstAdmin(ground, { token, name, hashed: await passwords.hash(password), address })
      await renew(ground, reply, user)
      reply.code(201)
      return sessionAnswer(user, null, false)
    },
  })
